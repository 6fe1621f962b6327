"""The old name of `python -m scrn_jax.models.pretrained.convert`, for one release."""

import sys
import warnings

from scrn_jax.models.pretrained.convert import main

warnings.warn("scrn_jax.features.convert is now scrn_jax.models.pretrained.convert", DeprecationWarning, stacklevel=2)

if __name__ == "__main__":
    sys.exit(main())

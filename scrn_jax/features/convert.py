"""An old name of `python -m scrn_jax.convert`, for one release."""

import sys
import warnings

from scrn_jax.convert import main

warnings.warn("scrn_jax.features.convert is now scrn_jax.convert", DeprecationWarning, stacklevel=2)

if __name__ == "__main__":
    sys.exit(main())

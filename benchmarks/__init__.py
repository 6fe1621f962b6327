"""How fast scrn_jax is and how good its pictures are: a script a question, run as `python -m benchmarks.NAME` from the
repository's root."""

import os

# PyTorch's threads wait for one another busily, which is best on idle cores and ruinous on busy ones. Has to be said
# before PyTorch is imported.
if os.getloadavg()[0] > 1:
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")

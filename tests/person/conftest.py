"""A figure whose joints are known."""

import numpy as np
import pytest


@pytest.fixture
def front():
    """Joints (18, 2) of somebody upright in the middle of a frame 64x48, seen from the front; (y, x)."""
    return np.array(
        [[12, 24], [18, 24], [18, 18], [26, 16], [34, 15], [18, 30], [26, 32], [34, 33], [36, 20], [46, 20], [56, 20],
         [36, 28], [46, 28], [56, 28], [11, 23], [11, 25], [12, 21], [12, 27]],
        np.float32,
    )  # fmt: skip

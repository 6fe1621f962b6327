"""Makes `benchmarks`, which is run from the repository's root and not installed, importable; PyTorch in float64."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


@pytest.fixture(scope="module")
def torch_in_double_precision():
    """While a file's tests run, what PyTorch calls float is float64."""
    before = torch.get_default_dtype()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "float", torch.Tensor.double)
        torch.set_default_dtype(torch.float64)
        yield
        torch.set_default_dtype(before)

"""Between our layouts (NHWC, HWIO) and PyTorch's (NCHW, OIHW), and cheap parameters for whole networks."""

import jax
import numpy as np
import pytest
import torch


def _tensor(array) -> torch.Tensor:
    return torch.tensor(np.ascontiguousarray(array), dtype=torch.float32)


@pytest.fixture(scope="session")
def nchw():
    """Features (B, H, W, C) to a PyTorch leaf (B, C, H, W) that takes a gradient."""
    return lambda array: _tensor(np.asarray(array).transpose(0, 3, 1, 2)).requires_grad_()


@pytest.fixture(scope="session")
def nhwc():
    """A PyTorch (B, C, H, W) to an array (B, H, W, C)."""
    return lambda tensor: tensor.detach().numpy().transpose(0, 2, 3, 1)


@pytest.fixture(scope="session")
def oihw():
    """A kernel (row, column, in, out) to a PyTorch leaf (out, in, row, column)."""
    return lambda array: _tensor(np.asarray(array).transpose(3, 2, 0, 1)).requires_grad_()


@pytest.fixture(scope="session")
def hwio():
    """A PyTorch kernel (out, in, row, column) to (row, column, in, out)."""
    return lambda tensor: tensor.detach().numpy().transpose(2, 3, 1, 0)


@pytest.fixture(scope="session")
def random_variables():
    """Variables of a module without compiling its initialisers: zeros for vectors' means, noise of 1/sqrt(fan in)."""

    def make(module, *inputs, seed: int = 0, **options):
        rng = np.random.default_rng(seed)

        def leaf(shape):
            fan_in = max(int(np.prod(shape.shape[:-1])), 1)
            return (rng.standard_normal(shape.shape) / np.sqrt(fan_in)).astype(shape.dtype)

        shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs, **options))
        return jax.tree.map(leaf, shapes)

    return make


@pytest.fixture(scope="session")
def run(quick_compile):
    """`run(function)(*arguments)`: jitted, compiled in little time."""
    return lambda function: jax.jit(function, compiler_options=quick_compile)


@pytest.fixture(scope="session")
def fill():
    """`fill(module, leaves)`: gives a PyTorch convolution, transposed convolution or linear layer our parameters."""

    def fill(module: torch.nn.Module, leaves) -> None:
        kernel = np.asarray(leaves["kernel"])
        match module:
            case torch.nn.Linear():
                kernel = kernel.T
            case torch.nn.ConvTranspose2d():
                kernel = kernel.transpose(2, 3, 0, 1)
            case _:
                kernel = kernel.transpose(3, 2, 0, 1)
        assert module.weight.shape == kernel.shape
        module.weight = torch.nn.Parameter(_tensor(kernel))
        if module.bias is not None:
            module.bias = torch.nn.Parameter(_tensor(leaves["bias"]))

    return fill


@pytest.fixture(scope="session")
def person_batch():
    """`person_batch(height, width)`: two pairs as the input pipeline gives them, with joints inside the frame."""

    def make(height: int, width: int, seed: int = 0) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(seed)
        batch = {}
        for side in ("source", "target"):
            batch[f"{side}_image"] = rng.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
            batch[f"{side}_parsing"] = rng.integers(0, 8, (2, height, width), dtype=np.uint8)
            batch[f"{side}_pose"] = (rng.uniform(0, 1, (2, 18, 2)) * (height - 1, width - 1)).astype(np.float32)
        batch["face_box"] = np.array([[2, 2, 8, 8], [0, 0, 0, 0]], np.float32)
        return batch

    return make

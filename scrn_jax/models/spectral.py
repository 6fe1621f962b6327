"""Spectral normalisation without a state: a kernel over its largest singular value, as a function of the kernel."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from scrn_jax.models import layers, upsampling
from scrn_jax.models.ops.convolutions import Compute

SQUARINGS = 9  # of the Gram matrix: as good as 2^9 steps of the power iteration


def largest_singular_value(kernel_KxLxCxF):
    """Of the matrix (K L C, F), differentiable by the kernel.

    By repeated squaring of the Gram matrix, each time twice as many steps of a power iteration. Where two values are so
    near that it cannot tell them apart it does not have to, either: with a gap g the value is wrong by less than
    g exp(-2^10 g) of itself, at most 4e-4 at g = 1e-3 and 4e-8 at g = 1e-2. PyTorch's layer makes one step a call and
    keeps the vector as a state; both settle on the same value.
    """
    matrix = kernel_KxLxCxF.reshape(-1, kernel_KxLxCxF.shape[-1])
    gram = jax.lax.stop_gradient(jnp.matmul(matrix.T, matrix, precision="highest"))
    for _ in range(SQUARINGS):
        gram = gram / jnp.linalg.norm(gram)
        gram = jnp.matmul(gram, gram, precision="highest")
    # Every column is now along the singular vector; the longest one has lost the least.
    vector = gram[:, jnp.argmax(jnp.diagonal(gram))]
    vector = vector / jnp.linalg.norm(vector)
    return jnp.linalg.norm(jnp.matmul(matrix, vector, precision="highest"))


class Conv(nn.Module):
    """A convolution, mirrored at the edges if `reflect`, its kernel over its largest singular value if `spectral`."""

    features: int
    taps: int = 3
    stride: int = 1
    padding: int = 1
    spectral: bool = True
    reflect: bool = False
    kernel_init: Any = nn.initializers.lecun_normal()
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x):
        shape = (self.taps, self.taps, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        if self.spectral:
            kernel = kernel / largest_singular_value(kernel)
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.compute.dtype)
        padding = self.padding
        if self.reflect:
            x, padding = layers.reflect_pad(x, padding), 0
        window = {"stride": self.stride, "padding": padding}
        return layers.conv2d(x, kernel, **window, ways=self.compute.convolutions) + bias


class UpConv(nn.Module):
    """A transposed 3x3 convolution that doubles the grid, spectrally normalised if so told."""

    features: int
    spectral: bool = True
    kernel_init: Any = nn.initializers.lecun_normal()
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", self.kernel_init, (3, 3, x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        if self.spectral:
            kernel = kernel / largest_singular_value(kernel)
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.compute.dtype)
        return upsampling.stride2_transposed_conv3(x, kernel, self.compute.convolutions) + bias

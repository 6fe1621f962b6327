"""The Inception-v3 of the Frechet Inception Distance, as pytorch-fid has it: images to their 2048 pool3 features."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from scrn_jax.models.ops.convolutions import Compute, convolution
from scrn_jax.models.pretrained import layers

INPUT_SIDE = 299
FEATURES = 2048
LAST_OF_FRONT = "Mixed_6a"


@dataclass(frozen=True)
class Conv:
    """A convolution (its batch norm folded in) and its ReLU; padding keeps the grid when the stride is 1."""

    name: str
    features: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padded: bool = True


@dataclass(frozen=True)
class Branch:
    """Convolutions in a row, after a pool if one is named; a tuple of convolutions runs side by side."""

    steps: tuple[Conv | tuple[Conv, ...], ...]
    pool: str | None = None


def _reducing(name: str, features: int) -> Conv:
    return Conv(name, features, (3, 3), stride=2, padded=False)


def _block_a(pooled: int) -> tuple[Branch, ...]:
    return (
        Branch((Conv("branch1x1", 64),)),
        Branch((Conv("branch5x5_1", 48), Conv("branch5x5_2", 64, (5, 5)))),
        Branch((Conv("branch3x3dbl_1", 64), Conv("branch3x3dbl_2", 96, (3, 3)), Conv("branch3x3dbl_3", 96, (3, 3)))),
        Branch((Conv("branch_pool", pooled),), "average"),
    )


def _block_c(inner: int) -> tuple[Branch, ...]:
    return (
        Branch((Conv("branch1x1", 192),)),
        Branch((Conv("branch7x7_1", inner), Conv("branch7x7_2", inner, (1, 7)), Conv("branch7x7_3", 192, (7, 1)))),
        Branch(
            (
                Conv("branch7x7dbl_1", inner),
                Conv("branch7x7dbl_2", inner, (7, 1)),
                Conv("branch7x7dbl_3", inner, (1, 7)),
                Conv("branch7x7dbl_4", inner, (7, 1)),
                Conv("branch7x7dbl_5", 192, (1, 7)),
            )
        ),
        Branch((Conv("branch_pool", 192),), "average"),
    )


def _block_e(pool: str) -> tuple[Branch, ...]:
    return (
        Branch((Conv("branch1x1", 320),)),
        Branch((Conv("branch3x3_1", 384), (Conv("branch3x3_2a", 384, (1, 3)), Conv("branch3x3_2b", 384, (3, 1))))),
        Branch(
            (
                Conv("branch3x3dbl_1", 448),
                Conv("branch3x3dbl_2", 384, (3, 3)),
                (Conv("branch3x3dbl_3a", 384, (1, 3)), Conv("branch3x3dbl_3b", 384, (3, 1))),
            )
        ),
        Branch((Conv("branch_pool", 192),), pool),
    )


STEM = (
    (
        Conv("Conv2d_1a_3x3", 32, (3, 3), stride=2, padded=False),
        Conv("Conv2d_2a_3x3", 32, (3, 3), padded=False),
        Conv("Conv2d_2b_3x3", 64, (3, 3)),
    ),
    (Conv("Conv2d_3b_1x1", 80), Conv("Conv2d_4a_3x3", 192, (3, 3), padded=False)),
)
BLOCKS: dict[str, tuple[Branch, ...]] = {
    "Mixed_5b": _block_a(32),
    "Mixed_5c": _block_a(64),
    "Mixed_5d": _block_a(64),
    "Mixed_6a": (
        Branch((_reducing("branch3x3", 384),)),
        Branch((Conv("branch3x3dbl_1", 64), Conv("branch3x3dbl_2", 96, (3, 3)), _reducing("branch3x3dbl_3", 96))),
        Branch((), "reducing max"),
    ),
    "Mixed_6b": _block_c(128),
    "Mixed_6c": _block_c(160),
    "Mixed_6d": _block_c(160),
    "Mixed_6e": _block_c(192),
    "Mixed_7a": (
        Branch((Conv("branch3x3_1", 192), _reducing("branch3x3_2", 320))),
        Branch(
            (
                Conv("branch7x7x3_1", 192),
                Conv("branch7x7x3_2", 192, (1, 7)),
                Conv("branch7x7x3_3", 192, (7, 1)),
                _reducing("branch7x7x3_4", 192),
            )
        ),
        Branch((), "reducing max"),
    ),
    # By a quirk that FID has kept, the last block pools by the maximum where the original network takes the average.
    "Mixed_7b": _block_e("average"),
    "Mixed_7c": _block_e("max"),
}


def conv_paths() -> list[tuple[str, ...]]:
    """The place of every convolution in the parameter tree, which is its name in pytorch-fid too."""
    paths = [(conv.name,) for stage in STEM for conv in stage]
    for block, branches in BLOCKS.items():
        for step in (step for branch in branches for step in branch.steps):
            paths += [(block, conv.name) for conv in (step if isinstance(step, tuple) else (step,))]
    return paths


class _Weights(nn.Module):
    """A convolution's parameters by themselves: a kernel (K, L, C, F) and a bias (F,)."""

    conv: Conv
    inputs: int

    @nn.compact
    def __call__(self) -> tuple[jax.Array, jax.Array]:
        shape = (*self.conv.kernel, self.inputs, self.conv.features)
        kernel = self.param("kernel", nn.initializers.he_normal(), shape)
        return kernel, self.param("bias", nn.initializers.zeros, (self.conv.features,))


class _Block(nn.Module):
    """Branches over the same grid, their outputs concatenated."""

    branches: tuple[Branch, ...]
    compute: Compute
    precision: Any

    @nn.compact
    def __call__(self, x_BxHxWxC: jax.Array) -> jax.Array:
        heads = self._heads(x_BxHxWxC)
        outputs = []
        for branch in self.branches:
            if branch in heads:
                x, steps = heads[branch], branch.steps[1:]
            else:
                x, steps = _pool(branch.pool, x_BxHxWxC), branch.steps
            for step in steps:
                convs = step if isinstance(step, tuple) else (step,)
                x = jnp.concatenate([_apply(conv, x, self.compute, self.precision) for conv in convs], -1)
            outputs.append(x)
        return jnp.concatenate(outputs, -1)

    def _heads(self, x_BxHxWxC: jax.Array) -> dict[Branch, jax.Array]:
        """The result of each branch's 1x1 convolution with which it begins, all of them computed as one.

        An average and a 1x1 convolution may change places, and after the convolution there is less to average.
        """
        branches = [each for each in self.branches if each.pool in (None, "average") and _begins_1x1(each)]
        if not branches:
            return {}
        weights = [_Weights(branch.steps[0], x_BxHxWxC.shape[-1], name=branch.steps[0].name)() for branch in branches]
        dtype, ways = self.compute.dtype, self.compute.convolutions
        kernel = jnp.concatenate([kernel for kernel, _ in weights], -1).astype(dtype)
        x, nowhere = x_BxHxWxC.astype(dtype), ((0, 0), (0, 0))
        y = convolution(x, kernel, (1, 1), nowhere, precision=self.precision, ways=ways)
        ends = np.cumsum([branch.steps[0].features for branch in branches])[:-1]
        return {
            branch: nn.relu(_pool(branch.pool, part) + bias.astype(dtype))
            for branch, part, (_, bias) in zip(branches, jnp.split(y, ends, -1), weights, strict=True)
        }


def _begins_1x1(branch: Branch) -> bool:
    first = branch.steps[0] if branch.steps else None
    return isinstance(first, Conv) and first.kernel == (1, 1) and first.stride == 1


class Inception(nn.Module):
    """pytorch-fid's Inception up to pool3, with batch norm folded into the convolutions.

    Attributes:
      compute: how the convolutions are computed; parameters and outputs are float32.
      precision: of the convolutions, as in jax.lax; by default full float32 also on GPUs.
      part: of the network, for callers who compute it in pieces: what begins with images and ends with the grid of the
        block `LAST_OF_FRONT` ("front"), what goes on from there ("back"), or both ("all").
    """

    compute: Compute = Compute()
    precision: Any = jax.lax.Precision.HIGHEST
    part: str = "all"

    @nn.compact
    def __call__(self, x_BxHxWxC: jax.Array) -> jax.Array:
        """Returns float32 (B, 2048) features of images (B, H, W, 3) in [-1, 1] of any size, resized to 299x299
        bilinearly (each output pixel from its four neighbours, as PyTorch's interpolate does it, without a filter
        against aliasing)."""
        x, names = x_BxHxWxC, list(BLOCKS)
        middle = names.index(LAST_OF_FRONT) + 1
        if self.part != "back":
            x = self._stem(x)
        for name in {"all": names, "front": names[:middle], "back": names[middle:]}[self.part]:
            x = _Block(BLOCKS[name], self.compute, self.precision, name=name)(x)
        return x if self.part == "front" else x.astype(jnp.float32).mean((1, 2))

    def _stem(self, images_BxHxWx3: jax.Array) -> jax.Array:
        shape = (images_BxHxWx3.shape[0], INPUT_SIDE, INPUT_SIDE, 3)
        x = jax.image.resize(images_BxHxWx3.astype(jnp.float32), shape, "bilinear", antialias=False)
        for stage in STEM:
            for conv in stage:
                x = _apply(conv, x, self.compute, self.precision)
            x = _pool("reducing max", x)
        return x


def _apply(conv: Conv, x_BxHxWxC: jax.Array, compute: Compute, precision: Any) -> jax.Array:
    padding = (conv.kernel[0] // 2, conv.kernel[1] // 2) if conv.padded else 0
    how = {"compute": compute, "precision": precision}
    return nn.relu(layers.conv(conv.name, conv.features, conv.kernel, conv.stride, padding, **how)(x_BxHxWxC))


def _pool(kind: str | None, x_BxHxWxC: jax.Array) -> jax.Array:
    """3x3 pools; the average counts the pixels inside the grid only, as TensorFlow does."""
    if kind == "average":
        counts = _of_threes(jnp.add, jnp.ones((1, *x_BxHxWxC.shape[1:3], 1), x_BxHxWxC.dtype), outside=0)
        return _of_threes(jnp.add, x_BxHxWxC, outside=0) / counts
    if kind == "max":
        return _of_threes(jnp.maximum, x_BxHxWxC, outside=-jnp.inf)
    if kind == "reducing max":
        return _of_threes(jnp.maximum, x_BxHxWxC, stride=2)
    return x_BxHxWxC


def _of_threes(combine: Callable, x_BxHxWxC: jax.Array, stride: int = 1, outside: float | None = None) -> jax.Array:
    """What `combine` gives for the three neighbours along the rows, then along the columns.

    XLA reduces windows several times as slowly on a CPU.

    Args:
      outside: the value around the grid, which keeps its size; None for windows inside the grid only.
    """
    x = x_BxHxWxC
    if outside is not None:
        x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=outside)
    for axis in (1, 2):
        end = x.shape[axis] - 2
        parts = [jax.lax.slice_in_dim(x, i, i + end, stride, axis) for i in range(3)]
        x = functools.reduce(combine, parts)
    return x

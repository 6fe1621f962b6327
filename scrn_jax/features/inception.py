"""The Inception-v3 of the Frechet Inception Distance, as pytorch-fid has it: images to their 2048 pool3 features."""

from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from scrn_jax.features import layers

INPUT_SIDE = 299
FEATURES = 2048


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


class _Block(nn.Module):
    """Branches over the same grid, their outputs concatenated."""

    branches: tuple[Branch, ...]
    dtype: Any
    precision: Any

    @nn.compact
    def __call__(self, x_BxHxWxC: jax.Array) -> jax.Array:
        outputs = []
        for branch in self.branches:
            x = _pool(branch.pool, x_BxHxWxC)
            for step in branch.steps:
                convs = step if isinstance(step, tuple) else (step,)
                x = jnp.concatenate([_apply(conv, x, self.dtype, self.precision) for conv in convs], -1)
            outputs.append(x)
        return jnp.concatenate(outputs, -1)


class Inception(nn.Module):
    """pytorch-fid's Inception up to pool3, with batch norm folded into the convolutions.

    Attributes:
      dtype: compute type of the convolutions; parameters and outputs are float32.
      precision: of the convolutions, as in jax.lax; by default full float32 also on GPUs.
    """

    dtype: Any = jnp.float32
    precision: Any = jax.lax.Precision.HIGHEST

    @nn.compact
    def __call__(self, images_BxHxWx3: jax.Array) -> jax.Array:
        """Returns float32 (B, 2048) features of images in [-1, 1] of any size, resized to 299x299 bilinearly (each
        output pixel from its four neighbours, as PyTorch's interpolate does it, without a filter against aliasing)."""
        count = images_BxHxWx3.shape[0]
        x = jax.image.resize(
            images_BxHxWx3.astype(jnp.float32), (count, INPUT_SIDE, INPUT_SIDE, 3), "bilinear", antialias=False
        )
        for stage in STEM:
            for conv in stage:
                x = _apply(conv, x, self.dtype, self.precision)
            x = layers.max_pool(x, 3, 2)
        for name, branches in BLOCKS.items():
            x = _Block(branches, self.dtype, self.precision, name=name)(x)
        return x.astype(jnp.float32).mean((1, 2))


def _apply(conv: Conv, x_BxHxWxC: jax.Array, dtype: Any, precision: Any) -> jax.Array:
    padding = (conv.kernel[0] // 2, conv.kernel[1] // 2) if conv.padded else 0
    layer = layers.conv(conv.name, conv.features, conv.kernel, conv.stride, padding, dtype, precision)
    return nn.relu(layer(x_BxHxWxC))


def _pool(kind: str | None, x_BxHxWxC: jax.Array) -> jax.Array:
    """3x3 pools; the average counts the pixels inside the grid only, as TensorFlow does."""
    around = ((1, 1), (1, 1))
    if kind == "average":
        return nn.avg_pool(x_BxHxWxC, (3, 3), padding=around, count_include_pad=False)
    if kind == "max":
        return nn.max_pool(x_BxHxWxC, (3, 3), padding=around)
    if kind == "reducing max":
        return layers.max_pool(x_BxHxWxC, 3, 2)
    return x_BxHxWxC

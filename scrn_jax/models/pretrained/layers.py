"""What every frozen network shares: PyTorch's padding and pooling, and ImageNet's normalisation."""

from collections.abc import Collection
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from scrn_jax.models.ops.convolutions import Compute, convolution

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def normalise(images_BxHxWx3: jax.Array) -> jax.Array:
    """Turns images in [-1, 1] into float32 ImageNet-normalised ones, as torchvision's classifiers expect them.

    This equals the scaling layer of LPIPS v0.1 (shift 2 * mean - 1, scale 2 * std).
    """
    shift = 2 * jnp.asarray(IMAGENET_MEAN, jnp.float32) - 1
    scale = 2 * jnp.asarray(IMAGENET_STD, jnp.float32)
    return (images_BxHxWx3.astype(jnp.float32) - shift) / scale


def conv(
    name: str,
    features: int,
    kernel: int | tuple[int, int],
    stride: int = 1,
    padding: int | tuple[int, int] = 0,
    *,
    compute: Compute,
    precision: Any = None,
) -> nn.Conv:
    """A convolution with PyTorch's explicit symmetric padding; parameters stay float32."""
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    rows, columns = (padding, padding) if isinstance(padding, int) else padding
    return nn.Conv(
        features,
        (height, width),
        strides=(stride, stride),
        padding=((rows, rows), (columns, columns)),
        dtype=compute.dtype,
        precision=precision,
        conv_general_dilated=partial(convolution, ways=compute.convolutions),
        kernel_init=nn.initializers.he_normal(),
        name=name,
    )


def max_pool(x_BxHxWxC: jax.Array, window: int, stride: int) -> jax.Array:
    """PyTorch's MaxPool2d: no padding, a last partial window is dropped.

    Raises:
      ValueError: the grid is smaller than the window, so that nothing would be left.
    """
    height, width = x_BxHxWxC.shape[1:3]
    if min(height, width) < window:
        raise ValueError(
            f"a feature grid of {height}x{width} is too small for a {window}x{window} max pool:"
            " give larger images or shallower taps"
        )
    return nn.max_pool(x_BxHxWxC, (window, window), strides=(stride, stride), padding="VALID")


def check_taps(taps: Collection[str], known: Collection[str], network: str) -> None:
    """Raises ValueError when a tap is not a layer of the network, or when there is none."""
    unknown = [tap for tap in taps if tap not in known]
    if unknown or not taps:
        raise ValueError(f"{network} has no layer {unknown}: choose taps among {', '.join(known)}")

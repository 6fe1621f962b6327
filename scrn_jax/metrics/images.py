"""What every metric of two images asks of them."""

import jax
import jax.numpy as jnp


def check(a_BxHxWxC: jax.Array, b_BxHxWxC: jax.Array) -> None:
    """Raises ValueError unless both are float batches of the same shape: differences of bytes would wrap around."""
    if a_BxHxWxC.shape != b_BxHxWxC.shape or len(a_BxHxWxC.shape) != 4:
        raise ValueError(
            f"images of {a_BxHxWxC.shape} and {b_BxHxWxC.shape} cannot be compared:"
            " give two (B, H, W, C) batches of the same shape"
        )
    for images in (a_BxHxWxC, b_BxHxWxC):
        if not jnp.issubdtype(images.dtype, jnp.floating):
            raise ValueError(
                f"images of {images.dtype} cannot be compared, for differences of bytes wrap around:"
                " give floats in [0, 1]"
            )

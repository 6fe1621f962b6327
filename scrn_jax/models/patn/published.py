"""The names of PATN's generator as its authors published it (latest_net_netG.pth, for DeepFashion)."""

from scrn_jax.models.patn.settings import Model
from scrn_jax.models.published import Table, conv, up_conv

# Statistics that PyTorch 0.3 kept beside its instance norms; in use they were of the picture at hand all the same.
UNUSED = ("*.running_mean", "*.running_var", "*.num_batches_tracked")

# Our convolutions and their places, counted with what pads, normalises, activates and drops between them.
_ENCODER = {"Conv_0": 1, "Conv_1": 4, "Conv_2": 7}
_PATH = {"Conv_0": 1, "Conv_1": 6}
_STREAMS = {"image_encoder": "stream1_down", "pose_encoder": "stream2_down"}
_PATHS = {"image_path": "conv_block_stream1", "pose_path": "conv_block_stream2"}


def streams() -> Table:
    """Two encoders and the decoder."""
    found: Table = {}
    for ours, theirs in _STREAMS.items():
        for layer, place in _ENCODER.items():
            found |= conv(f"{ours}/{layer}", f"model.{theirs}.{place}")
    found |= up_conv("decoder/UpConv_0", "model.stream1_up.0")
    found |= up_conv("decoder/UpConv_1", "model.stream1_up.3")
    return found | conv("decoder/Conv_0", "model.stream1_up.7")


def table(model: Model) -> Table:
    """See `models.published`."""
    found = streams()
    for t in range(model.blocks):
        for ours, theirs in _PATHS.items():
            for layer, place in _PATH.items():
                found |= conv(f"block_{t + 1}/{ours}/{layer}", f"model.att.{t}.{theirs}.{place}")
    return found

"""The best, the median and the worst pairs of a method, as pictures inside a page."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from scrn_jax.folders import reading
from scrn_jax.folders.evaluation import Method
from scrn_jax.metrics.metric_names import METRICS

EACH = 4  # pairs of a kind
_DECIDING = ("lpips_alex", "lpips_vgg", "ssim")  # closest to what people see comes first


def deciding_metric(method: Method) -> str:
    """The metric by which pairs are called good or bad."""
    return next(name for name in _DECIDING if name in method.figures)


def choose(method: Method) -> dict[str, list[int]]:
    """Indices of the pairs to show under "best", "median" and "worst", from better to worse, none of them twice."""
    metric = deciding_metric(method)
    values = np.nan_to_num(method.figures[metric].astype(np.float64), nan=np.inf)
    order = np.argsort(-values if METRICS[metric].more_is_better else values, kind="stable").tolist()
    each = min(EACH, max(len(order) // 3, 1))
    middle = (len(order) - each) // 2
    kinds = {"best": order[:each], "median": order[middle : middle + each], "worst": order[-each:]}
    return kinds if len(order) >= 3 else {"all": order}


def data_uri(path: Path, frame: tuple[int, int]) -> str:
    """The image as it was compared, cut to the frame, as a JPEG in a data: URI."""
    pixels = reading.decode(reading.read_bytes(path), str(path), frame)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")

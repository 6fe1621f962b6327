"""Sample sheets: the same few held-out pairs drawn again and again, rows of pictures for a person to judge."""

from collections.abc import Mapping, Sequence

import jax
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from scrn_jax import data
from scrn_jax.models.base import INPUTS, generate
from scrn_jax.models.scrn.model import make_generator
from scrn_jax.person import draw
from scrn_jax.runtime import devices
from scrn_jax.settings import Settings

COLUMNS = ("source", "target pose", "coarse", "parsing", "generated", "target")
MIN_PANEL_HEIGHT = 192  # smaller frames are enlarged to this
GAP, TITLE = 6, 22


class Samples:
    """`count` pairs spread evenly over a test source, and a generator compiled for them."""

    def __init__(self, settings: Settings, mesh, source, count: int):
        self._batch = data.spread_batch(source, count, settings.size)
        generator = make_generator(settings.model)
        replicated = devices.replicated(mesh)
        self._inputs = jax.device_put({key: self._batch[key] for key in INPUTS}, replicated)
        self._generate = jax.jit(lambda params, batch: generate(generator, params, batch), out_shardings=replicated)

    def draw(self, params) -> Image.Image:
        """The sheet of these pairs under the generator's `params`; columns as in `samples.COLUMNS`."""
        return compose(sample_rows(self._batch, jax.device_get(self._generate(params, self._inputs))))


def to_uint8(image) -> np.ndarray:
    """Float images in [-1, 1] to uint8, rounded and clipped."""
    return np.clip(np.round((np.asarray(image, np.float32) + 1) * 127.5), 0, 255).astype(np.uint8)


def sample_rows(batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> list[list[np.ndarray]]:
    """One row of uint8 pictures per sample, in the order of COLUMNS.

    Args:
      batch: as the input pipeline gives it (uint8 images, joints in pixels).
      outputs: the generator's, on the host: `image`, `coarse_image` in [-1, 1], `parsing` (B, H, W, regions).
    """
    height, width = batch["source_image"].shape[1:3]
    parsing = np.asarray(outputs["parsing"]).argmax(-1)
    coarse, generated = to_uint8(outputs["coarse_image"]), to_uint8(outputs["image"])
    return [
        [
            batch["source_image"][i],
            draw.skeleton(batch["target_pose"][i], height, width),
            coarse[i],
            draw.paint_regions(parsing[i]),
            generated[i],
            batch["target_image"][i],
        ]
        for i in range(len(generated))
    ]


def compose(rows: Sequence[Sequence[np.ndarray]], titles: Sequence[str] = COLUMNS) -> Image.Image:
    """Rows of equally sized uint8 pictures (H, W, 3) as one RGB image with a title above each column."""
    height, width = rows[0][0].shape[:2]
    scale = max(1, -(-MIN_PANEL_HEIGHT // height))
    height, width = height * scale, width * scale
    size = (len(titles) * (width + GAP) + GAP, TITLE + len(rows) * (height + GAP) + GAP)
    page = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(size=14)
    for column, title in enumerate(titles):
        middle = GAP + column * (width + GAP) + width // 2
        pen.text((middle, GAP), title, fill="black", font=font, anchor="mt")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            panel = Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)
            page.paste(panel, (GAP + x * (width + GAP), TITLE + GAP + y * (height + GAP)))
    return page

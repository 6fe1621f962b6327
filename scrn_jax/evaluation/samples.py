"""Sample sheets: the same few held-out pairs drawn again and again, rows of pictures for a person to judge."""

from collections.abc import Mapping, Sequence

import jax
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from scrn_jax.models.base import INPUTS, TrainableModel
from scrn_jax.runtime import devices

MIN_PANEL_HEIGHT = 192  # smaller frames are enlarged to this
GAP, TITLE = 6, 22


class Samples:
    """A batch of pairs, and a generator compiled for them."""

    def __init__(self, model: TrainableModel, mesh, batch: Mapping[str, np.ndarray]):
        self._model = model
        self._batch = batch
        replicated = devices.replicated(mesh)
        self._inputs = jax.device_put({key: self._batch[key] for key in INPUTS}, replicated)
        self._generate = jax.jit(model.generate, out_shardings=replicated)

    def draw(self, params) -> Image.Image:
        """The sheet of these pairs under the generator's `params`; columns as the model's."""
        rows = self._model.panels(self._batch, jax.device_get(self._generate(params, self._inputs)))
        return compose(rows, self._model.columns)


def compose(rows: Sequence[Sequence[np.ndarray]], titles: Sequence[str]) -> Image.Image:
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

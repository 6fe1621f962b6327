"""The same few held-out pairs drawn again and again, so that the sheets of a run can be compared."""

import jax
import numpy as np
from PIL import Image

from input_pipeline import pairs
from scrn_jax import sheet
from scrn_jax.models.base import INPUTS, generate
from scrn_jax.runtime import devices
from scrn_jax.settings import Settings
from scrn_jax.training import state


class Samples:
    """`count` pairs spread evenly over a test source, and a generator compiled for them."""

    def __init__(self, settings: Settings, mesh, source, count: int):
        spread = np.unique(np.linspace(0, len(source) - 1, count).round().astype(int))
        self._batch = next(
            iter(pairs.eval_batches(source, batch_size=len(spread), size=settings.size, indices=spread.tolist()))
        )
        generator = state.make_generator(settings.model)
        replicated = devices.replicated(mesh)
        self._inputs = jax.device_put({key: self._batch[key] for key in INPUTS}, replicated)
        self._generate = jax.jit(lambda params, batch: generate(generator, params, batch), out_shardings=replicated)

    def draw(self, params) -> Image.Image:
        """The sheet of these pairs under the generator's `params`; columns as in `sheet.COLUMNS`."""
        return sheet.compose(sheet.sample_rows(self._batch, jax.device_get(self._generate(params, self._inputs))))

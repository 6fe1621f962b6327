"""A profile of a few training steps, for TensorBoard's profiler or Perfetto."""

import logging
from pathlib import Path

import jax

log = logging.getLogger(__name__)

FOLDER = "profile"
WARM_UP = 3  # steps, so that the profile shows none that is still filling queues


class Profile:
    """Records `steps` steps of a run that starts after step `first`, `WARM_UP` steps later; 0 records none."""

    def __init__(self, workdir: Path, first: int, steps: int):
        self._folder = workdir / FOLDER
        self._begin = first + WARM_UP if steps else None
        self._end = first + WARM_UP + steps
        self._recording = False

    def __enter__(self) -> "Profile":
        return self

    def __exit__(self, *_):
        if self._recording:
            self._stop()

    def after(self, step: int, result) -> None:
        """Start or end the recording where it is due; `result` is what the step computes, waited for at the end."""
        if step == self._begin:
            jax.profiler.start_trace(str(self._folder))
            self._recording = True
        elif self._recording and step == self._end:
            jax.block_until_ready(result)
            self._stop()

    def _stop(self) -> None:
        self._recording = False
        jax.profiler.stop_trace()
        log.info(
            "profile: %s (tensorboard --logdir %s, with the plugin tensorboard-plugin-profile)", *[self._folder] * 2
        )

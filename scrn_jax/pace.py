"""Where the training loop's time goes: waiting for a batch, or for the device."""

import contextlib
import time


class Pace:
    """Seconds spent in named parts of the loop since they were last taken."""

    def __init__(self):
        self._seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def of(self, part: str):
        """Count the time of a `with` block to `part`."""
        start = time.monotonic()
        try:
            yield
        finally:
            self._seconds[part] = self._seconds.get(part, 0.0) + time.monotonic() - start

    def take(self) -> dict[str, float]:
        """`seconds/PART` of every part seen so far, which start at 0 again."""
        taken = {f"seconds/{part}": seconds for part, seconds in self._seconds.items()}
        self._seconds = dict.fromkeys(self._seconds, 0.0)
        return taken

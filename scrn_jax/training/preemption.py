"""SIGTERM and SIGINT as a wish: finish the step, save, end well."""

import logging
import os
import signal
import threading

import jax
from jax.experimental import multihost_utils

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interruption:
    """While it is entered, the first SIGTERM or SIGINT is remembered; a second one does what it always does.

    With several processes a signal may reach one of them, and all have to stop after the same step: there JAX's own
    SIGTERM handler and its agreement on a step are used, and SIGINT counts as SIGTERM.
    """

    def __init__(self):
        self._asked = False
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> "Interruption":
        # Only the main thread may set handlers; a run started from another one simply has none.
        if threading.current_thread() is threading.main_thread():
            ours = SIGNALS if jax.process_count() == 1 else (signal.SIGINT,)
            self._before = {number: signal.signal(number, self._remember) for number in ours}
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def requested(self, step: int) -> bool:
        """Whether to stop after `step`; every process gets the same answer, and each has to ask after every step."""
        if jax.process_count() > 1:
            return multihost_utils.reached_preemption_sync_point(step)
        return self._asked

    def _remember(self, number: int, _) -> None:
        self._asked = True
        self.__exit__()
        log.info("%s: saving after this step; once more to stop at once", signal.Signals(number).name)
        if jax.process_count() > 1:
            os.kill(os.getpid(), signal.SIGTERM)

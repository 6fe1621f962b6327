"""What paints for the page: one request at a time, in a thread of its own, given up when nobody waits for it."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any

import numpy as np
from starlette.requests import ClientDisconnect, Request

from scrn_jax.errors import UserError, first_line
from scrn_jax.inference.page.web_requests import Limits, Refused
from scrn_jax.inference.photo import PhotoTransfer
from scrn_jax.inference.transfer import LARGE

log = logging.getLogger(__name__)


class Service:
    """What the page asks for, one thing at a time in a thread of its own.

    Attributes: the model and estimator, `transfer`; `limits`; whether it is `ready`, and the `problem` that keeps it
    from being used, None without one. `example` are the bytes of the photo that it warms up with.
    """

    def __init__(self, transfer: PhotoTransfer, limits: Limits, example: bytes):
        self.transfer, self.limits, self._example = transfer, limits, example
        self.ready, self.problem = False, None
        self._worker, self._behind = ThreadPoolExecutor(1, "paint"), ThreadPoolExecutor(1, "warm")
        self._places, self._closed = threading.Semaphore(limits.waiting), threading.Event()

    async def do(self, request: Request, function: Callable[[threading.Event], Any], mend: str = "try again") -> Any:
        """The function's result. It is given an event that is set once nobody waits for it any more.

        Raises Refused when too many wait or it takes too long, saying how to `mend` that, ClientDisconnect when the
        client hangs up, and UserError as the function does.
        """
        if not self._places.acquire(blocking=False):
            raise Refused(503, "too many requests are waiting; try again in a moment")
        stop = threading.Event()
        job = self._worker.submit(function, stop)
        job.add_done_callback(lambda _: self._places.release())
        answer, gone = asyncio.wrap_future(job), asyncio.ensure_future(_hung_up(request))
        try:
            seconds = self.limits.answer_seconds
            await asyncio.wait((answer, gone), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            if gone.done():
                raise ClientDisconnect
            raise Refused(504, f"took longer than {seconds:g} seconds; {mend}")
        finally:
            stop.set()
            answer.cancel()  # and the job, if it still waits
            gone.cancel()

    def warm_up(self) -> None:
        """Begin, in the background, to compile and load all that a visitor will use, on the example's picture.

        Ready as soon as a picture can be painted; clothes and films follow in a thread of their own, so that nobody
        waits for what is compiled meanwhile.
        """
        self._worker.submit(self._warm_up, time.monotonic())

    def _warm_up(self, started: float) -> None:
        try:
            person = self.transfer.estimate(self._example)
            parts = person.image, person.regions_HxW, person.joints_Jx2
            self.paint(parts, person.joints_Jx2[None], None, person.large, self._closed)
        except UserError as error:
            self.problem = str(error)
            log.error("the page cannot be used: %s", error)
        except Exception as error:  # whatever an estimator or a model of somebody's own raises
            self.problem = f"the page cannot be used ({first_line(error)}); see the server's log"
            log.exception("the page cannot be used")
        self.ready = True
        log.info("ready after %.1f s", time.monotonic() - started)
        if self.problem is None:
            style = {"image": parts[0], "parsing": parts[1], "joints": parts[2], "share": np.zeros(8, np.float32)}
            for pictures, worn in ((1, style), (LARGE, None), (LARGE, style)):
                targets = np.repeat(person.joints_Jx2[None], pictures, 0)
                with contextlib.suppress(RuntimeError):  # it is being closed
                    self._behind.submit(self.paint, parts, targets, worn, None, self._closed)

    def paint(
        self, person: tuple[np.ndarray, ...], targets: np.ndarray, style, large, stop: threading.Event
    ) -> np.ndarray:
        """`PhotoTransfer.paint` by a few pictures at a time, given up with a CancelledError once `stop` is set.

        It has two programs for any number of pictures: `warm_up` compiles both.
        """
        painted = []
        for at in range(0, len(targets), LARGE):
            painted.append(self.transfer.paint(*person, targets[at : at + LARGE], style, large))
            if stop.is_set():
                raise CancelledError
        return np.concatenate(painted)

    def close(self) -> None:
        """Give the threads back."""
        self._closed.set()
        for threads in (self._worker, self._behind):
            threads.shutdown(wait=False, cancel_futures=True)


async def _hung_up(request: Request) -> None:
    """Comes back when the client of a request that has been read is gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass

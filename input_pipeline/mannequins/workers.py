"""Renders people in several processes. Imports no TensorFlow, because every process imports this module anew."""

import collections
import contextlib
import io
import multiprocessing
import os
import sys
import threading
import types
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple

import numpy as np
from PIL import Image

from input_pipeline.mannequins.people import Person
from scrn_jax.errors import UserError


class EncodedView(NamedTuple):
    """One rendered picture: PNG bytes of image and labels, joints float32 (18, 2), face box float32 (4,) in pixels."""

    image: bytes
    labels: bytes
    joints: np.ndarray
    face_box: np.ndarray


class PersonTask(NamedTuple):
    """Which person to render, in how many views and how large."""

    seed: int
    identity: int
    views: int
    height: int
    width: int


def render_person(task: PersonTask) -> list[EncodedView]:
    """All views of one person; a function of `task` alone."""
    person = Person.sample(seed=task.seed, identity=task.identity)
    views = (person.view(number, height=task.height, width=task.width) for number in range(task.views))
    return [EncodedView(_png(view.image), _png(view.labels), view.joints, view.face_box) for view in views]


def render_people(tasks: Iterable[PersonTask], processes: int) -> Iterator[list[EncodedView]]:
    """`render_person` of every task, in order, computed by `processes` processes some tasks ahead.

    Raises UserError when a process is killed from outside, as happens when memory runs out.
    """
    context = multiprocessing.get_context("spawn")
    remaining = iter(tasks)
    ahead: collections.deque[Future] = collections.deque()
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_die_with_parent)
    try:
        # The first `processes` tasks start the processes.
        with _lean_start():
            for task in _take(remaining, processes):
                ahead.append(pool.submit(render_person, task))
        for task in _take(remaining, 3 * processes):
            ahead.append(pool.submit(render_person, task))
        while ahead:
            done = ahead.popleft().result()
            for task in _take(remaining, 1):
                ahead.append(pool.submit(render_person, task))
            yield done
    except BrokenProcessPool as error:
        raise UserError("a rendering process was killed, perhaps for lack of memory; free some, run again") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _die_with_parent() -> None:
    """Ends this process when the one that started it is gone: a killed parent cannot tell its pool to stop."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _take(tasks: Iterator[PersonTask], count: int) -> Iterator[PersonTask]:
    """The next `count` tasks, or as many as there are."""
    for _, task in zip(range(count), tasks, strict=False):
        yield task


@contextlib.contextmanager
def _lean_start() -> Iterator[None]:
    """Processes started inside neither import the caller's main module (and with it JAX) nor use BLAS threads."""
    main, threads = sys.modules["__main__"], os.environ.get("OPENBLAS_NUM_THREADS")
    sys.modules["__main__"] = types.ModuleType("__main__")
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        if threads is None:
            del os.environ["OPENBLAS_NUM_THREADS"]
        else:
            os.environ["OPENBLAS_NUM_THREADS"] = threads


def _png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "png")
    return buffer.getvalue()

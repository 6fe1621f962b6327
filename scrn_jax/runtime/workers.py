"""This process's cores and memory; work done ahead, results in order: by lean processes, or by threads.

No JAX: workers import this.
"""

import collections
import contextlib
import ctypes
import gc
import multiprocessing
import os
import platform
import sys
import threading
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

from scrn_jax.errors import UserError

Task = TypeVar("Task")
Result = TypeVar("Result")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


TUNABLES, LARGE_PAGES = "GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"


def ask_for_large_pages(kernel: Path = Path("/sys/kernel/mm/transparent_hugepage/enabled")) -> None:
    """Start this program anew with glibc asking for large pages, where the kernel gives them to who asks (`madvise`).

    glibc gives large memory back as soon as it is freed, and the kernel clears it anew for the next training step. In
    pages of 4 KB that took an eighth of the demo's step on a CPU (`benchmarks.memory`), in pages of 2 MB little. glibc
    reads its tunables when a program starts. For a program's first line: nothing of it may have begun.
    """
    set_already = os.environ.get(TUNABLES, "")
    if platform.libc_ver()[0] != "glibc" or "glibc.malloc.hugetlb" in set_already:
        return
    try:
        gives = "[madvise]" in kernel.read_text("ascii")
    except OSError:
        return
    if gives:
        os.environ[TUNABLES] = f"{set_already}:{LARGE_PAGES}".lstrip(":")
        os.execv(sys.executable, sys.orig_argv)


def look_for_garbage_rarely() -> None:
    """Have Python look for cyclic garbage after 100,000 new objects in place of 700, and seldom through all objects.

    What JAX traces are millions of objects that live on, and nearly none of them is garbage: on a CPU the looking takes
    six seconds of a training's start and half a second of a photo's. A run of the demo holds 40 MB more for it.
    """
    gc.set_threshold(100_000, 50, 50)


def return_memory() -> None:
    """Give what is free back to the system, where the C library is glibc, which else keeps it for later.

    After XLA has compiled the demo's step that is 1.1 GB.
    """
    if platform.libc_ver()[0] == "glibc":
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)


def ordered_map(function: Callable[[Task], Result], tasks: Iterable[Task], processes: int) -> Iterator[Result]:
    """`function`, which a process can import by name, of every task, in order, computed some tasks ahead.

    `processes` = 0 computes in this process. Raises what `function` raises, and UserError when a process is killed from
    outside, as happens when memory runs out.
    """
    if processes == 0:
        yield from map(function, tasks)
        return
    context = multiprocessing.get_context("spawn")
    remaining = iter(tasks)
    ahead: collections.deque[Future] = collections.deque()
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_start, initargs=(context.RLock(),))
    try:
        # The first `processes` tasks start the processes.
        with _lean_start():
            for task in _take(remaining, processes):
                ahead.append(pool.submit(function, task))
        for task in _take(remaining, 3 * processes):
            ahead.append(pool.submit(function, task))
        while ahead:
            done = ahead.popleft().result()
            for task in _take(remaining, 1):
                ahead.append(pool.submit(function, task))
            yield done
    except BrokenProcessPool as error:
        raise UserError("a worker process was killed, perhaps for lack of memory; free some, run again") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start(lock: contextlib.AbstractContextManager) -> None:
    share_turns(lock)
    _die_with_parent()


def _die_with_parent() -> None:
    """Ends this process when the one that started it is gone: a killed parent cannot tell its pool to stop."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _take(tasks: Iterator[Task], count: int) -> Iterator[Task]:
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


class Turn:
    """Whose turn it is: a lock of this process, or one that several share."""

    lock: contextlib.AbstractContextManager = threading.RLock()


def share_turns(lock: contextlib.AbstractContextManager) -> None:
    """Makes large pictures take turns by `lock`, which several processes may share, from now on."""
    Turn.lock = lock


THREADS = min(8, cores() + 2)  # PIL leaves Python's lock while it decodes


def ahead(work: Callable[[Any], Any], items: Iterable[Any], threads: int = THREADS, depth: int = 64) -> Iterator[Any]:
    """Yields work(item) for each item in order, at most `depth` results ahead of who takes them.

    An exception of `work` is raised when its result is due; what has not begun by then is dropped.
    """
    pending: deque[Future] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) >= depth:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def batched(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Lists of `size` items, the last one shorter when they do not come out even."""
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch

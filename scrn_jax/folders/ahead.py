"""Work done ahead by threads, in order and within bounds: files are read and decoded while the device computes."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

THREADS = min(8, (os.cpu_count() or 1) + 2)  # PIL leaves Python's lock while it decodes


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

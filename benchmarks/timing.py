"""Times several ways of doing the same in turn, so that whatever else the machine does meets all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping

Run = Callable[[], object]


def alternate(sides: Mapping[str, Run], repeats: int) -> dict[str, list[float]]:
    """Seconds of each call, a list a side: the first part of `alternate_both`."""
    return alternate_both(sides, repeats)[0]


def alternate_both(
    sides: Mapping[str, Run], repeats: int, settle: int = 0
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """(seconds, processor seconds of all threads) of each call, a list a side; every second round in reverse order.

    A side is a function that returns when its work is done. A first call each is not counted, nor are `settle` calls
    before each one that is: after another side's turn memory and caches are not what they are in a row of calls.
    """
    for run in sides.values():
        run()
    wall: dict[str, list[float]] = {name: [] for name in sides}
    processor: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeats):
        for name in list(sides)[:: 1 if turn % 2 == 0 else -1]:
            for _ in range(settle):
                sides[name]()
            start, start_processor = time.perf_counter(), time.process_time()
            sides[name]()
            wall[name].append(time.perf_counter() - start)
            processor[name].append(time.process_time() - start_processor)
    return wall, processor


def median_ratio(numerator: list[float], denominator: list[float]) -> float:
    """The median over the rounds of one side's seconds by the other's in the same round."""
    return statistics.median(a / b for a, b in zip(numerator, denominator, strict=True))


def summary(
    seconds: Mapping[str, list[float]], against: str, processor: Mapping[str, list[float]] | None = None
) -> list[dict[str, float | str]]:
    """A row a side: median, least and quartiles in ms, how many times as fast as `against`, and the processor's time.

    The processor's time holds still when other work takes the cores away, the time on the wall does not.
    """
    rows = []
    for name, each in seconds.items():
        low, middle, high = statistics.quantiles(each, n=4, method="inclusive") if len(each) > 1 else each * 3
        speed = median_ratio(seconds[against], each)
        rows.append({
            "side": name, "median ms": 1e3 * middle, "least ms": 1e3 * min(each),
            "quartiles ms": f"{1e3 * low:.0f} to {1e3 * high:.0f}", f"times as fast as {against}": speed,
        })  # fmt: skip
        if processor:
            rows[-1]["processor ms"] = 1e3 * statistics.median(processor[name])
            rows[-1]["times by the processor"] = median_ratio(processor[against], processor[name])
    return rows

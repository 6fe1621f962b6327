"""A progress bar on a terminal; now and then a line in a log."""

import logging
import sys
import time

log = logging.getLogger(__name__)

_BAR = 30
_TERMINAL_PERIOD, _LOG_PERIOD = 0.2, 30.0  # seconds


class Progress:
    """How far a task is, and when it will be over.

    Use it as a context manager; `add` says that more is done.
    """

    def __init__(self, title: str, total: int, done: int = 0):
        self._title, self._total, self._done, self._begun_at = title, total, done, done
        self._terminal = sys.stderr.isatty()
        self._start = self._shown = time.monotonic()

    def __enter__(self) -> "Progress":
        if self._begun_at:
            log.info("%s: going on after %d of %d", self._title, self._begun_at, self._total)
        return self

    def __exit__(self, *_) -> None:
        if self._terminal:
            sys.stderr.write(f"\r{self._line()}\n")
            sys.stderr.flush()
        else:
            log.info("%s", self._line())

    def add(self, count: int) -> None:
        """`count` more items are done."""
        self._done += count
        now = time.monotonic()
        if self._done >= self._total or now - self._shown < (_TERMINAL_PERIOD if self._terminal else _LOG_PERIOD):
            return
        self._shown = now
        if self._terminal:
            sys.stderr.write(f"\r{self._line()} ")
            sys.stderr.flush()
        else:
            log.info("%s", self._line())

    def _line(self) -> str:
        filled = _BAR * self._done // max(self._total, 1)
        seconds = time.monotonic() - self._start
        rate = (self._done - self._begun_at) / max(seconds, 1e-9)
        left = f", {(self._total - self._done) / rate:.0f} s left" if rate and self._done < self._total else ""
        bar = f"[{'#' * filled}{'.' * (_BAR - filled)}] " if self._terminal else ""
        return f"{self._title} {bar}{self._done}/{self._total}, {rate:.1f}/s{left}"

"""The error whose message is meant for a user, and the checks of numbers that raise it."""

import math


class UserError(ValueError):
    """Bad input from outside (a file, a flag, a config). The command line prints its message without a traceback."""


def first_line(error: BaseException) -> str:
    """What a library's error says in its first line, at most 300 characters; its type when it says nothing."""
    lines = str(error).strip().splitlines()
    # Orbax adds how TensorStore was asked, over a whole page.
    said = lines[0].partition(" See full TensorStore details")[0] if lines else ""
    return said[:300] or type(error).__name__


def require_positive(section, where: str, *names: str):
    for name in names:
        if not getattr(section, name) > 0:
            raise UserError(f"config.{where}.{name} must be above 0, got {getattr(section, name)}")


def require_not_negative(section, where: str, *names: str):
    for name in names:
        if not 0 <= getattr(section, name) < math.inf:
            raise UserError(f"config.{where}.{name} must be a number of at least 0, got {getattr(section, name)}")


def require_at_most(section, where: str, **limits: int):
    for name, limit in limits.items():
        if not 0 < getattr(section, name) <= limit:
            raise UserError(f"config.{where}.{name} must be from 1 to {limit}, got {getattr(section, name)}")


def require_one_of(section, where: str, name: str, choices):
    if (value := getattr(section, name)) not in choices:
        path = ".".join(part for part in ("config", where, name) if part)
        raise UserError(f"{path} must be one of {', '.join(choices)}, got {value!r}")

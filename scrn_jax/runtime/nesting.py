"""JSON and TOML of strangers nest as deeply as our files at most: what is deeper ends those who print or copy it."""

import json
from typing import Any

# Of lists and objects in each other; TFDS's own files have ten.
MOST_LEVELS = 32


def parse_json(text: str | bytes) -> Any:
    """What a JSON text holds. Raises ValueError with the reason when it is none, or nests too deeply."""
    try:
        content = json.loads(text)
    except RecursionError as error:
        raise ValueError(str(error)) from error
    check_levels(content)
    return content


def check_levels(content: Any) -> None:
    """Raises ValueError when lists and mappings nest more deeply than `MOST_LEVELS`."""
    level = [content] if isinstance(content, list | dict) else []
    for _ in range(MOST_LEVELS):
        inside = (value.values() if isinstance(value, dict) else value for value in level)
        level = [child for values in inside for child in values if isinstance(child, list | dict)]
        if not level:
            return
    raise ValueError(f"more than {MOST_LEVELS} lists and objects in each other")

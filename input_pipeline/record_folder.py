"""What lies in a folder of prepared records, read as data: no class, path or module that its files name is followed.

TFDS writes such a folder. Its own reader builds whatever classes features.json names, importing their modules, and
takes the shards' paths from dataset_info.json; so the folder is read here, and only names that we write are admitted.
"""

import re
from pathlib import Path

from scrn_jax.errors import UserError
from scrn_jax.runtime.files import read_json

INFO_FILE, SCHEMA_FILE, METADATA_FILE = "dataset_info.json", "features.json", "metadata.json"
_FILE_FORMAT = "array_record"
_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
_NAME = re.compile(r"[A-Za-z0-9_]{1,100}")
_MOST_SHARDS = 1 << 16
_MOST_RECORDS = 1 << 40


def find_prepared(directory: Path) -> Path:
    """The one folder with a dataset_info.json at or below `directory`. Raises UserError for none or several."""
    if not directory.is_dir():
        raise UserError(f"{directory}: no such folder; prepare the data set first or mend config.data.dir")
    found = [directory] if (directory / INFO_FILE).is_file() else []
    # A folder named incomplete.* is what an interrupted preparation left: it never counts as prepared.
    found = found or sorted(
        path.parent
        for path in directory.rglob(INFO_FILE)
        if not any(part.startswith("incomplete") for part in path.relative_to(directory).parts)
    )
    if not found:
        raise UserError(f"{directory}: holds no prepared data set (no {INFO_FILE}); prepare it first")
    if len(found) > 1:
        names = ", ".join(str(path.relative_to(directory)) for path in found)
        raise UserError(f"{directory}: holds several data sets ({names}); point config.data.dir at one of them")
    return found[0]


def split_names(directory: Path) -> list[str]:
    """The splits of the prepared data set in `directory`, train first. Raises UserError for a broken info file."""
    return sorted(_splits(directory), key=lambda name: (name != "train", name))


def shards(directory: Path, split: str) -> tuple[list[Path], int]:
    """The files of a split in their order, all of them in `directory`, and how many records they should hold.

    Raises UserError for a broken info file, an absent split, and file names other than TFDS's own.
    """
    splits = _splits(directory)
    if split not in splits:
        raise UserError(f"{directory}: has no split {split!r} (it has {', '.join(splits)}); prepare it again")
    name, lengths = _info(directory).get("name"), splits[split]
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _broken(directory, f"name is {name!r}")
    count = len(lengths)
    files = [directory / f"{name}-{split}.{_FILE_FORMAT}-{i:05d}-of-{count:05d}" for i in range(count)]
    return files, sum(lengths)


def schema(directory: Path) -> object:
    """What features.json holds, as JSON values. Raises UserError when that cannot be read."""
    return _read(directory / SCHEMA_FILE)


def metadata(directory: Path) -> dict[str, object]:
    """Where the prepared data set in `directory` comes from; empty when that was not written down."""
    file = directory / METADATA_FILE
    if not file.is_file():
        return {}
    content = read_json(file)
    return content if isinstance(content, dict) else {}


def _info(directory: Path) -> dict[str, object]:
    content = _read(directory / INFO_FILE)
    if not isinstance(content, dict):
        raise _broken(directory, "it holds no object")
    if content.get("fileFormat") != _FILE_FORMAT:
        raise _broken(directory, f"fileFormat is {content.get('fileFormat')!r}")
    return content


def _splits(directory: Path) -> dict[str, list[int]]:
    """The numbers of records in the shards of each split."""
    listed = _info(directory).get("splits")
    if not isinstance(listed, list) or not listed or not all(isinstance(split, dict) for split in listed):
        raise _broken(directory, "it names no splits")
    found = {}
    for split in listed:
        name = split.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in found:
            raise _broken(directory, f"a split is called {name!r}")
        if split.get("filepathTemplate", _TEMPLATE) != _TEMPLATE:
            raise _broken(directory, f"the files of split {name} are called {split['filepathTemplate']!r}")
        found[name] = _lengths(directory, split.get("shardLengths"))
    return found


def _lengths(directory: Path, listed: object) -> list[int]:
    """TFDS writes 64-bit numbers as texts."""
    if not isinstance(listed, list) or not 1 <= len(listed) <= _MOST_SHARDS:
        raise _broken(directory, "a split has no list of shards")
    lengths = [int(text) if isinstance(text, str) and re.fullmatch(r"[0-9]{1,12}", text) else -1 for text in listed]
    if not all(0 <= length <= _MOST_RECORDS for length in lengths):
        raise _broken(directory, "shardLengths are no numbers")
    return lengths


def _read(file: Path) -> object:
    try:
        return read_json(file)
    except UserError as error:
        raise UserError(f"{error}; prepare it again") from error


def _broken(directory: Path, reason: str) -> UserError:
    return UserError(f"{directory / INFO_FILE}: not what this project writes ({reason}); prepare it again")

"""The doctor of data sets, `python -m input_pipeline.check`: whole sets examined, whatever form they have."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from input_pipeline.check.dataset import Report, examine_collection
from input_pipeline.formats.folder import is_raw, options_of, read_folder
from scrn_jax.errors import UserError
from scrn_jax.runtime import console


def check(data: Mapping[str, Any], processes: int, samples: int = 0, seed: int = 0) -> Report:
    """Examines the data set that a config's `data` section names; `data.name` may be left out.

    Raises UserError for a folder that is not there or holds no data set; everything else is in the report's findings.
    """
    options = options_of(data)
    directory = Path(data["dir"]).expanduser()
    if not directory.is_dir():
        raise UserError(f"{directory}: no such folder; give the folder of the data set")
    prepared = not is_raw(directory) and next(directory.rglob("dataset_info.json"), None) is not None
    if data.get("name") in ("records", "mannequins") or prepared:
        with console.silent_stderr():  # TensorFlow, which folders do without
            examine_records = importlib.import_module("input_pipeline.check.records").examine_records
        return examine_records(directory, processes, samples, seed)
    return examine_collection(read_folder(directory, options), processes, samples, seed)

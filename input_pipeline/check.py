"""The doctor of data sets: python -m input_pipeline.check --data_dir DIR, or --config configs/deepfashion.py:full.

Reads every picture with its annotations, whether DeepFashion, one's own with a manifest, or prepared records; lists
what is wrong, file by file; writes a page with random samples to look at. Exit code 1 when there are errors.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import config_flags

from input_pipeline import layout_flags
from input_pipeline.doctor import Report, examine_collection, summary
from input_pipeline.findings import ERROR
from input_pipeline.folder import is_raw, read_folder
from input_pipeline.layout import Options
from input_pipeline.page import write_findings, write_page
from scrn_jax.errors import UserError
from scrn_jax.runtime import console
from scrn_jax.runtime.workers import cores

_FLAGS = flags.FLAGS


def check(data: Mapping[str, Any], processes: int, samples: int = 0, seed: int = 0) -> Report:
    """Examines the data set that a config's `data` section names; `data.name` may be left out.

    Raises UserError for a folder that is not there or holds no data set; everything else is in the report's findings.
    """
    directory = Path(data["dir"]).expanduser()
    if not directory.is_dir():
        raise UserError(f"{directory}: no such folder; give the folder of the data set")
    prepared = not is_raw(directory) and next(directory.rglob("dataset_info.json"), None) is not None
    if data.get("name") in ("records", "mannequins") or prepared:
        with console.silent_stderr():  # TensorFlow, which folders do without
            examine_records = importlib.import_module("input_pipeline.examine_records").examine_records
        return examine_records(directory, processes, samples, seed)
    options = {key: data[key] for key in ("annotation_width", "merge", "images") if data.get(key) is not None}
    return examine_collection(read_folder(directory, Options(**options)), processes, samples, seed)


def main() -> int:
    """Checks, prints, writes page and findings; the exit code."""
    data = dict((console.config_flag() or {}).get("data", {}))
    data |= layout_flags.chosen()
    if _FLAGS.data_dir is not None:
        data["dir"] = _FLAGS.data_dir
    if not data.get("dir"):
        raise UserError("which data set? give --data_dir DIR, or --config FILE")
    report = check(data, cores() if _FLAGS.processes is None else _FLAGS.processes, _FLAGS.samples, _FLAGS.seed)
    print("\n".join(summary(report)))
    page = Path(_FLAGS.page)
    findings = page.with_name("findings.csv")
    write_page(page, f"Check of {data['dir']}", report)
    write_findings(findings, report)
    errors = len(report.findings.of(ERROR))
    print(f"{page} and {findings} written; {errors or 'no'} error{'s' if errors != 1 else ''}")
    return 1 if errors else 0


if __name__ == "__main__":
    config_flags.DEFINE_config_file("config", None, "Config file whose `data` section names the data set.")
    flags.DEFINE_string("data_dir", None, "Folder of the data set: DeepFashion, one with a manifest, or records.")
    flags.DEFINE_string("page", "check.html", "Where the page goes; findings.csv goes beside it.")
    flags.DEFINE_integer("seed", 0, "Which samples.")
    layout_flags.define()
    console.run(main)

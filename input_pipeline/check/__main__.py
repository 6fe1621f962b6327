"""The doctor of data sets: python -m input_pipeline.check --data_dir DIR, or --config configs/deepfashion.py:full.

Reads every picture with its annotations, whether DeepFashion, one's own with a manifest, or prepared records; lists
what is wrong, file by file; writes a page with random samples to look at. Exit code 1 when there are errors.
"""

import sys
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from input_pipeline.check import check
from input_pipeline.check.dataset import summary
from input_pipeline.check.page import write_findings, write_page
from input_pipeline.formats import flags as flags_lib
from input_pipeline.formats.findings import ERROR
from scrn_jax.errors import UserError
from scrn_jax.runtime import console
from scrn_jax.runtime.files import check_writable
from scrn_jax.runtime.workers import cores

_FLAGS = flags.FLAGS


def main() -> int:
    """Checks, prints, writes page and findings; the exit code."""
    data = dict((console.config_flag() or {}).get("data", {}))
    data |= flags_lib.chosen()
    if _FLAGS.data_dir is not None:
        data["dir"] = _FLAGS.data_dir
    if not data.get("dir"):
        raise UserError("which data set? give --data_dir DIR, or --config FILE")
    page = Path(_FLAGS.page)
    findings = page.with_name("findings.csv")
    for file in (page, findings):
        check_writable(file, "give --page=FILE in a folder that can be written")
    sys.stdout.reconfigure(errors="backslashreplace")  # for names that are no UTF-8
    report = check(data, cores() if _FLAGS.processes is None else _FLAGS.processes, _FLAGS.samples, _FLAGS.seed)
    print("\n".join(summary(report)))
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
    flags_lib.define()
    console.run(main)

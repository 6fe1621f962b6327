"""Prepares records: python -m input_pipeline.prepare --source DIR --output DIR.

DIR is DeepFashion as you have it, or a folder of your own with a people.toml: docs/data.md. The result is opened with
config.data = {"name": "records", "dir": OUTPUT}.
"""

import sys
from pathlib import Path

from absl import flags

from input_pipeline.check.dataset import summary
from input_pipeline.check.page import write_findings, write_page
from input_pipeline.formats import flags as flags_lib
from input_pipeline.formats.deepfashion import Options
from scrn_jax.errors import UserError
from scrn_jax.runtime import console
from scrn_jax.runtime.files import check_writable
from scrn_jax.runtime.workers import cores

_FLAGS = flags.FLAGS


def main() -> int:
    """Prepares, prints what was found, writes the doctor's page beside the records; the exit code."""
    source, output = (Path(path).expanduser().absolute() for path in (_FLAGS.source, _FLAGS.output))
    options = Options(**flags_lib.chosen())
    if not source.is_dir():
        raise UserError(f"{source}: no such folder; give the folder of the data set")
    with console.silent_stderr():  # TensorFlow, this late so that a slip in the flags is told at once
        from input_pipeline.prepare import builders

    check_writable(output / "check.html", "give another --output")
    config = builders.FolderConfig(
        name="pairs",
        options=options,
        processes=cores() if _FLAGS.processes is None else _FLAGS.processes,
        skip_broken=_FLAGS.skip_broken,
        samples=_FLAGS.samples,
    )
    folder, report = builders.prepare(source, output, config)
    if report is None:
        print(f"{folder} is prepared from these files already; nothing to do")
        return 0
    sys.stdout.reconfigure(errors="backslashreplace")  # for names that are no UTF-8
    print("\n".join(summary(report)))
    write_page(output / "check.html", f"Preparation of {source}", report)
    write_findings(output / "findings.csv", report)
    print(f"{folder} written; look at the maps and joints in {output / 'check.html'}")
    return 0


if __name__ == "__main__":
    flags.DEFINE_string("source", None, "Folder of the data set as it is on disk.", required=True)
    flags.DEFINE_string("output", None, "Folder for the records.", required=True)
    flags.DEFINE_boolean(
        "skip_broken", False, "Leave out the pairs of broken pictures instead of refusing the data set."
    )
    flags_lib.define()
    console.run(main)

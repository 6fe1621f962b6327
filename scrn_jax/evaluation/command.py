"""The flags of an evaluation of folders, and what they start. Importing this file imports nothing that computes."""

import logging
from pathlib import Path

from absl import flags

from scrn_jax.errors import UserError

log = logging.getLogger(__name__)

_FLAGS = flags.FLAGS
_DEFAULT_OUTPUT = "evaluation"
_OTHERS = (
    "reference", "protocol", "pairs", "masks", "training_images", "generated_joints", "reference_joints",
    "allow_missing", "output", "batch_size", "inception_weights",
)  # fmt: skip


def define_flags() -> None:
    """The flags that --mode evaluate takes beside or instead of --workdir."""
    text, yes = flags.DEFINE_string, flags.DEFINE_boolean
    text("generated", None, "Folder of generated images to evaluate, from whatever method; needs --reference.")
    flags.DEFINE_list(
        "compare",
        None,
        "Several such folders, DIR1,NAME2=DIR2,NAME3=DIR3@LAYOUT,...: one table, beside the published one.",
    )
    text("reference", None, "Folder of the true images.")
    text("protocol", None, "How to measure: scrn (the default), patn, gfla, dptn or cfld; NAME@512x352 in that frame.")
    text("pairs", None, "CSV with the columns from,to: which pairs there should be.")
    text("masks", None, "Folder of person masks, PNGs named like the references: adds mask-SSIM and mask-LPIPS.")
    text("training_images", None, "Folder of training images, or .npz of their statistics: what FID compares with.")
    text("generated_joints", None, "Annotation CSV of the generated images; with --reference_joints it adds PCKh.")
    text("reference_joints", None, "Annotation CSV of the references.")
    yes("allow_missing", False, "Measure what matches, and count what is missing or extra, instead of an error.")
    text("output", None, f"Folder of the report; ./{_DEFAULT_OUTPUT} by default.")
    flags.DEFINE_integer(
        "batch_size", None, "Images a batch; rounded up to a multiple of the number of devices.", lower_bound=1
    )
    text("inception_weights", "auto", "FID's network: auto, download, or a path to an .npz or .safetensors file.")


def is_asked_for() -> bool:
    """Whether the flags ask for an evaluation of folders.

    Raises:
      UserError: flags of such an evaluation without a folder to evaluate or in another mode.
    """
    asked = _FLAGS.generated is not None or _FLAGS.compare is not None
    given = [name for name in _OTHERS if _FLAGS[name].present]
    if not asked and given:
        raise UserError(f"--{given[0]} evaluates folders: give --generated DIR or --compare DIR1,DIR2,... with it")
    if asked and _FLAGS.mode != "evaluate":
        raise UserError("--generated and --compare evaluate folders: give --mode evaluate with them")
    return asked


def run() -> None:
    """Evaluates the folders that the flags name, writes the report and logs its table.

    Raises:
      UserError: see `evaluate.evaluate`; and flags that do not go together.
    """
    from scrn_jax.evaluation.folders import evaluate
    from scrn_jax.evaluation.folders.passes import Shelf
    from scrn_jax.evaluation.report import folders, markdown
    from scrn_jax.metrics import protocols
    from scrn_jax.runtime import devices

    if _FLAGS.generated is not None and _FLAGS.compare is not None:
        raise UserError("give --generated or --compare, not both")
    if _FLAGS.reference is None:
        raise UserError("--reference is not set; give the folder of the true images")
    devices.keep_programs(devices.AUTO)
    devices.one_device_each()
    devices.warn_of_unused_accelerator()
    compared = {} if _FLAGS.compare is None else methods_of(_FLAGS.compare)
    methods = {name: folder for name, (folder, _) in compared.items()} or {"generated": _path("generated")}
    request = evaluate.Request(
        methods=methods,
        reference=_path("reference"),
        protocol=protocols.protocol(_FLAGS.protocol or protocols.DEFAULT),
        output=_path("output") or Path(_DEFAULT_OUTPUT),
        pairs=_path("pairs"),
        masks=_path("masks"),
        training=_path("training_images"),
        generated_joints=_path("generated_joints"),
        reference_joints=_path("reference_joints"),
        allow_missing=_FLAGS.allow_missing,
        batch_size=_FLAGS.batch_size,
        inception=_FLAGS.inception_weights,
        layouts={name: layout for name, (_, layout) in compared.items() if layout},
    )
    written = folders.write(evaluate.evaluate(request), comparing=_FLAGS.compare is not None)
    Shelf(request.output).clear()
    for line in markdown.summary_lines(written):
        log.info("%s", line)
    log.info("report: %s", request.output / "report.html")


def methods_of(entries: list[str]) -> dict[str, tuple[Path, str]]:
    """Name -> (folder, layout) of the entries DIR, NAME=DIR or either with @LAYOUT; a folder's own name is the default.

    The layout is "" where none is said. What follows the last @ is one only if there is no folder of the whole name.

    Raises:
      UserError: no entry, an empty one, or two of one name.
    """
    methods: dict[str, tuple[Path, str]] = {}
    for entry in entries:
        name, equals, folder = entry.partition("=")
        path, layout = _with_layout(folder if equals else entry)
        name = name if equals else path.resolve().name
        if not entry.strip() or not name or (equals and not folder):
            raise UserError(f"--compare: {entry!r} is no folder; write DIR1,DIR2 or NAME1=DIR1,NAME2=DIR2")
        if name in methods:
            raise UserError(
                f"--compare: two methods are called {name}; name them: NAME1={methods[name][0]},NAME2={path}"
            )
        methods[name] = path, layout
    if not methods:
        raise UserError("--compare names no folder; write DIR1,DIR2")
    return methods


def _with_layout(entry: str) -> tuple[Path, str]:
    folder, at, layout = entry.rpartition("@")
    whole = Path(entry).expanduser()
    return (Path(folder).expanduser(), layout) if at and folder and not whole.exists() else (whole, "")


def _path(flag: str) -> Path | None:
    value = _FLAGS[flag].value
    return None if value is None else Path(value).expanduser()

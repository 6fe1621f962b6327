"""Trains, evaluates and exports a model that paints a person in another pose.

    python -m scrn_jax.main --config configs/demo.py --workdir runs/demo
    python -m scrn_jax.main --mode evaluate --workdir runs/demo
    python -m scrn_jax.main --mode export --workdir runs/demo --output models/demo
    python -m scrn_jax.main --mode evaluate --generated results/ --reference deepfashion/test/ --output report/
    python -m scrn_jax.main --mode transfer --image me.jpg --pose walking --output out.png
    python -m scrn_jax.main --mode serve

The first trains, or goes on with a run, and evaluates it at its end; --config.SECTION.KEY=VALUE changes a key, as in
--config.train.steps=100. The fourth measures any method's images; the last two take a photo.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from scrn_jax.errors import UserError
from scrn_jax.evaluation import command
from scrn_jax.inference import command as transfer_command
from scrn_jax.runtime import console, distributed, files, workers

MODES = ("train", "evaluate", "export", "transfer", "serve")
FORMATS = ("orbax", "stablehlo", "tflite")


def define_flags() -> None:
    """Every flag of the program."""
    config_flags.DEFINE_config_file(
        "config", None,
        "Config file, such as configs/demo.py, or configs/deepfashion.py:best for a variant of it; "
        "--config.section.key=value overrides a key.",
    )  # fmt: skip
    flags.DEFINE_string("workdir", None, "Folder of the run: checkpoints, samples, metrics, report.")
    flags.DEFINE_enum(
        "mode", "train", MODES,
        "train (and evaluate at the end); evaluate a workdir, an exported model or folders of images; export a "
        "workdir's model to --output; transfer an --image to a --pose; serve the page.",
    )  # fmt: skip
    flags.DEFINE_enum(
        "format", "orbax", FORMATS,
        "Of an export: orbax, which the other modes read; stablehlo, for JAX alone; tflite, without JAX. Of a "
        "--workdir, of an exported --model, or of the model that comes with the package.",
    )  # fmt: skip
    flags.DEFINE_string(
        "pictures", None,
        "With --mode evaluate of a workdir: a new folder for every test picture and its target, which the protocols of "
        "--generated measure.",
    )  # fmt: skip
    flags.DEFINE_integer("profile_steps", 0, "Profile so many training steps into WORKDIR/profile.", lower_bound=0)
    with console.flag_group(
        "Any method's images, with --mode evaluate (docs/evaluation.md); --output also with export"
    ):
        command.define_flags()
    with console.flag_group("A photo and a pose, with --mode transfer; the page, with --mode serve (docs/use.md)"):
        transfer_command.define_flags()
    with console.flag_group("Several processes as one run (docs/scaling.md)"):
        distributed.define_flags()


def main() -> None:
    """Do what --mode says."""
    mode, config = flags.FLAGS.mode, console.config_flag()
    if transfer_command.is_asked_for():
        return transfer_command.run()
    # An export has an --output of its own.
    if mode != "export" and command.is_asked_for():
        return command.run()
    if mode == "export" and (flags.FLAGS.model is not None or _wants_shipped()):
        return _convert(flags.FLAGS.model)
    if flags.FLAGS.workdir is None:
        raise UserError("--workdir is not set; give the folder of the run, e.g. --workdir runs/demo")
    if mode == "train" and config is None:
        raise UserError("--mode train needs a --config, e.g. --config configs/demo.py")
    if mode == "export" and flags.FLAGS.output is None:
        raise UserError("--mode export needs an --output, a new folder for the model")
    pictures = _pictures(mode)
    job, workdir = distributed.job_from_flags(), Path(flags.FLAGS.workdir).expanduser()
    # Late, so that --help and mistakes in flags and config answer at once.
    with console.silent_stderr():
        from scrn_jax import settings
    chosen = None if config is None else settings.from_config(config)
    with console.silent_stderr():
        from scrn_jax import data
        from scrn_jax.evaluation import heldout
        from scrn_jax.runtime import devices
        from scrn_jax.training import checkpoints, export, loop
        from scrn_jax.training import workdir as workdir_lib

    distributed.join(job)
    if chosen is None:
        chosen = workdir_lib.read_config(workdir)
    elif mode != "train":
        chosen = workdir_lib.trained_with(workdir, chosen)
    devices.keep_programs(chosen.compilation_cache)
    with distributed.peers_at_risk():
        match mode:
            case "train":
                loop.train(chosen, workdir, flags.FLAGS.profile_steps)
            case "evaluate":
                mesh, sources = devices.make_mesh(), data.open_sources(chosen.data)
                read = checkpoints.read_params(chosen, workdir, mesh)
                heldout.evaluate(chosen, workdir, mesh, *read, *sources, pictures)
            case "export":
                _export(export.export, chosen, workdir)


def _pictures(mode: str) -> Path | None:
    """Where --pictures wants them."""
    if flags.FLAGS.pictures is None:
        return None
    if mode != "evaluate":
        raise UserError("--pictures belongs to --mode evaluate of a --workdir; give --mode evaluate with it")
    folder = Path(flags.FLAGS.pictures).expanduser()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"--pictures {folder}: is there already, and no empty folder; give a new one")
    files.check_writable(folder / "generated.png")
    return folder


def _export(export: Callable, settings, workdir: Path) -> None:
    """Export a run's model in the format asked for; all but Orbax's are made from that one."""
    output = Path(flags.FLAGS.output).expanduser()
    if flags.FLAGS.format == "orbax":
        return export(settings, workdir, output)
    with tempfile.TemporaryDirectory() as folder:
        export(settings, workdir, Path(folder) / "model")
        _convert(Path(folder) / "model")


def _wants_shipped() -> bool:
    return flags.FLAGS.workdir is None and flags.FLAGS.format != "orbax"


def _convert(model: str | Path | None) -> None:
    """Write an exported model, or the one that comes with the package, in another format."""
    if flags.FLAGS.output is None:
        raise UserError("--mode export needs an --output, a new folder for the model")
    if flags.FLAGS.format == "orbax":
        raise UserError(f"--model {model} is an Orbax export already; give --format stablehlo or tflite")
    with console.silent_stderr():
        from scrn_jax.inference import export_formats, transfer
    folder = transfer.SHIPPED if model is None else Path(model).expanduser()
    export_formats.convert(folder, Path(flags.FLAGS.output).expanduser(), flags.FLAGS.format)


if __name__ == "__main__":
    workers.ask_for_large_pages()
    workers.look_for_garbage_rarely()
    define_flags()
    console.run(main)

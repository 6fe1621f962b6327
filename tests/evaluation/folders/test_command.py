"""The evaluation of folders as a user starts it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scrn_jax.errors import UserError
from scrn_jax.evaluation import command

ROOT = Path(__file__).parents[3]
# A machine without TensorFlow; and training code that says so when it is imported.
BLOCKED = (
    "tensorflow", "tensorflow_datasets", "clu", "input_pipeline", "scrn_jax.training", "scrn_jax.models.scrn",
    "scrn_jax.models.base", "scrn_jax.evaluation.heldout", "scrn_jax.settings", "scrn_jax.data",
)  # fmt: skip
PROGRAM = (
    f"import sys; sys.modules.update(dict.fromkeys({BLOCKED!r})); from scrn_jax import main; "
    "from scrn_jax.runtime import console; main.define_flags(); console.run(main.main)"
)


@pytest.fixture(scope="module")
def run():
    """Runs the program: (exit code, standard output, standard error)."""

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *map(str, arguments)],
            cwd=ROOT, env={**os.environ, "JAX_PLATFORMS": "cpu"}, capture_output=True, text=True, timeout=240,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture(scope="module")
def folders(make_folders, tmp_path_factory):
    return make_folders(tmp_path_factory.mktemp("command"), 3)


def test_two_folders_are_one_command_without_config_training_code_and_tensorflow(run, folders, tmp_path):
    made, true = folders
    options = ["--mode", "evaluate", "--generated", made, "--reference", true, "--protocol", "patn"]
    code, out, err = run(*options, "--output", tmp_path / "report")
    assert code == 0, err
    found = json.loads((tmp_path / "report" / "report.json").read_text())
    assert found["count"] == 3 and found["protocol"] == "patn" and set(found["metrics"]) == {"ssim", "psnr"}
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == [
        "per_image.csv", "report.html", "report.json", "report.md",
    ]  # fmt: skip
    assert "generated: measuring 3/3" in out and out.strip().endswith("report.html")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mode", "evaluate", "--generated", "/nowhere"], "--reference is not set"),
        (["--generated", "a", "--reference", "b"], "give --mode evaluate"),
        (
            ["--mode", "evaluate", "--workdir", "w", "--protocol", "patn"],
            "--protocol evaluates folders: give --generated",
        ),
        (
            ["--mode", "evaluate", "--generated", "{made}", "--reference", "{true}", "--protocol", "adgan"],
            "choose among",
        ),
        (["--mode", "evaluate"], "--workdir is not set"),
        (["--mode", "evaluate", "--generated", "{made}", "--reference", "{made}/x"], "no such folder"),
    ],
    ids=["no reference", "no mode", "no folder", "unknown protocol", "nothing", "no such folder"],
)
def test_a_mistake_ends_as_one_line_and_leaves_nothing(arguments, message, run, folders, tmp_path):
    names = {"made": folders[0], "true": folders[1]}
    arguments = [argument.format(**names) for argument in arguments]
    arguments += ["--output", tmp_path / "out"] if "--reference" in arguments else []
    code, _, err = run(*arguments)
    assert code == 1
    assert err.startswith("error: ") and message in err and len(err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_methods_are_called_like_their_folders_or_as_the_user_says(tmp_path):
    methods = command.methods_of([str(tmp_path / "PATN"), f"ours={tmp_path}/run/images"])
    assert methods == {"PATN": (tmp_path / "PATN", ""), "ours": (tmp_path / "run" / "images", "")}


@pytest.mark.parametrize("entries", [["a/images", "b/images"], ["=a"], ["x="], [""], []])
def test_methods_without_a_name_of_their_own_are_refused(entries):
    with pytest.raises(UserError, match="--compare"):
        command.methods_of(entries)

"""Damaged checkpoints, a full disk, a vanished folder: what a run says, and what it leaves untouched."""

import logging
import resource
import shutil
import signal
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scrn_jax import data
from scrn_jax.errors import UserError
from scrn_jax.training import checkpoints as checkpoints_lib
from scrn_jax.training import loop, preemption
from scrn_jax.training import workdir as workdir_lib
from scrn_jax.training.checkpoints import UNREADABLE, Checkpoints

IDENTITY = {"size": [32, 32]}


def _like(state):
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), state)


def _state(step: int):
    return {"x": jax.random.normal(jax.random.key(step), (30_000,)), "step": jnp.int32(step)}


@pytest.fixture
def saved(tmp_path):
    """A workdir with checkpoints of steps 1 to 3."""
    with Checkpoints(tmp_path, IDENTITY, keep=3) as checkpoints:
        for step in (1, 2, 3):
            checkpoints.save(step, _state(step))
    return tmp_path


def _truncate(workdir, step: int):
    """Cut the largest file of a checkpoint in half."""
    largest = max((workdir / "checkpoints" / str(step)).rglob("*"), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])


def _steps(workdir):
    return sorted(int(path.name) for path in (workdir / "checkpoints").iterdir() if path.name.isdigit())


def test_a_truncated_checkpoint_is_passed_over_for_the_one_before_it(saved, caplog):
    _truncate(saved, 3)
    with Checkpoints(saved, IDENTITY) as checkpoints:
        restored = checkpoints.restore(_like(_state(0)))
    np.testing.assert_array_equal(restored["x"], _state(2)["x"])
    (warning,) = [
        record for record in caplog.records if record.levelno == logging.WARNING and record.name.startswith("scrn")
    ]
    assert f"{saved / 'checkpoints' / '3'} cannot be read and is passed over" in warning.getMessage()
    assert _steps(saved) == [1, 2, 3], "reading alone moves nothing"


def test_a_missing_file_is_like_a_truncated_one(saved):
    shutil.rmtree(saved / "checkpoints" / "3" / "state" / "ocdbt.process_0")
    with Checkpoints(saved, IDENTITY) as checkpoints:
        assert checkpoints.restore(_like(_state(0)))["step"] == 2


def test_a_run_that_goes_on_saves_the_damaged_steps_anew(saved):
    _truncate(saved, 3)
    with Checkpoints(saved, IDENTITY, keep=3) as checkpoints:
        checkpoints.restore(_like(_state(0)))
        checkpoints.set_aside()
        assert _steps(saved) == [1, 2] and checkpoints.latest_step == 2
        checkpoints.save(3, _state(3))
    with Checkpoints(saved, IDENTITY, keep=3) as checkpoints:
        np.testing.assert_array_equal(checkpoints.restore(_like(_state(0)))["x"], _state(3)["x"])
    assert len(list((saved / UNREADABLE).iterdir())) == 1


def test_when_none_can_be_read_nothing_is_moved(saved):
    for step in (1, 2, 3):
        _truncate(saved, step)
    with (
        Checkpoints(saved, IDENTITY, keep=3) as checkpoints,
        pytest.raises(UserError, match="none of the 3 checkpoints"),
    ):
        checkpoints.restore(_like(_state(0)))
    assert _steps(saved) == [1, 2, 3]


def test_a_disk_that_is_full_ends_clearly_and_keeps_the_last_good_checkpoint(saved):
    """A limit on the size of a file stands in for the disk's end."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with (
            pytest.raises(
                UserError, match="cannot be written into .*: File too large; step 3 is the newest.*the same command"
            ),
            Checkpoints(saved, IDENTITY) as checkpoints,
        ):
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
            checkpoints.save(4, _state(4))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    with Checkpoints(saved, IDENTITY) as checkpoints:
        np.testing.assert_array_equal(checkpoints.restore(_like(_state(0)))["x"], _state(3)["x"])


def test_what_orbax_logs_about_its_errors_is_not_said_again(tmp_path, caplog):
    """It also raises them, and a full disk would fill the screen with tracebacks before the one line that says so."""
    noise = logging.LogRecord("absl", logging.ERROR, "/site-packages/orbax/checkpoint/x.py", 1, "noise", (), None)
    other = logging.LogRecord("absl", logging.ERROR, "/site-packages/other/x.py", 1, "news", (), None)
    with Checkpoints(tmp_path, IDENTITY), caplog.at_level(logging.ERROR, "absl"):
        for record in (noise, other):
            logging.getLogger("absl").handle(record)
        assert "news" in caplog.text and "noise" not in caplog.text
    logging.getLogger("absl").handle(noise)
    assert "noise" in caplog.text


DAMAGED = """
'''Meets a damaged checkpoint of many arrays, of which the first to fail is raised.'''
import contextlib, pathlib, sys
import jax, jax.numpy as jnp
from scrn_jax.errors import UserError
from scrn_jax.runtime import console
from scrn_jax.training.checkpoints import Checkpoints

FOLDER = pathlib.Path(sys.argv.pop())

def main():
    state = {f"x{number}": jax.random.normal(jax.random.key(number), (100_000,)) for number in range(8)}
    with Checkpoints(FOLDER, {}) as checkpoints:
        checkpoints.save(1, state)
    largest = max((FOLDER / "checkpoints" / "1").rglob("*"), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:100])
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state)
    for _ in range(4):
        with contextlib.suppress(UserError), Checkpoints(FOLDER, {}) as checkpoints:
            checkpoints.restore(like)
    raise UserError("the news")

console.run(main)
"""


def test_what_orbax_gave_up_adds_no_line_to_the_error(tmp_path):
    """Its threads call an event loop that is closed by then, and most of these four times say so."""
    done = subprocess.run([sys.executable, "-c", DAMAGED, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr == "error: the news\n", done.stderr
    assert done.stdout.count("cannot be read and is passed over") == 4


def test_a_folder_that_vanished_is_not_made_anew_with_half_a_run(saved):
    with Checkpoints(saved, IDENTITY) as checkpoints, pytest.raises(UserError, match="has vanished"):
        shutil.rmtree(saved)
        checkpoints.save(4, _state(4))
    assert not saved.exists()


def test_an_error_of_the_run_is_not_hidden_by_one_of_its_last_write(saved):
    with pytest.raises(KeyError, match="the news"), Checkpoints(saved, IDENTITY) as checkpoints:
        checkpoints._manager.close()
        checkpoints._manager.close = lambda: 1 / 0
        raise KeyError("the news")


def test_a_workdir_that_cannot_be_written_any_more_is_named(tmp_path):
    message = f"cannot write into the workdir {tmp_path}.*No such file.*same command"
    with pytest.raises(UserError, match=message), workdir_lib.workdir_at_risk(tmp_path):
        (tmp_path / "gone" / "sheet.png").write_bytes(b"")


@pytest.mark.parametrize("number", preemption.SIGNALS)
def test_a_signal_asks_for_an_end_after_the_step(number):
    before = signal.getsignal(number)
    with preemption.Interruption() as stop:
        assert not stop.requested(1)
        signal.raise_signal(number)
        assert stop.requested(2)
        assert signal.getsignal(number) == before, "a second one must do what it always does"
    assert signal.getsignal(number) == before


def test_without_a_signal_the_handlers_are_given_back():
    before = [signal.getsignal(number) for number in preemption.SIGNALS]
    with preemption.Interruption():
        pass
    assert [signal.getsignal(number) for number in preemption.SIGNALS] == before


def test_a_way_of_computing_is_not_part_of_a_checkpoints_identity(tmp_path, tiny_settings):
    """Checkpoints from before there was rematerialisation have no such key."""
    with checkpoints_lib.open_checkpoints(tiny_settings(), tmp_path) as checkpoints:
        assert not {"model.dtype", "model.remat"} & set(checkpoints._identity)


class _Pairs:
    """Five pairs with names and nothing else."""

    def __len__(self):
        return 5

    def names(self, index):
        return f"source{index}.png", f"target{index}.png"


class _Saved:
    latest_step = 6


def test_the_pairs_of_a_skipped_step_are_those_of_its_batch(tiny_settings):
    from input_pipeline.batches import training_order

    settings = tiny_settings(train={"batch_size": 2})
    order = [int(i) for i, _ in training_order(5, 2, seed=0).take(10).as_numpy_iterator()]
    for step in (1, 3):
        expected = [(f"source{i}.png", f"target{i}.png") for i in order[2 * step - 2 : 2 * step]]
        assert data.pair_names(settings, _Pairs(), step) == expected


def test_a_skipped_update_is_said_with_its_pairs(tiny_settings, caplog):
    settings = tiny_settings()
    loop.check_skipped(7, {"skipped_in_row": 0.0}, settings, _Pairs(), _Saved())
    assert not caplog.records
    loop.check_skipped(7, {"skipped_in_row": 2.0}, settings, _Pairs(), _Saved())
    source, target = data.pair_names(settings, _Pairs(), 7)[0]
    assert "step 7" in caplog.text and "2 in a row" in caplog.text and f"{source} -> {target}" in caplog.text


def test_too_many_skipped_in_a_row_end_the_run(tiny_settings):
    settings = tiny_settings(optim={"max_skipped": 3})
    with pytest.raises(UserError, match="last 3 updates were not finite.*newest checkpoint is step 6.*learning_rate"):
        loop.check_skipped(7, {"skipped_in_row": 3.0}, settings, _Pairs(), _Saved())

"""Runs that are killed, lose a checkpoint, a shard or their disk: each ends as one left alone, bit for bit.

They take minutes: KILLS=3 kills a run three times, KILLS=20 is the number that convinces. Without it test_runs.py kills
and resumes a run once, and test_faults.py damages checkpoints.
"""

import os
import random
import shlex
import shutil
import signal
import subprocess
import types
from pathlib import Path

import pytest

from input_pipeline import batches as batches_lib
from input_pipeline.records import RecordSource
from scrn_jax.errors import UserError

KILLS = int(os.environ.get("KILLS", "0"))
SEED = int(os.environ.get("KILLS_SEED", "0"))
EVERY = 3  # steps between two checkpoints
STEPS = 2 * EVERY * (1 + KILLS)
pytestmark = pytest.mark.skipif(not KILLS, reason="KILLS=3 or KILLS=20 asks for runs that are killed; takes minutes")


@pytest.fixture(scope="module")
def undisturbed(program, final_state):
    """(workdir of a run that nothing happened to, its final state)."""
    workdir = program.folder / "undisturbed"
    code, _, err = program.run(workdir, train__steps=STEPS)
    assert code == 0, err
    step, arrays = final_state(workdir)
    assert step == STEPS
    return workdir, arrays


def _saves(workdir: Path) -> set[str]:
    """Names of whole and of unfinished checkpoints."""
    folder = workdir / "checkpoints"
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def _lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.is_file() else 0


def _whole(workdir: Path) -> list[int]:
    """Steps of whole checkpoints, oldest first."""
    return sorted(int(name) for name in _saves(workdir) if name.isdigit())


def _files(workdir: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in workdir.rglob("*") if path.is_file()}


def _seconds(workdir: Path) -> float:
    """From a run's first start to its last step."""
    return (workdir / "metrics.jsonl").stat().st_mtime - (workdir / "config.json").stat().st_mtime


def _kill(program, process, workdir: Path, rng: random.Random, longest: float, last: bool) -> int:
    """Kill a run some seconds after it has looked for a checkpoint, or in one of its next saves; its exit code.

    The last time it is given two whole checkpoints, so that one may be damaged.
    """
    starts, seen, saves = _lines(workdir / "starts.jsonl"), _saves(workdir), rng.randint(1, 2)
    program.wait(process, lambda: _lines(workdir / "starts.jsonl") > starts)
    if last:
        program.wait(process, lambda: len(_whole(workdir)) >= 2)
    else:
        program.wait(process, lambda: len(_saves(workdir) - seen) >= saves, rng.uniform(0, longest))
    # A save takes some tenths of a second.
    program.wait(process, lambda: False, rng.uniform(0, 0.1))
    process.kill()
    process.communicate()
    return process.returncode


@pytest.fixture(scope="module")
def disturbed(program, undisturbed, tmp_path_factory):
    """What happened to a run that is killed many times, then loses its newest checkpoint and half of its records."""
    folder, rng, found = tmp_path_factory.mktemp("disturbed"), random.Random(SEED), types.SimpleNamespace(codes=[])
    found.workdir, people = folder / "run", folder / "people"
    shutil.copytree(program.people, people)
    changes = {"train__steps": STEPS, "data__name": "records", "data__dir": people}
    for kill in range(1, KILLS + 1):
        process, longest = program.start(program.command(found.workdir, **changes)), _seconds(undisturbed[0])
        found.codes.append(_kill(program, process, found.workdir, rng, longest, last=kill == KILLS))
        print(f"kill {kill}: the folder holds {sorted(_saves(found.workdir))}")

    found.steps = _whole(found.workdir)
    files = (found.workdir / "checkpoints" / str(found.steps[-1])).rglob("*")
    largest = max(files, key=lambda path: path.stat().st_size)
    os.truncate(largest, largest.stat().st_size // 2)
    (found.shard,) = people.rglob("*-train.array_record-*")
    records, before = found.shard.read_bytes(), _files(found.workdir)
    os.truncate(found.shard, len(records) // 2)
    found.without_records = program.run(found.workdir, **changes)
    found.untouched = _files(found.workdir) == before

    found.shard.write_bytes(records)
    found.end = program.run(found.workdir, **changes)
    return found


def test_every_kill_met_a_run_at_work(disturbed):
    assert disturbed.codes == [-signal.SIGKILL] * KILLS, "a run was over before it could be killed"


def test_a_record_shard_cut_in_half_is_named_and_the_run_stays_as_it_is(disturbed):
    code, _, err = disturbed.without_records
    assert code == 1 and len(err.strip().splitlines()) == 1, err
    assert err.startswith("error: ") and str(disturbed.shard) in err and "prepare the data set again" in err
    assert disturbed.untouched


def test_a_truncated_newest_checkpoint_costs_only_the_steps_since_the_one_before(disturbed):
    code, out, err = disturbed.end
    assert code == 0, err
    assert f"checkpoints/{disturbed.steps[-1]} cannot be read and is passed over" in out
    assert f"going on from step {disturbed.steps[-2]}" in out


def test_after_all_of_that_the_run_ends_as_one_left_alone(disturbed, undisturbed, final_state):
    assert final_state(disturbed.workdir) == (STEPS, undisturbed[1])


def test_a_record_shard_cut_off_while_it_is_streamed_is_named(program, undisturbed, tmp_path):
    """Sets that memory holds are read once, at the start; larger ones all the time."""
    people = tmp_path / "people"
    shutil.copytree(program.people, people)
    source = RecordSource(people, "train")
    batches = batches_lib.train_batches(source, batch_size=2, size=(32, 36), seed=0, cache_bytes=0)
    next(batches)
    (shard,) = people.rglob("*-train.array_record-*")
    os.truncate(shard, 1000)
    with pytest.raises(UserError, match=f"{shard.parent}, split train, record .*prepare the data set again"):
        for _ in range(100):
            next(batches)


def _may_mount() -> bool:
    """Whether this user may have a file system of a size of its own."""
    try:
        trial = subprocess.run(
            ["unshare", "-rm", "mount", "-t", "tmpfs", "-o", "size=1m", "none", "/mnt"], capture_output=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return trial.returncode == 0


# What one shell does, because its file system is gone with it: a run on a disk for two checkpoints, a look at what is
# left, the same run again with more room.
FULL_DISK = """
mount -t tmpfs -o size={size} none {disk} || exit 90
{command} >{log}/full.out 2>{log}/full.err
echo $? >{log}/full.code
cp -r {disk}/run {log}/left
mount -o remount,size=256m {disk} || exit 91
{command} >{log}/room.out 2>{log}/room.err
echo $? >{log}/room.code
cp -r {disk}/run {log}/done
"""


@pytest.mark.skipif(not _may_mount(), reason="this user may not mount a tmpfs in a name space of its own")
def test_a_full_disk_ends_in_one_line_and_with_more_room_the_run_goes_on(program, undisturbed, final_state, tmp_path):
    disk, log = tmp_path / "disk", tmp_path / "log"
    disk.mkdir(), log.mkdir()
    newest = undisturbed[0] / "checkpoints" / str(STEPS)
    size = int(2.6 * sum(path.stat().st_size for path in newest.rglob("*")))
    command = shlex.join(program.command(disk / "run", train__steps=STEPS))
    script = FULL_DISK.format(size=size, disk=disk, log=log, command=command)
    code, _, err = program.finish(program.start(["unshare", "-rm", "bash", "-c", script]))
    assert code == 0, err

    said = (log / "full.err").read_text()
    assert (log / "full.code").read_text() == "1\n" and len(said.strip().splitlines()) == 1, said
    assert said.startswith("error: ") and f"{disk}/run" in said and "run the same command again" in said
    step, _ = final_state(log / "left")
    assert 0 < step < STEPS

    assert (log / "room.code").read_text() == "0\n", (log / "room.err").read_text()
    assert f"going on from step {step}" in (log / "room.out").read_text()
    assert final_state(log / "done") == (STEPS, undisturbed[1])

"""The benchmarks for GPUs: what is measured and in which order, faults survived, batches drawn on the device."""

import io
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from benchmarks import gpu, gpu_training, rendered_people
from configs import people as people_config
from input_pipeline.mannequins.people import PersonTask, render_person
from scrn_jax.person import face, joints

FIRST, SECOND, THIRD = (gpu.Job(gpu.OURS, "train", "bfloat16", batch=batch) for batch in (16, 32, 64))


class Scripted:
    """Stands in for `gpu.Process`: what each job's process tells, and never when it is not ready."""

    tells: dict = {}
    ready: set = set()
    measured: list = []

    def __init__(self, job, _):
        self.job = job

    def wait(self, _):
        return self.job in self.ready

    def measure(self, seconds):
        self.measured.append(self.job)
        return self.tells.get(self.job, {"note": "not compiled in time"})


@pytest.fixture
def scripted(monkeypatch):
    """`Scripted` in place of processes, with nothing in its script."""
    Scripted.tells, Scripted.ready, Scripted.measured = {}, set(), []
    monkeypatch.setattr(gpu, "Process", Scripted)
    return Scripted


def rows_of(work, seconds, at_once):
    rows = []
    gpu.measure_all(work, gpu.Effort(), seconds, at_once, rows.append)
    return {(row["batch"]): {name: row[name] for name in ("ms", "note") if name in row} for row in rows}


def test_jobs_are_timed_in_the_order_of_their_worth_when_all_are_compiled(scripted):
    scripted.ready, scripted.tells = {FIRST, SECOND, THIRD}, {SECOND: {"ms": 2.0}, FIRST: {"note": "out of memory"}}
    rows = rows_of([FIRST, SECOND, THIRD], 60, 2)
    assert scripted.measured == [FIRST, SECOND, THIRD]
    assert rows[16] == {"note": "out of memory"} and rows[32] == {"ms": 2.0}


def test_what_does_not_compile_in_time_comes_last_and_what_never_began_is_said(scripted):
    scripted.ready, scripted.tells = {SECOND}, {SECOND: {"ms": 2.0}}
    rows = rows_of([FIRST, SECOND, THIRD], 0.5, 1)
    assert scripted.measured == [FIRST] and rows[32] == rows[64] == {"note": "no time left to compile"}
    rows = rows_of([FIRST, SECOND], 0.5, 2)
    assert scripted.measured == [FIRST, SECOND, FIRST] and rows[16] == {"note": "not compiled in time"}


def test_everything_is_measured_once_and_the_slowest_compilation_begins_early():
    work = gpu.jobs([16, 32], [1, 32])
    assert len(set(work)) == len(work)
    compiled = [index for index, job in enumerate(work) if job.side == next(iter(gpu.MODES))]
    assert compiled[0] == 2  # after the two products, which take no time
    assert {job.side for job in work} == {gpu.OURS, *gpu.MODES, "attention alone"}


def test_a_measurement_runs_in_a_process_of_its_own():
    process = gpu.Process(gpu.Job(gpu.OURS, "product", "float32"), gpu.Effort(smoke=True))
    assert process.measure(300)["TFLOP/s"] > 0


def test_a_measurement_that_fails_says_why(monkeypatch, capsys):
    def fail(*_):
        raise MemoryError("64 GB wanted\nand more")

    monkeypatch.setattr(gpu, "prepared", fail)
    gpu.serve(FIRST, gpu.Effort())
    assert capsys.readouterr().out == 'result {"note": "MemoryError: 64 GB wanted"}\n'


def test_the_gpu_benchmarks_load_where_there_is_no_tensorflow_clu_or_ml_collections():
    absent = ("tensorflow", "tensorflow_datasets", "clu", "ml_collections")
    lines = ["import sys", *(f"sys.modules[{name!r}] = None" for name in absent)]
    lines += ["import benchmarks.gpu, benchmarks.gpu_training"]
    root = Path(gpu.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(("preset", "variant"), [("people", "full"), ("people_large", "large")])
def test_people_are_rendered_and_disturbed_as_their_config_says(preset, variant):
    config = people_config.get_config(variant)
    data = gpu_training.DATA[preset]
    assert data == {
        "seed": config.data.seed, "varied": config.data.varied, "flip": config.train.flip,
        "noise": config.train.annotation_noise,
    }  # fmt: skip
    assert config.data.views == rendered_people.VIEWS
    first = config.data.train_identities
    assert range(first, first + config.data.test_identities) == gpu_training.HELD_OUT


def test_nobody_whom_the_config_holds_out_is_trained_on():
    seen, unseen = gpu_training.identities("people", 3000, 24)
    assert len(set(seen)) == 3000 and set(gpu_training.HELD_OUT).isdisjoint(seen)
    assert set(unseen) < set(gpu_training.HELD_OUT) and len(unseen) == 24
    assert gpu_training.identities("full", 3, 2) == ([0, 1, 2], [3, 4])
    with pytest.raises(ValueError, match=r"configs/people\.py holds out 40 people, not 41"):
        gpu_training.identities("people", 3000, 41)


def test_people_come_in_order_while_others_are_rendered():
    people = rendered_people.People.render([4, 7], (32, 22), seed=3, varied=False, processes=0).wait(2)
    for index, identity in enumerate((4, 7)):
        views = render_person(PersonTask(3, identity, rendered_people.VIEWS, 32, 22, False))
        np.testing.assert_array_equal(people.arrays["pose"][index], [view.joints for view in views])
        picture = Image.open(io.BytesIO(views[1].image)).convert("RGB")
        np.testing.assert_array_equal(people.arrays["image"][index, 1], picture)


def test_who_waits_for_people_learns_why_there_are_none():
    with pytest.raises(ValueError, match="non-negative"):
        rendered_people.People.render([-1], (32, 22), seed=3, varied=False, processes=0).wait(1)


@pytest.fixture(scope="module")
def people():
    """Three people of random pictures; every label, joint and box differs from all others."""
    rng = np.random.default_rng(0)
    shape = (3, rendered_people.VIEWS)
    pose = rng.uniform(2, 30, (*shape, 18, 2)).astype(np.float32)
    pose[0, 0, 3] = joints.MISSING
    return rendered_people.People({
        "image": rng.integers(0, 256, (*shape, 32, 32, 3), dtype=np.uint8),
        "parsing": rng.integers(0, 8, (*shape, 32, 32), dtype=np.uint8),
        "pose": pose,
        "box": np.sort(rng.integers(0, 33, (*shape, 4)), -1)[..., [0, 2, 1, 3]].astype(np.float32),
    })  # fmt: skip


def _place_of(people, picture):
    """(person, view, mirrored) of a picture."""
    for mirrored in (False, True):
        same = (people.arrays["image"] == (picture[:, ::-1] if mirrored else picture)).all((2, 3, 4))
        if same.any():
            return *np.argwhere(same)[0], mirrored
    raise AssertionError("a picture of nobody")


def _draw(people, key, size: int, **options):
    return rendered_people.draw(rendered_people.OnDevice(people, piece=3).update().arrays, key, size, **options)


def test_pairs_drawn_on_the_device_are_two_views_of_one_person_with_their_annotation(people):
    drawn = jax.device_get(
        rendered_people.draw(
            rendered_people.OnDevice(people, piece=3).update().arrays, jax.random.key(0), 32, flip=True, noise=0.0
        )
    )
    coins = []
    for index in range(32):
        who, source, mirrored = _place_of(people, drawn["source_image"][index])
        same, target, same_coin = _place_of(people, drawn["target_image"][index])
        assert (same, same_coin) == (who, mirrored) and source != target
        for side, view in (("source", source), ("target", target)):
            labels, pose = (people.arrays[name][who, view] for name in ("parsing", "pose"))
            labels, pose = (labels[:, ::-1], joints.flip(pose, 32)) if mirrored else (labels, pose)
            assert np.array_equal(drawn[f"{side}_parsing"][index], labels)
            np.testing.assert_allclose(drawn[f"{side}_pose"][index], pose, atol=1e-4)
        box = people.arrays["box"][who, target]
        np.testing.assert_array_equal(drawn["face_box"][index], face.flip_box(box, 32) if mirrored else box)
        coins.append(mirrored)
    assert 0 < sum(coins) < 32


def test_people_who_are_not_there_yet_are_not_drawn(people):
    some = rendered_people.People(people.arrays, 1)
    there = rendered_people.OnDevice(some, piece=1).update()
    drawn = jax.device_get(rendered_people.draw(there.arrays, jax.random.key(0), 16, flip=True, noise=0.0))
    assert {int(_place_of(people, picture)[0]) for picture in drawn["source_image"]} == {0}


def test_all_people_reach_the_device_whatever_the_pieces(people):
    some = rendered_people.People(people.arrays, 1)
    there = rendered_people.OnDevice(some, piece=2)
    assert there.update().count == 0  # a piece is two
    some.count = 3
    assert there.update().count == 3
    for name in ("image", "parsing"):
        np.testing.assert_array_equal(there.arrays[name], people.arrays[name])
    np.testing.assert_array_equal(there.arrays["pose"][:, :, 0], people.arrays["pose"])


@pytest.mark.slow
def test_noise_moves_the_sources_annotation_only(people):
    options = {"size": 8, "flip": True}
    exact, noisy = (
        jax.device_get(
            rendered_people.draw(
                rendered_people.OnDevice(people, piece=3).update().arrays, jax.random.key(1), noise=noise, **options
            )
        )
        for noise in (0.0, 2.0)
    )
    for name in exact:
        assert np.array_equal(exact[name], noisy[name]) != (name in ("source_parsing", "source_pose")), name
    assert np.abs(noisy["source_pose"] - exact["source_pose"]).max() < 12  # 6 deviations of at most 2 pixels
    missing = (exact["source_pose"] < 0).all(-1)
    assert np.array_equal(missing, (noisy["source_pose"] < 0).all(-1))


def test_the_clock_does_not_pass_by_the_step_that_begins_the_last_stage(monkeypatch):
    now = iter([0.0, 0.0, 1.5, 2.5, 3.0, 7.0, 8.0])  # the first when it starts
    monkeypatch.setattr(gpu_training.time, "monotonic", lambda: next(now))
    clock = gpu_training.Clock(seconds=8, steps=800, first_stage=200)
    told = [(clock.step(), clock.in_first) for _ in range(6)]
    assert told == [(0, True), (150, True), (200, False), (300, False), (700, False), (None, False)]


def test_a_start_gives_what_fits_and_the_rest_is_fresh(tmp_path):
    """A model whose parsing block ends in another width; all else is alike."""
    settings = gpu_training.workload.settings_of("demo", width=4, blocks=1)
    fresh = gpu_training.workload.fresh_state(settings).generator
    other = jax.tree.map(lambda leaf: np.full_like(leaf, 0.5), fresh)
    other["parsing_block"]["logits"] = {"kernel": np.zeros((3, 3, 1, 8), np.float32)}
    (tmp_path / "params.npz").write_bytes(gpu_training.packing.pack(other))
    begun = gpu_training.begin(settings, tmp_path)
    kept = dict(jax.tree_util.tree_leaves_with_path(begun.generator))
    for path, leaf in jax.tree_util.tree_leaves_with_path(fresh):
        is_fresh = [key.key for key in path[:2]] == ["parsing_block", "logits"]
        np.testing.assert_array_equal(kept[path], leaf if is_fresh else 0.5)
    for ours, averaged in zip(jax.tree.leaves(begun.generator), jax.tree.leaves(begun.ema), strict=True):
        np.testing.assert_array_equal(ours, averaged)

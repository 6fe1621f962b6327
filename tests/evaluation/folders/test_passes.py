"""Batches, chunks and devices: nothing is lost, nothing piles up, and a killed run goes on."""

import functools
import os
import signal
import subprocess
import sys
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scrn_jax.errors import UserError
from scrn_jax.evaluation import meter as meter_lib
from scrn_jax.evaluation.folders import evaluate, passes
from scrn_jax.evaluation.folders.images import decode, read_bytes
from scrn_jax.evaluation.meter import Networks
from scrn_jax.evaluation.report import folders as folders_lib
from scrn_jax.metrics import protocols
from scrn_jax.metrics.fid import Moments
from scrn_jax.models.pretrained import weights
from scrn_jax.runtime import devices as devices_lib
from scrn_jax.runtime.workers import ahead, batched


class _Counter:
    """A meter of numbers instead of images: its figure is the number itself, its features the number's powers."""

    batch_size = 4

    def __init__(self):
        self.batches = []

    def start(self, batch):
        numbers = batch["number"]
        self.batches.append(numbers.tolist())
        padded = np.concatenate([numbers, np.full(self.batch_size - len(numbers), 1e9)])
        return {"value": padded, "features": padded[:, None] ** np.arange(2048)[None, :].clip(0, 2)}


def _read(number):
    return {"number": np.float64(number)}


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(passes, "CHUNK", 8)


def test_the_last_partial_batch_counts_and_its_padding_does_not(small_chunks, tmp_path):
    numbers = list(range(1, 12))
    state = passes.run(_Counter(), "numbers", numbers, _read, passes.Shelf(tmp_path), "a")
    assert state.done == 11 and state.figures["value"].tolist() == numbers
    expected = Moments.of(np.asarray(numbers, float)[:, None] ** np.arange(2048)[None, :].clip(0, 2))
    assert state.moments.count == 11
    np.testing.assert_allclose(state.moments.mean, expected.mean)
    np.testing.assert_allclose(state.moments.scatter[:3, :3], expected.scatter[:3, :3])


def test_a_broken_off_run_goes_on_at_its_last_chunk_and_ends_as_an_undisturbed_one(small_chunks, tmp_path):
    numbers = list(range(1, 27))

    def read_until_20(number):
        if number == 20:
            raise UserError("gone")
        return _read(number)

    with pytest.raises(UserError, match="gone"):
        passes.run(_Counter(), "numbers", numbers, read_until_20, passes.Shelf(tmp_path), "a")
    meter = _Counter()
    resumed = passes.run(meter, "numbers", numbers, _read, passes.Shelf(tmp_path), "a")
    straight = passes.run(_Counter(), "numbers", numbers, _read, passes.Shelf(tmp_path / "other"), "a")
    assert meter.batches[0] == [17, 18, 19, 20]
    assert resumed.figures["value"].tobytes() == straight.figures["value"].tobytes()
    assert resumed.moments.scatter.tobytes() == straight.moments.scatter.tobytes()


def test_another_input_does_not_go_on_from_this_one(small_chunks, tmp_path):
    passes.run(_Counter(), "numbers", [1, 2, 3], _read, passes.Shelf(tmp_path), "a" * 64)
    state = passes.run(_Counter(), "numbers", [4, 5], _read, passes.Shelf(tmp_path), "b" * 64)
    assert state.figures["value"].tolist() == [4, 5]


def test_a_damaged_state_is_as_good_as_none(small_chunks, tmp_path):
    shelf = passes.Shelf(tmp_path)
    passes.run(_Counter(), "numbers", [1, 2, 3], _read, shelf, "a")
    (tmp_path / passes.UNFINISHED / "a.npz").write_bytes(b"PK damaged")
    assert passes.run(_Counter(), "numbers", [1, 2, 3], _read, shelf, "a").done == 3


def test_threads_read_ahead_no_further_than_allowed():
    begun, lock = [], threading.Lock()

    def work(i):
        with lock:
            begun.append(i)
        return i

    results = ahead(work, range(1000), threads=4, depth=10)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert len(begun) <= 5 + 10
    results.close()
    assert len(begun) <= 5 + 10


def test_batches_come_in_order_and_the_last_one_is_short():
    assert list(batched(ahead(lambda i: i * i, range(5)), 2)) == [[0, 1], [4, 9], [16]]


def test_a_batch_size_that_the_devices_cannot_share_is_rounded_up():
    assert meter_lib.Meter(protocols.protocol("patn"), Networks(), batch_size=6).batch_size == 8


def test_the_default_batch_size_suits_any_number_of_devices(monkeypatch):
    monkeypatch.setattr(jax, "local_devices", lambda: jax.devices()[:3])
    assert meter_lib.Meter(protocols.protocol("patn"), Networks()).batch_size == 18


@pytest.fixture(scope="module")
def folders(make_folders, tmp_path_factory):
    return make_folders(tmp_path_factory.mktemp("folders"), 6)


def _request(folders, output, name="patn"):
    return evaluate.Request({"generated": folders[0]}, folders[1], protocols.protocol(name), output, batch_size=4)


@pytest.fixture(scope="module")
def undisturbed(folders, tmp_path_factory):
    """report.json and per_image.csv of an evaluation that nothing happened to."""
    output = tmp_path_factory.mktemp("undisturbed")
    folders_lib.write(evaluate.evaluate(_request(folders, output)), comparing=False)
    return {path.name: path.read_bytes() for path in output.iterdir() if path.is_file()}


KILLED = """
import os, signal, sys
from pathlib import Path
import jax
jax.config.update("jax_num_cpu_devices", 4)
from scrn_jax.evaluation.folders import evaluate, passes
from scrn_jax.metrics import protocols
passes.CHUNK = 4
save = passes.Shelf.save
def save_and_die(*arguments):
    save(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
passes.Shelf.save = save_and_die
made, true, output = map(Path, sys.argv[1:])
evaluate.evaluate(evaluate.Request({"generated": made}, true, protocols.protocol("patn"), output, batch_size=4))
"""


def test_a_killed_evaluation_goes_on_and_ends_with_the_same_bytes(folders, undisturbed, tmp_path, monkeypatch):
    command = [sys.executable, "-c", KILLED, str(folders[0]), str(folders[1]), str(tmp_path)]
    done = subprocess.run(command, env={**os.environ, "JAX_PLATFORMS": "cpu"}, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    measured = []
    start = meter_lib.Meter.start
    monkeypatch.setattr(meter_lib.Meter, "start", lambda self, batch: measured.append(batch) or start(self, batch))
    folders_lib.write(evaluate.evaluate(_request(folders, tmp_path)), comparing=False)
    assert [len(batch["generated"]) for batch in measured] == [2]  # four of six were done
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == undisturbed


def test_one_device_gives_the_figures_of_four(folders, undisturbed, tmp_path, monkeypatch):
    four = evaluate.evaluate(_request(folders, tmp_path / "4", "scrn"))
    monkeypatch.setattr(jax, "local_devices", functools.partial(lambda devices: devices, jax.devices()[:1]))
    one = evaluate.evaluate(_request(folders, tmp_path / "1", "scrn"))
    assert set(one.methods[0].figures) == {"ssim", "psnr", "lpips_alex"}
    for metric, values in one.methods[0].figures.items():
        np.testing.assert_allclose(four.methods[0].figures[metric], values, rtol=0, atol=1e-6, err_msg=metric)


@pytest.mark.slow
def test_one_device_gives_the_features_of_four(folders, tmp_path, monkeypatch):
    networks = Networks(inception=weights.load("inception", "random"))
    paths = sorted(folders[1].iterdir())[:4]
    batch = {"images": np.stack([decode(read_bytes(path), str(path), (256, 176)) for path in paths])}
    found = []
    for devices in (jax.devices(), jax.devices()[:1]):
        monkeypatch.setattr(jax, "local_devices", functools.partial(lambda devices: devices, devices))
        meter = meter_lib.Meter(protocols.protocol("scrn"), networks, batch_size=4)
        found.append(np.asarray(meter.start(batch)["features"]))
    # In float32, so beside what tells the images apart.
    assert np.abs(found[0] - found[1]).max() < 1e-3 * np.ptp(found[1], axis=0).max()


@pytest.mark.parametrize(("size", "calls"), [(1, 6), (2, 3), (4, 3), (6, 1)])
def test_groups_are_the_largest_that_divide_the_share(size, calls):
    def function(batch):
        return {"sum": batch["a"].sum(1) + batch["b"], "group": jnp.full(len(batch["b"]), len(batch["b"]))}

    batch = {"a": jnp.arange(12.0).reshape(6, 2), "b": jnp.arange(6.0)}
    found = meter_lib._in_groups(function, batch, size)
    np.testing.assert_array_equal(found["sum"], function(batch)["sum"])
    assert 6 // int(found["group"][0]) == calls


def test_in_groups_and_the_whole_share_at_once_give_the_same_figures(folders):
    paths = [sorted(folder.iterdir())[:4] for folder in folders]
    arrays = [np.stack([decode(read_bytes(path), str(path), (256, 176)) for path in side]) for side in paths]
    mesh = devices_lib.make_mesh(jax.devices()[:2])
    batch = devices_lib.put_batch(dict(zip(("generated", "reference"), arrays, strict=True)), mesh)
    work = meter_lib._measure_of(protocols.protocol("patn"))
    in_groups, at_once = (meter_lib._over(mesh, work, choice)(None, batch) for choice in (True, False))
    for metric, values in at_once.items():
        np.testing.assert_allclose(in_groups[metric], values, rtol=0, atol=1e-5, err_msg=metric)


def test_of_several_devices_of_a_processor_each_computes_as_a_single_core():
    asked = []

    def work(params, batch, grouped, convolutions):
        asked.append(convolutions)
        return {"sum": batch["a"].sum(1)}

    for count in (1, 2):
        mesh = devices_lib.make_mesh(jax.devices()[:count])
        meter_lib._over(mesh, work)(None, devices_lib.put_batch({"a": np.ones((4, 2), np.float32)}, mesh))
    assert asked == ["auto", "core"]

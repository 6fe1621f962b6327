"""What a run writes about itself: means between reports, pace, valid JSON, TensorBoard events."""

import json
import math

import pytest

from scrn_jax.training import monitor


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when a test says so."""

    class Clock:
        now = 100.0

    monkeypatch.setattr(monitor.time, "monotonic", lambda: Clock.now)
    return Clock


def _lines(folder):
    return [json.loads(line) for line in (folder / monitor.METRICS_FILE).read_text().splitlines()]


def test_a_report_is_the_mean_since_the_last_one(tmp_path):
    with monitor.Monitor(tmp_path, first_step=0, last_step=4, batch_size=1) as run:
        for value in (1.0, 3.0):
            run.add({"loss/l1": value})
        run.report(2)
        run.add({"loss/l1": 10.0})
        run.report(3)
    assert [(line["step"], line["loss/l1"]) for line in _lines(tmp_path)] == [(2, 2.0), (3, 10.0)]


def test_the_pace_counts_images_since_the_last_report(tmp_path, clock):
    with monitor.Monitor(tmp_path, first_step=10, last_step=100, batch_size=8) as run:
        run.add({"loss/l1": 1.0})
        clock.now += 4.0
        assert run.report(20)["images_per_second"] == pytest.approx(10 * 8 / 4)


def test_a_value_that_is_no_number_becomes_null(tmp_path):
    with monitor.Monitor(tmp_path, first_step=0, last_step=1, batch_size=1) as run:
        run.add({"loss/l1": math.nan, "loss/per": math.inf})
        run.report(1)
    assert _lines(tmp_path)[0]["loss/l1"] is None and _lines(tmp_path)[0]["loss/per"] is None


def test_a_resumed_run_adds_to_the_file(tmp_path):
    for step in (1, 2):
        with monitor.Monitor(tmp_path, first_step=step - 1, last_step=2, batch_size=1) as run:
            run.add({"loss/l1": 1.0})
            run.report(step)
    assert [line["step"] for line in _lines(tmp_path)] == [1, 2]


def test_tensorboard_reads_the_same_scalars(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    with monitor.Monitor(tmp_path, first_step=0, last_step=1, batch_size=1) as run:
        run.add({"loss/l1": 0.25})
        run.report(1)
    (folder,) = {path.parent for path in tmp_path.rglob("events.out.tfevents.*")}
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    (event,) = events.Tensors("loss/l1")
    assert event.step == 1 and tensor_util.make_ndarray(event.tensor_proto) == 0.25


@pytest.mark.parametrize(
    "seconds, text", [(0.4, "0:00"), (59.6, "1:00"), (61, "1:01"), (3600, "1:00:00"), (90061, "25:01:01")]
)
def test_durations_read_as_clocks(seconds, text):
    assert monitor.format_duration(seconds) == text


def test_a_step_that_is_not_finite_takes_nothing_from_the_others_of_its_interval(tmp_path):
    with monitor.Monitor(tmp_path, first_step=0, last_step=4, batch_size=1) as run:
        for value in (math.nan, 1.0, math.inf, 3.0):
            run.add({"loss/l1": value, "skipped": 2.0})
        assert run.report(4)["loss/l1"] == 2.0
    assert _lines(tmp_path)[0]["loss/l1"] == 2.0 and _lines(tmp_path)[0]["skipped"] == 2.0

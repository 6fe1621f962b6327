"""Scores of known pictures, padding left out, faces counted only where there is one."""

import numpy as np
import pytest

from scrn_jax import scoring, sharding, state
from scrn_jax.metrics import lpips


@pytest.fixture(scope="module")
def figures(tiny_settings, first_state, make_batch):
    """Two batches of four with one padded sample, whose targets equal their sources, on four devices."""
    batches = []
    for number in range(2):
        batch = make_batch(number)
        batch["target_image"] = batch["source_image"]
        batch["mask"] = np.array([True, True, True, number == 0])
        batches.append(batch)
    baseline = np.full(batches[0]["target_image"].shape[1:], 0.5, np.float32)
    generator = state.make_generator(tiny_settings().model)
    scorer = scoring.Scorer(generator, sharding.make_mesh(fsdp=2), lpips.load_params("alex"), baseline)
    return batches, scorer.run(first_state.ema, batches)


def test_copying_a_source_that_is_the_target_is_perfect(figures):
    _, rows = figures
    copied = rows["copy_source"]
    np.testing.assert_allclose(copied["ssim"], 1, atol=1e-6)
    np.testing.assert_allclose(copied["lpips"], 0, atol=1e-6)
    assert np.nanmax(copied["face_l1"]) == 0


def test_a_sample_without_a_face_has_no_face_error(figures):
    batches, rows = figures
    boxes = np.concatenate([batch["face_box"][batch["mask"]] for batch in batches])
    empty = boxes[:, 2] <= boxes[:, 0]
    for row in scoring.ROWS:
        np.testing.assert_array_equal(np.isnan(rows[row]["face_l1"]), empty)


def test_padding_is_left_out(figures):
    batches, rows = figures
    count = sum(batch["mask"].sum() for batch in batches)
    assert {len(values) for metrics in rows.values() for values in metrics.values()} == {count}


def test_the_mean_images_psnr_is_that_of_its_definition(figures):
    batches, rows = figures
    targets = np.concatenate([batch["target_image"][batch["mask"]] for batch in batches]) / 255.0
    expected = -10 * np.log10(((targets - 0.5) ** 2).mean((1, 2, 3)))
    np.testing.assert_allclose(rows["mean_image"]["psnr"], expected, rtol=1e-5)


def test_the_mean_image_averages_every_target():
    batches = [{"target_image": np.full((2, 4, 4, 3), value, np.uint8)} for value in (0, 51)]
    np.testing.assert_allclose(scoring.mean_image(batches), 25.5 / 255)


def test_eight_bits_hold_256_levels():
    image = np.linspace(-1.1, 1.1, 1000, dtype=np.float32)
    levels = np.asarray(scoring.quantise(image)) * 255
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-4)
    assert levels.min() == 0 and round(float(levels.max())) == 255


def test_a_summary_averages_faces_over_the_pairs_that_have_one():
    rows = {"generated": {"ssim": np.array([0.25, 0.75]), "face_l1": np.array([np.nan, 0.5])}}
    assert scoring.summarise(rows) == {"generated": {"ssim": 0.5, "face_l1": 0.5}}


def test_a_summary_without_any_face_has_none():
    assert scoring.summarise({"generated": {"face_l1": np.array([np.nan])}})["generated"]["face_l1"] is None

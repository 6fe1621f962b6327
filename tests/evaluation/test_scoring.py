"""Scores of known pictures, padding left out, figures averaged over the pairs that have them and no others."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scrn_jax.evaluation import heldout, scoring
from scrn_jax.evaluation.report.heldout import ROW_TITLES
from scrn_jax.metrics import by_region, lpips
from scrn_jax.models import base
from scrn_jax.models.ops import convolutions
from scrn_jax.runtime import devices

BASELINE = 153 / 255


def _batches(make_batch):
    """Two batches of four with one padded sample, whose targets equal their sources; parsing maps in large pieces."""
    batches = []
    for number in range(2):
        batch = make_batch(number)
        for side in ("source", "target"):
            batch[f"{side}_parsing"] = np.repeat(np.repeat(batch[f"{side}_parsing"][:, ::8, ::9], 8, 1), 9, 2)
        batch["target_image"] = batch["source_image"]
        batch["mask"] = np.array([True, True, True, number == 0])
        batches.append(batch)
    return batches


@pytest.fixture(scope="module")
def batches(make_batch):
    return _batches(make_batch)


@pytest.fixture(scope="module")
def scorer(tiny_settings, batches):
    """On four devices; LPIPS-VGG is a judge's, in whose place a mean absolute error stands."""
    baseline = np.full(batches[0]["target_image"].shape[1:], BASELINE, np.float32)

    def judge(a, b):
        return np.abs(a - b).mean((1, 2, 3))

    model = base.make(tiny_settings())
    return scoring.Scorer(model, devices.make_mesh(fsdp=2), {"alex": lpips.load_params("alex")}, baseline, judge)


@pytest.fixture(scope="module")
def figures(scorer, first_state, batches):
    return scorer.run(first_state.ema, batches)


def _real(batches, key):
    return np.concatenate([batch[key][batch["mask"]] for batch in batches])


def test_copying_a_source_that_is_the_target_is_perfect(figures):
    copied = figures.rows["copy_source"]
    np.testing.assert_allclose(copied["ssim"], 1, atol=1e-6)
    for metric in ("lpips_alex", "lpips_vgg", "face_l1", "colour_error", "mesh"):
        np.testing.assert_allclose(copied[metric], 0, atol=1e-6, err_msg=metric)
    assert scoring.summarise(figures)["copy_source"]["psnr"] is None  # infinite, which is no JSON


def test_faces_and_regions_are_defined_where_there_are_any(figures, batches):
    boxes = _real(batches, "face_box")
    np.testing.assert_array_equal(figures.defined["face_l1"], boxes[:, 2] > boxes[:, 0])
    assert figures.defined["colour_error"].all()


def test_a_summary_has_its_rows_in_the_reports_order(figures):
    assert list(scoring.summarise(figures)) == list(ROW_TITLES)


def test_padding_is_left_out(figures, batches):
    count = len(_real(batches, "face_box"))
    lengths = {len(values) for metrics in figures.rows.values() for values in metrics.values()}
    lengths |= {
        len(values) for part in (figures.defined, figures.counts, figures.estimates) for values in part.values()
    }
    assert lengths == {len(figures)} == {count}


def test_the_mean_images_psnr_is_that_of_its_definition(figures, batches):
    expected = -10 * np.log10(((_real(batches, "target_image") / 255.0 - BASELINE) ** 2).mean((1, 2, 3)))
    np.testing.assert_allclose(figures.rows["mean_image"]["psnr"], expected, rtol=1e-5)


def test_a_judge_computes_lpips_vgg_of_every_row(figures, batches):
    expected = np.abs(_real(batches, "target_image") / 255.0 - BASELINE).mean((1, 2, 3))
    np.testing.assert_allclose(figures.rows["mean_image"]["lpips_vgg"], expected, rtol=1e-5)
    assert (figures.rows["generated"]["lpips_vgg"] > 0).all()


def test_flat_paint_by_the_true_map_has_the_sources_colours(figures, batches):
    """Of a picture whose target is its source but for the maps: each region of S_t one colour, the source's mean."""
    source, labels = _real(batches, "source_image")[0] / 255, _real(batches, "source_parsing")[0]
    true = _real(batches, "target_parsing")[0]
    painted = np.zeros_like(source)
    for region in np.unique(true):
        where = labels == region if (labels == region).any() else labels > 0
        painted[true == region] = source[where].mean(0)
    expected = -10 * np.log10(((np.round(painted * 255) / 255 - source) ** 2).mean())
    np.testing.assert_allclose(figures.rows["flat_paint_true"]["psnr"][0], expected, rtol=1e-4)


def test_own_lpips_is_that_of_each_pair(figures, batches, quick_compile):
    target = np.float32(_real(batches, "target_image") / 255)
    distance = jax.jit(lpips.LPIPS("alex").apply, compiler_options=quick_compile)
    expected = distance({"params": lpips.load_params("alex")}, np.full_like(target, BASELINE), target)
    np.testing.assert_allclose(figures.rows["mean_image"]["lpips_alex"], expected, rtol=1e-3)


def test_a_diverged_model_has_no_figures_and_the_baselines_keep_theirs(scorer, batches, first_state, monkeypatch):
    """One picture is NaN, which must neither vanish from a mean nor pass for a pair without a face."""
    outputs = scorer.generate(first_state.ema, {key: batches[0][key] for key in scoring.INPUTS})
    monkeypatch.setattr(scorer, "generate", lambda *_: outputs | {"image": outputs["image"].at[0].set(jnp.nan)})
    rows = scoring.summarise(scorer.run(None, batches[:1]))
    assert rows["generated"] == dict.fromkeys(scoring.METRICS)
    assert None not in rows["mean_image"].values()


def test_the_mean_image_averages_every_target_and_no_padding():
    mask = np.array([True, True, False])
    batches = [{"target_image": np.full((3, 4, 4, 3), value, np.uint8), "mask": mask} for value in (0, 51)]
    batches[1]["target_image"][2] = 255
    np.testing.assert_allclose(scoring.mean_image(batches), 25.5 / 255)


@pytest.fixture
def made_up():
    """Figures of three pairs, of which the last has no face."""
    rows = {row: {metric: np.array([0.25, 0.75, 0.5]) for metric in scoring.METRICS} for row in ROW_TITLES}
    for row in rows.values():
        row["face_l1"] = np.array([0.25, 0.75, 99])
        row["mesh"] = np.tile([[1, 2, 3, 4, 5, -6.0]], (3, 1))
    defined = {"face_l1": np.array([True, True, False])}
    return scoring.Figures(rows, defined, {}, {"whole": np.zeros(3, bool)})


def test_a_summary_averages_faces_over_the_pairs_that_have_one(made_up):
    row = scoring.summarise(made_up)["generated"]
    assert row == dict.fromkeys(scoring.METRICS, 0.5) | {"mesh": 5}


def test_a_summary_without_any_face_has_none(made_up):
    made_up.defined["face_l1"][:] = False
    assert scoring.summarise(made_up)["generated"]["face_l1"] is None


def test_groups_have_the_means_of_their_own_pairs(made_up):
    assigned = dict.fromkeys(scoring.groups.GROUPINGS, np.array(["", "", ""]))
    assigned |= {"view": np.array(["front", "back", "front"])}
    made_up.rows["flat_paint"]["lpips_vgg"] = np.array([0.0, 1.0, 0.5])
    rest = dict.fromkeys(("ssim", "psnr", "colour_error"))
    assert scoring.by_group(made_up, assigned) == {
        "view": {
            "front": {"count": 2, "lpips_vgg": 0.375, **dict.fromkeys(rest, 0.375), "flat_paint_lpips_vgg": 0.25},
            "back": {"count": 1, "lpips_vgg": 0.75, **dict.fromkeys(rest, 0.75), "flat_paint_lpips_vgg": 1.0},
        }
    }


def test_the_protocol_says_which_regions_count():
    assert f"a region of {by_region.LEAST_AREA} pixels" in heldout.PROTOCOL.format(least=by_region.LEAST_AREA, judge="")


def test_lpips_vgg_is_computed_as_by_a_single_core(monkeypatch):
    """Its ways have the fewest products, and VGG takes most of an evaluation's time."""

    def refuse(*_):
        raise LookupError("for all cores")

    image = jnp.zeros((2, 32, 32, 3))
    params = jax.eval_shape(lpips.LPIPS("vgg").init, jax.random.key(0), image, image)["params"]
    monkeypatch.setattr(convolutions, "choose", refuse)
    jax.eval_shape(functools.partial(scoring._distances, "vgg"), params, image, image)

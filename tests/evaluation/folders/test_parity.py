"""Folders by every protocol against the field's own scripts on the same files."""

import dataclasses
import functools
import sys
from pathlib import Path

import numpy as np
import pytest

from scrn_jax.evaluation.folders import evaluate
from scrn_jax.evaluation.folders.fid_reference import STATISTICS
from scrn_jax.metrics import fid, protocols
from scrn_jax.models.pretrained import weights

COUNT, BATCH = 5, 4  # the last batch is a partial one
# Of these, the fast suite has what they measure on arrays (tests/metrics/test_protocols.py), every night their folders.
AT_NIGHT = ("gfla", "dptn")
WIDTH = {"gfla": 256}


@dataclasses.dataclass
class Measured:
    """A method by our evaluation, what its FID compared, and the files: generated, true, training."""

    method: evaluate.Method
    compared: list[fid.Gaussian]
    output: Path
    generated: list[Path]
    reference: list[Path]
    training: list[Path]


@pytest.fixture(scope="module")
def measured(make_folders, tmp_path_factory, double_precision):
    """Evaluates the same pictures by a protocol; of FID, what it compares: the distance is seconds of algebra.

    In float64, but for the networks: SSIM and PSNR are then the scripts' own to many digits.
    """
    root = tmp_path_factory.mktemp("parity")

    @functools.cache
    def folders(width):
        return *make_folders(root / str(width), COUNT, width), make_folders(root / f"train{width}", 3, width, 0.2)[0]

    @functools.cache
    def measured(name) -> Measured:
        generated, reference, training = folders(WIDTH.get(name, 176))
        request = evaluate.Request(
            {"generated": generated}, reference, protocols.protocol(name), root / name, batch_size=BATCH,
            training=None if name == "scrn" else training, inception="random",
        )  # fmt: skip
        compared = []
        with double_precision(), pytest.MonkeyPatch.context() as patch:
            patch.setattr(fid, "frechet_distance", lambda *sides: compared.extend(sides) or 0.0)
            method = evaluate.evaluate(request).methods[0]
        pairs = [(generated / pair.generated, reference / pair.reference) for pair in method.pairs]
        return Measured(method, compared, root / name, *map(list, zip(*pairs, strict=True)), sorted(training.iterdir()))

    return measured


@pytest.fixture(scope="module")
def references(usual):
    """The usual scripts, over torchvision's stand-in."""
    with pytest.MonkeyPatch.context() as patch:
        usual.provide_torchvision(lambda name, module: patch.setitem(sys.modules, name, module))
        yield usual


@pytest.fixture(scope="module")
def inception(references):
    """pytorch-fid's network with the weights that ours has."""
    return references.inception_network(weights.load("inception", "random"))


def _by_day_or_night(names):
    return [pytest.param(name, marks=pytest.mark.slow) if name in AT_NIGHT else name for name in names]


@pytest.mark.parametrize("name", _by_day_or_night(protocols.PROTOCOLS))
def test_ssim_and_psnr_equal_the_usual_scripts(name, measured, references):
    found = measured(name)
    expected = references.ssim_and_psnr(name, found.generated, found.reference)
    for metric in expected[0]:
        values = [row[metric] for row in expected]
        np.testing.assert_allclose(found.method.figures[metric], values, atol=1e-9, err_msg=metric)
        assert found.method.metrics[metric] == pytest.approx(np.mean(values), abs=1e-9)


@pytest.mark.parametrize("name", _by_day_or_night(["scrn", "gfla", "dptn", "cfld"]))
def test_lpips_equals_the_usual_script(name, measured, references):
    found = measured(name)
    params = {"trunk": weights.load("alexnet"), **weights.load("lpips_alex")}
    theirs = references.lpips(references.lpips_network(params), found.generated, found.reference)
    np.testing.assert_allclose(found.method.figures["lpips_alex"], theirs, atol=1e-4)


def test_patn_has_neither_lpips_nor_fid(measured):
    assert set(measured("patn").method.metrics) == {"ssim", "psnr"}


def _low_rank_distance(a_NxD: np.ndarray, b_MxD: np.ndarray) -> float:
    """The Frechet distance of two small sets: the trace of the root of the product of their covariances is the sum of
    the singular values of the product of their deviations."""
    a, b = ((x - x.mean(0)) / np.sqrt(len(x) - 1) for x in (a_NxD, b_MxD))
    roots = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(((a_NxD.mean(0) - b_MxD.mean(0)) ** 2).sum() + (a**2).sum() + (b**2).sum() - 2 * roots)


def _in_span(gaussian: fid.Gaussian, basis_DxK: np.ndarray) -> fid.Gaussian:
    """A Gaussian in the coordinates of the few dimensions that it fills, where its distances are the same and quick."""
    return fid.Gaussian(gaussian.mean @ basis_DxK, basis_DxK.T @ gaussian.covariance @ basis_DxK)


@pytest.mark.parametrize("name", _by_day_or_night(["scrn", "gfla", "dptn", "cfld"]))
def test_fid_of_what_a_protocol_compares_equals_pytorch_fids(name, measured, references, inception):
    found = measured(name)
    other = found.reference if name == "scrn" else found.training
    theirs = [references.activations(inception, paths).astype(np.float64) for paths in (found.generated, other)]
    basis, _ = np.linalg.qr(np.concatenate(theirs).T)
    ours = fid.frechet_distance(*(_in_span(gaussian, basis) for gaussian in found.compared))
    assert ours == pytest.approx(_low_rank_distance(*theirs), rel=1e-3)
    for gaussian in found.compared:
        assert np.trace(gaussian.covariance) == pytest.approx(np.trace(_in_span(gaussian, basis).covariance), rel=1e-5)


def test_statistics_of_training_images_are_kept_for_the_next_method(measured):
    found = measured("cfld")
    kept = fid.load(found.output / STATISTICS)
    assert np.array_equal(kept.mean, found.compared[1].mean)
    assert np.array_equal(kept.covariance, found.compared[1].covariance)

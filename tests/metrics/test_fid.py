"""FID: its features against pytorch-fid's Inception, its moments and its distance against closed forms."""

import types

import jax
import numpy as np
import pytest
import scipy.linalg
import torch

from scrn_jax.errors import UserError
from scrn_jax.metrics import fid
from scrn_jax.metrics.fid import Gaussian, Moments
from scrn_jax.models.pretrained import torch_files, weights
from scrn_jax.models.pretrained.inception import Inception

RNG = np.random.default_rng(0)


def _reference(pypi_fid, monkeypatch):
    """pytorch-fid's Inception with random weights in the place of the downloaded ones."""

    def random_weights(url, progress):
        torch.manual_seed(0)
        blank = pypi_fid.inception._inception_v3()
        module = pypi_fid.inception
        for name, block in {
            "Mixed_5b": module.FIDInceptionA(192, 32),
            "Mixed_5c": module.FIDInceptionA(256, 64),
            "Mixed_5d": module.FIDInceptionA(288, 64),
            "Mixed_6b": module.FIDInceptionC(768, 128),
            "Mixed_6c": module.FIDInceptionC(768, 160),
            "Mixed_6d": module.FIDInceptionC(768, 160),
            "Mixed_6e": module.FIDInceptionC(768, 192),
            "Mixed_7b": module.FIDInceptionE_1(1280),
            "Mixed_7c": module.FIDInceptionE_2(2048),
        }.items():
            setattr(blank, name, block)
        for layer in blank.modules():
            if isinstance(layer, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.running_mean.normal_(0, 0.1)
                layer.running_var.uniform_(0.5, 1.5)
                torch.nn.init.uniform_(layer.weight, 0.8, 1.2)
                torch.nn.init.normal_(layer.bias, 0, 0.1)
        return blank.state_dict()

    monkeypatch.setattr(pypi_fid.inception, "load_state_dict_from_url", random_weights)
    return pypi_fid.inception.InceptionV3().eval()


def test_features_equal_pytorch_fids(pypi_fid, monkeypatch, pictures, as_torch, tmp_path):
    reference = _reference(pypi_fid, monkeypatch)
    torch.save(pypi_fid.inception.fid_inception_v3().state_dict(), tmp_path / "pt_inception.pth")
    torch_files.convert(tmp_path / "pt_inception.pth", tmp_path / "inception.npz", "inception")
    params = weights.load("inception", tmp_path / "inception.npz")
    with torch.no_grad():
        theirs = reference(as_torch(pictures[0][:2]))[0].numpy().reshape(2, 2048)
    ours = jax.jit(Inception().apply)({"params": params}, 2 * pictures[0][:2] - 1)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5 * theirs.max())


def test_the_distance_of_known_gaussians_is_exact():
    # Diagonal covariances commute: sum of (sqrt a - sqrt b)^2 plus the squared distance of the means.
    a = Gaussian(np.array([0.0, 1.0]), np.diag([1.0, 4.0]))
    b = Gaussian(np.array([3.0, 5.0]), np.diag([9.0, 16.0]))
    assert fid.frechet_distance(a, b) == pytest.approx(9 + 16 + (1 - 3) ** 2 + (2 - 4) ** 2, rel=1e-12)


def test_the_distance_equals_pytorch_fids(pypi_fid, monkeypatch):
    # A later SciPy's sqrtm has no `disp`, which pytorch-fid gives it.
    linalg = types.SimpleNamespace(sqrtm=lambda matrix, disp: (scipy.linalg.sqrtm(matrix), None))
    monkeypatch.setattr(pypi_fid.score, "linalg", linalg)
    a, b = RNG.normal(0, 1, (300, 64)), RNG.normal(0.2, 1.3, (300, 64)) @ RNG.normal(0, 0.2, (64, 64))
    theirs = pypi_fid.score.calculate_frechet_distance(
        a.mean(0), np.cov(a, rowvar=False), b.mean(0), np.cov(b, rowvar=False)
    )
    ours = fid.frechet_distance(Moments.of(a).gaussian("a"), Moments.of(b).gaussian("b"))
    assert ours == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize("count", [20, 500])
def test_a_set_with_itself_is_zero_also_with_fewer_images_than_features(count):
    gaussian = Moments.of(RNG.normal(0, 3, (count, 64))).gaussian("set")
    assert fid.frechet_distance(gaussian, gaussian) == pytest.approx(0, abs=1e-5)


def test_moments_of_uneven_masked_batches_equal_numpys_in_any_order():
    features = RNG.normal(1e4, 1, (103, 8)).astype(np.float32)  # far from zero, where naive sums of squares fail
    parts = [Moments.empty(8) for _ in range(2)]
    for start in range(0, 103, 10):
        batch = features[start : start + 10]
        mask = np.arange(10) < len(batch)
        padded = np.concatenate([batch, np.full((10 - len(batch), 8), -7.0)])
        parts[start // 10 % 2] = parts[start // 10 % 2].add(padded, mask)
    for whole in (parts[0].merge(parts[1]), parts[1].merge(parts[0])):
        found = whole.gaussian("set")
        assert whole.count == 103
        np.testing.assert_allclose(found.mean, features.astype(np.float64).mean(0), rtol=1e-12)
        np.testing.assert_allclose(
            found.covariance, np.cov(features.astype(np.float64), rowvar=False), rtol=1e-8, atol=1e-10
        )


def test_one_image_has_no_fid():
    with pytest.raises(UserError, match="generated: FID needs at least two images, found 1"):
        Moments.of(np.zeros((1, 4))).gaussian("generated")


def test_features_that_are_not_finite_are_refused():
    bad = Gaussian(np.array([np.nan]), np.eye(1))
    with pytest.raises(UserError, match="not finite"):
        fid.frechet_distance(bad, bad)


def test_statistics_are_kept_exactly_in_pytorch_fids_format(tmp_path):
    gaussian = Moments.of(RNG.normal(0, 1, (9, 3))).gaussian("set")
    fid.save(tmp_path / "stats.npz", gaussian)
    with np.load(tmp_path / "stats.npz") as archive:
        assert np.array_equal(archive["mu"], gaussian.mean) and np.array_equal(archive["sigma"], gaussian.covariance)
    assert np.array_equal(fid.load(tmp_path / "stats.npz").covariance, gaussian.covariance)


def test_statistics_without_sigma_are_refused(tmp_path):
    np.savez(tmp_path / "stats.npz", mu=np.zeros(3))
    with pytest.raises(UserError, match=r"stats\.npz: holds no mu \(D,\) with sigma"):
        fid.load(tmp_path / "stats.npz")


@pytest.mark.parametrize("sigma", [np.array([["a"] * 3] * 3), np.zeros((3, 3), bool), np.zeros((3, 3), complex)])
def test_statistics_of_anything_but_numbers_are_refused(tmp_path, sigma):
    np.savez(tmp_path / "stats.npz", mu=np.zeros(3), sigma=sigma)
    with pytest.raises(UserError, match=r"stats\.npz: holds no mu \(D,\) with sigma"):
        fid.load(tmp_path / "stats.npz")

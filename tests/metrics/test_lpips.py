"""LPIPS against PyPI's lpips and against the package lpips-j, on the same weights."""

import h5py
import jax
import numpy as np
import pytest
import torch

from scrn_jax.errors import UserError
from scrn_jax.metrics import lpips


@pytest.fixture(scope="module", params=["alex", "vgg"])
def net(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def params(net):
    return lpips.load_params(net)


def test_equals_pypi_lpips(net, params, lpips_reference, pictures, as_torch):
    reference = lpips_reference(net, params)
    with torch.no_grad():
        theirs = reference(as_torch(2 * pictures[0] - 1), as_torch(2 * pictures[1] - 1)).numpy().reshape(-1)
    ours = jax.jit(lpips.LPIPS(net).apply)({"params": params}, *pictures)
    assert theirs.min() > 0.01
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_the_heads_are_pypi_lpips_own(net, params, pypi_lpips):
    reference = pypi_lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    for i, head in enumerate(reference.lins):
        np.testing.assert_array_equal(params[f"lin{i}"]["weight"], head.model[1].weight.detach().numpy().reshape(-1))


def test_an_image_with_itself_is_zero(net, params, pictures):
    distance = jax.jit(lpips.LPIPS(net).apply)({"params": params}, pictures[0], pictures[0])
    np.testing.assert_allclose(distance, 0, atol=1e-12)


def test_several_batches_have_the_distances_of_each(net, params, pictures, quick_compile):
    first, second = (each.astype(np.float32) for each in pictures)
    rows = np.stack([first, second, first[::-1]])
    found = jax.jit(lambda params: lpips.distances(net, params, rows, second), compiler_options=quick_compile)(params)
    alone = jax.jit(lpips.LPIPS(net).apply, compiler_options=quick_compile)
    np.testing.assert_allclose(found, [alone({"params": params}, row, second) for row in rows], atol=1e-6)


def test_lpips_j_equals_ours_on_the_same_weights(pictures, tmp_path, monkeypatch):
    params = lpips.load_params("vgg")
    with h5py.File(tmp_path / "vgg16_weights.h5", "w") as trunk, h5py.File(tmp_path / "lpips_lin.h5", "w") as heads:
        for name, leaves in params["trunk"].items():
            trunk[f"{name}/weight"], trunk[f"{name}/bias"] = leaves["kernel"], leaves["bias"]
        for i in range(5):
            heads[f"lin{i}"] = params[f"lin{i}"]["weight"].reshape(1, 1, -1, 1)
    monkeypatch.setattr("lpips_j.lpips.hf_hub_download", lambda repo_id, filename: str(tmp_path / filename))
    theirs = lpips.load_lpips_j()(*pictures)
    np.testing.assert_allclose(jax.jit(lpips.LPIPS("vgg").apply)({"params": params}, *pictures), theirs, atol=1e-5)


def test_lpips_j_without_its_weights_says_what_to_do(monkeypatch):
    def refuse(repo_id, filename):
        raise OSError("no route to host")

    monkeypatch.setattr("lpips_j.lpips.hf_hub_download", refuse)
    with pytest.raises(UserError, match=r"no route to host.*or use LPIPS\('vgg'\)"):
        lpips.load_lpips_j()


def test_unknown_nets_are_refused():
    with pytest.raises(UserError, match="choose alex or vgg"):
        lpips.load_params("squeeze")

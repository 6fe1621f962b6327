"""PyTorch's weight files become ours."""

import os

import numpy as np
import pytest
import torch

from scrn_jax import convert
from scrn_jax.errors import UserError
from scrn_jax.models.pretrained import torch_files, vgg, weights
from scrn_jax.runtime import arrays


def _saved(tensors, folder, beginning: str):
    """Saves a state dict under a name that carries the digits of its SHA-256."""
    torch.save(tensors, folder / "unnamed.pth")
    digits = arrays.sha256(folder / "unnamed.pth")[:8]
    return (folder / "unnamed.pth").rename(folder / f"{beginning}-{digits}.pth")


@pytest.mark.parametrize(
    ("name", "layers"),
    [("vgg19", vgg.conv_names(19)), ("vgg16", vgg.conv_names(16)), ("alexnet", [f"conv{i}" for i in range(1, 6)])],
)
def test_a_torchvision_file_converts_to_the_same_weights(name, layers, torch_network, tree_of, tmp_path):
    network = torch_network(name)
    path = _saved({f"features.{key}": value for key, value in network.state_dict().items()}, tmp_path, name)
    assert convert.main([str(path), str(tmp_path / "out.npz")]) == 0
    found = weights.find(name, tmp_path / "out.npz")
    assert found.sha256 == arrays.sha256(path)
    for layer, leaves in tree_of(network, layers).items():
        assert np.array_equal(found.params[layer]["kernel"], leaves["kernel"]), layer
        assert np.array_equal(found.params[layer]["bias"], leaves["bias"]), layer


def test_a_wrong_digest_writes_nothing(tmp_path, capsys):
    (tmp_path / "vgg19-dcbb9e9d.pth").write_bytes(b"half a download")
    assert convert.main([str(tmp_path / "vgg19-dcbb9e9d.pth"), str(tmp_path / "out.npz")]) == 1
    assert "vgg19-dcbb9e9d.pth: wrong sha256, expected dcbb9e9d" in capsys.readouterr().err
    assert not (tmp_path / "out.npz").exists()


def test_a_malicious_file_is_refused_and_does_not_run(tmp_path):
    class Malicious:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    torch.save({"features.0.weight": Malicious()}, tmp_path / "alexnet.pth")
    with pytest.raises(UserError, match=r"alexnet\.pth: PyTorch cannot read it as plain weights"):
        torch_files.convert(tmp_path / "alexnet.pth", tmp_path / "out.npz", "alexnet")
    assert not (tmp_path / "made").exists() and not (tmp_path / "out.npz").exists()


def test_a_file_of_another_network_names_the_missing_tensor(tmp_path):
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "x.pth")
    with pytest.raises(UserError, match=r"holds no tensor features\.0\.bias, so it is not a vgg16"):
        torch_files.convert(tmp_path / "x.pth", tmp_path / "out.npz", "vgg16")


def test_a_name_that_tells_no_network_asks_for_it(tmp_path):
    with pytest.raises(UserError, match="say it with --network"):
        torch_files.network_of(tmp_path / "model.pth")

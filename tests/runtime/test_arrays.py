"""Weight files are read without trusting them."""

import hashlib
import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest

from scrn_jax.errors import UserError
from scrn_jax.runtime import arrays as arrays_lib
from scrn_jax.runtime import files


class _Malicious:
    """A pickle of it makes a folder when it is read."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_a_malicious_pickle_is_refused_and_does_not_run(tmp_path):
    content = pickle.dumps({"kernel": _Malicious(tmp_path / "made")})
    with pytest.raises(UserError, match="mkdir, but only NumPy arrays are admitted"):
        arrays_lib.read_pickled_arrays(content, tmp_path / "bad.ckpt")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("protocol", [3, 4])
def test_a_pickle_of_arrays_is_read(protocol, tmp_path):
    arrays = {"layer": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}}
    found = arrays_lib.read_pickled_arrays(pickle.dumps(arrays, protocol), tmp_path)
    assert np.array_equal(found["layer"]["kernel"], [[0, 1, 2], [3, 4, 5]])


def test_a_cut_pickle_names_the_file(tmp_path):
    with pytest.raises(UserError, match="cut.ckpt"):
        arrays_lib.read_pickled_arrays(pickle.dumps({"a": np.ones(9)})[:-9], tmp_path / "cut.ckpt")


def test_a_wrong_sha256_names_file_both_digests_and_mend(tmp_path):
    path = tmp_path / "weights.npz"
    path.write_bytes(b"abc")
    found = hashlib.sha256(b"abc").hexdigest()
    with pytest.raises(UserError, match=rf"weights.npz.*expected dcbb9e9d\.\.\., found {found}.*get it anew"):
        arrays_lib.check_sha256(path, "dcbb9e9d", "get it anew")
    assert arrays_lib.check_sha256(path, found[:8], "") == found


@pytest.mark.parametrize(
    ("name", "digits"),
    [("vgg19-dcbb9e9d.pth", "dcbb9e9d"), ("pt_inception-2015-12-05-6726825d.pth", "6726825d"), ("vgg19.pth", None)],
)
def test_digest_is_read_from_pytorchs_file_names(name, digits, tmp_path):
    assert arrays_lib.digest_in_name(tmp_path / name) == digits


def test_an_npz_with_python_objects_is_refused(tmp_path):
    np.savez(tmp_path / "objects.npz", a=np.array([{}], dtype=object))
    with pytest.raises(UserError, match=r"objects.npz: not a readable .npz"):
        arrays_lib.read_npz(tmp_path / "objects.npz")


def test_a_truncated_npz_is_refused(tmp_path):
    np.savez(tmp_path / "whole.npz", a=np.ones(1000))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:500])
    with pytest.raises(UserError, match=r"cut.npz: not a readable .npz"):
        arrays_lib.read_npz(tmp_path / "cut.npz")


def _npz(path, shape, data):
    """An .npz of one array, whose header claims `shape` whatever `data` there are."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", head.getvalue() + data)
    return path


@pytest.mark.parametrize("shape", [(1 << 40,), (1 << 20, 1 << 20), (-1,), (3,)])
def test_an_npz_whose_header_claims_more_than_there_is_is_refused(tmp_path, shape):
    with pytest.raises(UserError, match=r"a\.npz: not a readable .npz"):
        arrays_lib.read_npz(_npz(tmp_path / "a.npz", shape, b"12345678"))


def test_an_npz_that_unpacks_to_gigabytes_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays_lib, "MAX_ARRAYS_BYTES", 1 << 20)
    path = _npz(tmp_path / "a.npz", (1 << 18,), bytes(1 << 20))
    assert path.stat().st_size < 5000
    with pytest.raises(UserError, match="unpacks to .* at most 1,048,576"):
        arrays_lib.read_npz(path)


def test_every_kind_of_array_comes_back_from_an_npz(tmp_path):
    arrays = {
        "scalar": np.array(3),
        "text": np.array("abc"),
        "empty": np.empty((0, 4), np.float32),
        "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    }
    np.savez(tmp_path / "a.npz", **arrays)
    found = arrays_lib.read_npz(tmp_path / "a.npz")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype and np.array_equal(found[name], array)


def _safetensors(header: dict, body: bytes) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def test_safetensors_are_read_by_their_specification(tmp_path):
    header = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [2, 1], "data_offsets": [4, 12]},
        "b": {"dtype": "I64", "shape": [0], "data_offsets": [12, 12]},
    }
    (tmp_path / "w.safetensors").write_bytes(_safetensors(header, np.array([9, 1.5, -2], "<f4").tobytes()))
    found = arrays_lib.read_safetensors(tmp_path / "w.safetensors")
    assert found.keys() == {"a"} and found["a"].tolist() == [[1.5], [-2.0]]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 64,
        _safetensors({name: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for name in "ab"}, b"12345678"),
        _safetensors({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}}, b"1234"),
    ],
)
def test_broken_safetensors_are_refused(content, tmp_path):
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="not a readable .safetensors"):
        arrays_lib.read_safetensors(tmp_path / "w.safetensors")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "kept.npz"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), files.written_whole(path) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "out.npz"
    with pytest.raises(UserError, match=r"out\.npz: cannot be written"), files.written_whole(path):
        pass

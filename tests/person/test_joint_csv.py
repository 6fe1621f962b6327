"""The DeepFashion annotation reader: what it reads and what it refuses, by file, line, record and mend."""

import json

import numpy as np
import pytest

from scrn_jax.errors import UserError
from scrn_jax.person import joint_files

HEADER = "name:keypoints_y:keypoints_x\n"
YS = [10, 20, *range(30, 44), -1, -1]
XS = [50, 51, *range(60, 74), -1, -1]


def write(path, *lines, header=HEADER):
    path.write_text(header + "".join(f"{line}\n" for line in lines))
    return path


def line(name="a.jpg", ys=YS, xs=XS):
    return f"{name}: {json.dumps(ys)}: {json.dumps(xs)}"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "annotation.csv"


def test_y_comes_first_and_minus_one_is_missing(file):
    people = joint_files.read_deepfashion(write(file, line()))
    assert people["a.jpg"][1].tolist() == [20, 51]
    assert people["a.jpg"][17].tolist() == [-1, -1]
    assert people["a.jpg"].dtype == np.float32


def test_a_joint_with_one_coordinate_missing_is_missing(file):
    people = joint_files.read_deepfashion(write(file, line(xs=[-1, *XS[1:]])))
    assert people["a.jpg"][0].tolist() == [-1, -1]


def test_a_byte_order_mark_is_no_part_of_the_header(file):
    file.write_text("\ufeff" + HEADER + line() + "\n", encoding="utf-8")
    assert list(joint_files.read_deepfashion(file)) == ["a.jpg"]


def refused(file, *expected):
    with pytest.raises(UserError) as caught:
        joint_files.read_deepfashion(file)
    for part in (str(file), *expected):
        assert part in str(caught.value)


def test_seventeen_joints_are_refused_with_file_line_name_and_mend(file):
    refused(write(file, line(), line("b.jpg", YS[:17], XS[:17])), "line 3", "b.jpg", "17 values", "neck")


def test_a_wrong_separator_is_refused(file):
    refused(write(file, line().replace(":", ";")), "line 2", "separator ':'")


def test_a_wrong_header_is_refused(file):
    refused(write(file, line(), header="name,keypoints_y,keypoints_x\n"), "line 1", "name:keypoints_y:keypoints_x")


def test_nan_is_refused(file):
    refused(write(file, line(ys=[float("nan"), *YS[1:]])), "line 2", "a.jpg", "keypoints_y", "-1 for a missing joint")


def test_words_instead_of_numbers_are_refused(file):
    refused(write(file, line(xs=["left", *XS[1:]])), "line 2", "a.jpg", "keypoints_x")


def test_a_cut_off_list_is_refused(file):
    refused(write(file, line()[:-9]), "line 2", "a.jpg", "JSON lists")


def test_deep_nesting_is_refused_without_a_crash(file):
    refused(write(file, "a.jpg: " + "[" * 100_000 + ": []"), "line 2", "a.jpg")


def test_a_name_with_two_different_poses_is_refused(file):
    refused(write(file, line(), line(ys=[11, *YS[1:]])), "line 3", "a.jpg", "twice")


def test_an_empty_file_is_refused(file):
    refused(write(file), "no annotations")


def test_an_absent_file_is_refused(file):
    refused(file, "cannot be read")


def test_another_encoding_is_refused(file):
    file.write_bytes((HEADER + line("caf\u00e9.jpg")).encode("latin-1"))
    refused(file, "UTF-8")

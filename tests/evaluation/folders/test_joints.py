"""PCKh of a folder."""

import numpy as np
import pytest

from scrn_jax.errors import UserError
from scrn_jax.evaluation.folders.evaluate import count_right
from scrn_jax.evaluation.folders.matching import Pair

PAIRS = (Pair("a___b_vis.png", "b.jpg", "a"), Pair("a___c_vis.png", "c.jpg", "a"))


def _csv(path, people):
    lines = ["name:keypoints_y:keypoints_x"]
    lines += [f"{name}: {[y for y, _ in joints]}: {[x for _, x in joints]}" for name, joints in people.items()]
    path.write_text("\n".join(lines) + "\n")
    return path


def _person(moved: int):
    """A head of 20 x 20 pixels (nose and neck) and a wrist, which is `moved` pixels down; the rest is missing."""
    joints = [(-1, -1)] * 18
    joints[0], joints[1], joints[4] = (10, 20), (30, 40), (100 + moved, 50)
    return joints


def test_a_wrist_beyond_half_a_head_is_wrong(tmp_path):
    target = _csv(tmp_path / "t.csv", {"b.jpg": _person(0), "c.jpg": _person(0)})
    found = _csv(tmp_path / "f.csv", {"a___b_vis.png": _person(9), "a___c.png": _person(11)})
    right, counted, lacking = count_right(PAIRS, found, target, allow_missing=False)
    assert right.tolist() == [3, 2] and counted.tolist() == [3, 3] and lacking == 0


def test_an_image_without_joints_is_an_error_or_counted(tmp_path):
    target = _csv(tmp_path / "t.csv", {"b.jpg": _person(0), "c.jpg": _person(0)})
    found = _csv(tmp_path / "f.csv", {"a___b_vis.png": _person(0)})
    with pytest.raises(UserError, match=r"f\.csv: no joints of a___c; add them"):
        count_right(PAIRS, found, target, allow_missing=False)
    right, counted, lacking = count_right(PAIRS, found, target, allow_missing=True)
    assert np.array_equal(counted, [3, 0]) and right.sum() == 3 and lacking == 1

"""A run's test pictures as files: where they lie, and what no name of a data set can do."""

import numpy as np
import pytest

from scrn_jax.errors import UserError
from scrn_jax.evaluation.heldout import write_pictures


def _written(folder, *pairs):
    """Writes a grey picture for each pair of names; the file names below the folder."""
    pictures = np.full((len(pairs), 8, 6, 3), 90, np.uint8)
    batches = [{"mask": np.ones(len(pairs), bool), "target_image": pictures}]
    write_pictures(lambda batch: pictures, batches, lambda number: pairs[number], folder)
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def test_pictures_and_targets_lie_apart_under_the_names_of_their_pair(tmp_path):
    found = _written(tmp_path, ("a.jpg", "b.jpg"), ("c.jpg", "b.jpg"))
    assert found == ["generated/a___b_vis.png", "generated/c___b_vis.png", "reference/b.png"]


def test_padding_is_not_written(tmp_path):
    picture = np.zeros((2, 8, 6, 3), np.uint8)
    batches = [{"mask": np.array([True, False]), "target_image": picture}]
    write_pictures(lambda batch: picture, batches, lambda number: [("a", "b")][number], tmp_path)
    assert len(list((tmp_path / "generated").iterdir())) == 1


@pytest.mark.parametrize("name", ["../../b", "/b", "..\\b", "x/../../b"])
def test_no_name_leads_out_of_the_folder(name, tmp_path):
    found = _written(tmp_path / "in" / "here", ("a", name))
    assert len(found) == 2 and not [path for path in tmp_path.rglob("*.png") if "here" not in path.parts]


def test_two_names_of_one_file_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"b\.png and b\.jpg would both be b\.png"):
        _written(tmp_path, ("a.jpg", "b.jpg"), ("a.jpg", "b.png"))

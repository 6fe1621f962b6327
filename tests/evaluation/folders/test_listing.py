"""Names of images, whatever folder they lie in."""

import pytest

from scrn_jax.errors import UserError
from scrn_jax.evaluation.folders.matching import key_of, list_images


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("a/b/01_front.jpg", "01_front"),
        ("a.jpg___b.jpg_vis.png", "a___b_vis"),
        ("MEN/Shirts_Polos/id_00001802/02_4_full.jpg", "fashionMENShirts_Polosid0000180202_4full"),
        ("img/WOMEN/Dresses/id_00000071/01_2_side.jpg", "fashionWOMENDressesid0000007101_2side"),
        ("v1.2_front.PNG", "v1.2_front"),
    ],
)
def test_names_lose_folders_and_extensions_and_the_original_tree_becomes_flat(path, key):
    assert key_of(path) == key


def test_hidden_files_are_skipped_and_others_counted(tmp_path):
    for name in ("a.png", "b.JPG", "notes.txt", ".c.png", ".unfinished/d.png", "sub/e.jpeg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = list_images(tmp_path, "generated")
    assert list(found.files.values()) == ["a.png", "b.JPG", "sub/e.jpeg"] and found.ignored == 1


def test_two_images_of_one_name_are_refused(tmp_path):
    (tmp_path / "a.png").touch()
    (tmp_path / "a.jpg").touch()
    with pytest.raises(UserError, match=r"a\.jpg and a\.png have the same name; remove one"):
        list_images(tmp_path, "generated")


@pytest.mark.parametrize("folder", ["absent", "."])
def test_a_folder_without_images_names_itself(tmp_path, folder):
    with pytest.raises(UserError, match="no such folder; give|holds no reference image"):
        list_images(tmp_path / folder, "reference")

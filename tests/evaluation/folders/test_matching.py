"""Which generated image belongs to which reference."""

from pathlib import Path

import pytest

from scrn_jax.errors import UserError
from scrn_jax.evaluation.folders.matching import ImageFolder, Pair, key_of, list_images, match


def _folder(*names: str) -> ImageFolder:
    return ImageFolder(Path("folder"), {key_of(name): name for name in sorted(names)}, 0)


def _csv(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    "name",
    [
        "a_1___b_2_vis.png", "a_1.jpg___b_2.jpg_vis.jpg", "a_1_2_b_2_vis.jpg", "a_1_to_b_2.png", "a_1_2_b_2.png",
        "a_1___b_2.jpg",
    ],
)  # fmt: skip
def test_every_way_of_the_field_to_name_a_pair_is_read(name):
    assert match(_folder(name), _folder("b_2.jpg")).pairs == (Pair(name, "b_2.jpg", "a_1"),)


@pytest.mark.parametrize("name", ["b_2.png", "b_2_vis.jpg"])
def test_a_target_alone_is_a_name_too(name):
    assert match(_folder(name), _folder("b_2.jpg")).pairs == (Pair(name, "b_2.jpg", ""),)


def test_one_target_may_have_several_sources():
    matched = match(_folder("a___t.png", "b___t.png"), _folder("t.png"))
    assert [pair.source for pair in matched.pairs] == ["a", "b"] and not matched.missing


def test_separators_inside_names_are_told_by_the_references():
    matched = match(_folder("x_2_y_2_z.png"), _folder("z.png", "x_2_y.png"), allow_missing=True)
    assert matched.pairs == (Pair("x_2_y_2_z.png", "z.png", "x_2_y"),)


def test_a_name_with_two_readings_is_refused():
    with pytest.raises(UserError, match=r"x_2_y_2_z: its name fits the references y_2_z and z; list the pairs"):
        match(_folder("x_2_y_2_z.png"), _folder("z.png", "y_2_z.png"))


@pytest.mark.parametrize("names", [("a___b.png", "a_to_b.png"), ("a___b.png", "a___b_vis.png"), ("b.png", "b_vis.png")])
def test_two_images_of_one_pair_are_refused(names):
    with pytest.raises(UserError, match="are the same pair; remove one"):
        match(_folder(*names), _folder("b.png"))


def test_missing_and_extra_images_are_an_error_with_counts():
    with pytest.raises(
        UserError, match=r"1 images match, 2 missing \(first: c\.png\) and 1 without a partner \(first: x"
    ):
        match(_folder("a___b.png", "x.png"), _folder("b.png", "c.png", "d.png"))


def test_missing_and_extra_images_are_counted_when_allowed():
    matched = match(_folder("a___b.png", "x.png"), _folder("b.png", "c.png"), allow_missing=True)
    assert (len(matched.pairs), matched.missing, matched.extra) == (1, ("c.png",), ("x.png",))


def test_no_match_is_an_error_even_when_missing_is_allowed():
    with pytest.raises(UserError, match=r"none of its 1 images, e\.g\. x\.png, matches an image of folder; name them"):
        match(_folder("x.png"), _folder("b.png"), allow_missing=True)


def test_a_csv_says_which_pairs_there_should_be(tmp_path):
    csv = _csv(tmp_path / "pairs.csv", ",from,to", "0,a.jpg,b.jpg", "1,c.jpg,b.jpg", "2,a.jpg,d.jpg")
    generated = _folder("a___b_vis.png", "c_2_b_vis.jpg", "d.png")
    matched = match(generated, _folder("a.jpg", "b.jpg", "c.jpg", "d.jpg"), csv)
    assert matched.pairs == (
        Pair("a___b_vis.png", "b.jpg", "a"),
        Pair("c_2_b_vis.jpg", "b.jpg", "c"),
        Pair("d.png", "d.jpg", "a"),
    )
    assert not matched.missing and not matched.extra  # sources among the references are not missing


def test_a_target_alone_cannot_stand_for_two_pairs_of_a_csv(tmp_path):
    csv = _csv(tmp_path / "pairs.csv", "from,to", "a,b", "c,b", "a,d")
    matched = match(_folder("b.png", "d.png"), _folder("b.png", "d.png"), csv, allow_missing=True)
    assert [pair.generated for pair in matched.pairs] == ["d.png"] and matched.missing == ("a___b", "c___b")


def test_a_csv_pair_without_reference_is_missing(tmp_path):
    csv = _csv(tmp_path / "pairs.csv", "from,to", "a,b", "a,c")
    with pytest.raises(UserError, match=r"1 missing \(first: c among the references\)"):
        match(_folder("a___b.png", "a___c.png"), _folder("b.png"), csv)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("source,target", "a,b"), r"line 1: expected the columns from,to, found \['source', 'target'\]"),
        (("from,to", "a,"), "line 2: '' is no name of an image"),
        (("from,to", "a,."), r"line 2: '\.' is no name of an image"),
        (("from,to", "a,b", "a.jpg,b.jpg"), "line 3: the same pair as .*line 2; remove"),
        (("from,to",), "holds no pairs"),
        (("from,to", '"a,b'), "line 2: not readable as CSV"),
    ],
)
def test_what_is_wrong_with_a_csv_is_told_with_its_line(tmp_path, lines, message):
    with pytest.raises(UserError, match=message):
        match(_folder("a___b.png"), _folder("b.png"), _csv(tmp_path / "pairs.csv", *lines))


def test_folders_that_are_links_are_followed_once(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "made").mkdir()
    (tmp_path / "elsewhere" / "a.png").touch()
    (tmp_path / "made" / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "made")
    found = list_images(tmp_path / "made", "generated")
    assert found.files == {"a": "b/a.png"} and found.ignored == 1

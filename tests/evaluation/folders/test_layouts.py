"""Folders named as the compared methods' code names them, read by presets or found by themselves."""

from pathlib import Path

import numpy as np
import pytest

from scrn_jax.errors import UserError
from scrn_jax.evaluation import command
from scrn_jax.evaluation.folders import evaluate, layouts, matching
from scrn_jax.metrics import protocols

A, B, C = (f"fashionWOMENDressesid000000020{i}_{view}" for i, view in enumerate(("1front", "2side", "3back")))
PAIRS = [(A, B), (B, C), (C, A)]


def _true(person: str) -> int:
    return [A, B, C].index(person)


def _strip(draw, source: str, target: str, panels: int) -> np.ndarray:
    """Panels of 176 columns: other pictures first, what the method made last."""
    others = [draw.picture(7 + i) for i in range(panels - 1)]
    return np.concatenate([*others, _made(draw, source, target)], axis=1)


def _made(draw, source: str, target: str) -> np.ndarray:
    return draw.imitation(draw.picture(_true(target)), _true(source))


def _square(draw, source: str, target: str) -> np.ndarray:
    return np.pad(_made(draw, source, target), ((0, 0), (40, 40), (0, 0)), constant_values=255)


@pytest.fixture(scope="module")
def released(tmp_path_factory, draw):
    """(folder of references, {layout: folder as such a method's code writes it}, the CSV of pairs)."""
    root = tmp_path_factory.mktemp("released")
    for person in (A, B, C):
        draw.save(root / "true" / f"{person}.png", draw.picture(_true(person)))
    for number, (source, target) in enumerate(PAIRS, 1):
        draw.save(root / "patn" / f"{source}.jpg___{target}.jpg_vis.png", _strip(draw, source, target, 5))
        draw.save(root / "pise" / f"{source}_{target}_vis.png", _square(draw, source, target))
        draw.save(root / "dior" / f"generated_{number}.png", _strip(draw, source, target, 3))
    csv = root / "pairs.csv"
    csv.write_text("from,to\n" + "".join(f"{source}.jpg,{target}.jpg\n" for source, target in PAIRS), "utf-8")
    return root / "true", {name: root / name for name in layouts.LAYOUTS}, csv


def _ssim(released, tmp_path, name: str, pairs: bool, said: bool) -> np.ndarray:
    """SSIM of every pair, in the order of the sources."""
    true, folders, csv = released
    request = evaluate.Request(
        methods={name: folders[name]}, reference=true, protocol=protocols.protocol("patn"), output=tmp_path,
        pairs=csv if pairs else None, layouts={name: name} if said else {},
    )  # fmt: skip
    (method,) = evaluate.evaluate(request).methods
    assert {(pair.source, matching.key_of(pair.reference)) for pair in method.pairs} == set(PAIRS)
    order = np.argsort([pair.source for pair in method.pairs])
    return np.asarray(method.figures["ssim"])[order]


@pytest.mark.parametrize(("pairs", "said"), [(True, True), (True, False)])
def test_the_same_pictures_under_every_layout_are_the_same_figures(released, tmp_path, pairs, said):
    found = [_ssim(released, tmp_path / name, name, pairs, said) for name in layouts.LAYOUTS]
    assert np.ptp(found[0]) > 1e-3
    for each in found[1:]:
        np.testing.assert_allclose(each, found[0], atol=1e-6)


@pytest.mark.parametrize("name", ["patn", "pise"])
def test_names_that_say_the_pair_need_no_csv(released, tmp_path, name):
    _ssim(released, tmp_path, name, pairs=False, said=False)


@pytest.mark.parametrize("name", layouts.LAYOUTS)
def test_a_layout_is_found_by_the_names(released, name):
    true, folders, _ = released
    listed = matching.list_images(folders[name], "generated"), matching.list_images(true, "reference")
    # Three underscores are read as they are.
    assert layouts.find(*listed) == (None if name == "patn" else name)


def test_numbers_without_pairs_are_refused(released):
    true, folders, _ = released
    listed = matching.list_images(folders["dior"], "generated"), matching.list_images(true, "reference")
    with pytest.raises(UserError, match=r"dior: DiOr numbers its images .*give the CSV .* with --pairs"):
        layouts.arrange("dior", *listed, None)


def test_a_folder_of_another_method_is_refused(released):
    true, folders, _ = released
    listed = matching.list_images(folders["dior"], "generated"), matching.list_images(true, "reference")
    with pytest.raises(UserError, match=r"none of its 3 images, e\.g\. generated_1\.png, is named as PISE names them"):
        layouts.arrange("pise", *listed, PAIRS)
    with pytest.raises(UserError, match=r"no layout of a released folder is called gan: choose among patn, pise, dior"):
        layouts.arrange("gan", *listed, PAIRS)


def test_a_number_beyond_the_pairs_is_an_extra_image():
    folder = matching.ImageFolder(Path("x"), {f"generated_{n}": f"generated_{n}.jpg" for n in (1, 4)}, 0)
    references = matching.ImageFolder(Path("y"), {"b": "b.jpg"}, 0)
    assert list(layouts.arrange("dior", folder, references, [("a", "b")]).files) == ["a___b", "generated_4"]


def test_an_underscore_in_a_name_is_told_by_the_references():
    """x_1_y_2: y_2 is a reference and 2 is none."""
    folder = matching.ImageFolder(Path("x"), {"x_1_y_2_vis": "x_1_y_2_vis.jpg"}, 0)
    references = matching.ImageFolder(Path("y"), {"y_2": "y_2.jpg"}, 0)
    assert list(layouts.arrange("pise", folder, references, None).files) == ["x_1___y_2"]


def test_a_layout_stands_behind_an_at_sign(tmp_path):
    (tmp_path / "me@home").mkdir()
    found = command.methods_of([f"PISE={tmp_path}/a@pise", f"{tmp_path}/me@home", f"{tmp_path}/b@dior"])
    assert found == {
        "PISE": (tmp_path / "a", "pise"), "me@home": (tmp_path / "me@home", ""), "b": (tmp_path / "b", "dior")
    }  # fmt: skip

"""Maps and joints that mean something else: rendered people's own sets pass, each wrong reading of them is named."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from input_pipeline import sources
from input_pipeline.check import check
from input_pipeline.formats import folder
from input_pipeline.mannequins import lookalike
from input_pipeline.prepare import builders
from scrn_jax.errors import UserError
from scrn_jax.person import joints, regions

# Where each of the 8 regions stands among ATR's 18 classes, and among LIP's 20.
ATR = np.array([0, 2, 4, 7, 6, 11, 14, 12], np.uint8)
LIP = np.array([0, 2, 5, 6, 9, 13, 14, 16], np.uint8)
# Among PISE's 8, in which arms and legs are one.
PISE = np.array(regions.PISE_CLASSES, np.uint8)
# Among ADGAN's 8, dresses as skirts.
ADGAN = np.array([0, 2, 5, 3, 1, 4, 6, 7], np.uint8)


@pytest.fixture(scope="module")
def shots():
    return lookalike.render(20, processes=1)


@pytest.fixture(scope="module")
def flat(shots, tmp_path_factory):
    root = tmp_path_factory.mktemp("sense") / "flat"
    lookalike.write(root, shots, lookalike.VARIANTS["flat"])
    return root


@pytest.fixture
def people(flat, tmp_path):
    """A copy of the right set, to be made wrong."""
    shutil.copytree(flat, tmp_path / "set")
    return tmp_path / "set"


def change_maps(root, change):
    for number, file in enumerate(sorted(root.glob("*SPL8/*.png"))):
        change(np.asarray(Image.open(file)), number).save(file)


def found(root, kind, **options):
    report = check({"dir": str(root), **options}, processes=0)
    return [finding for finding in report.findings if finding.kind == kind], report


def test_the_right_set_passes_without_a_word_about_its_meaning(flat):
    report = check({"dir": str(flat)}, processes=0)
    assert {finding.kind for finding in report.findings} <= {"other counts", "no face", "absent region"}


@pytest.mark.parametrize(
    ("classes", "merge", "right"),
    [
        (ATR, "lip", "'atr'"),
        (LIP, "atr", "'lip'"),
        (np.array([0, 2, 5, 3, 1, 4, 6, 7], np.uint8), "regions", "'adgan'"),
    ],
)
def test_maps_of_another_table_are_an_error_that_names_the_table_that_fits(people, classes, merge, right):
    change_maps(people, lambda labels, _: Image.fromarray(classes[labels]))
    finding = found(people, "class meaning", merge=merge)[0][0]
    assert finding.level == "error" and "noses and eyes lie on the face" in finding.text and right in finding.text


def test_a_run_that_reads_such_maps_does_not_start(people):
    """The order of the released maps of PISE, read as our own."""
    change_maps(people, lambda labels, _: Image.fromarray(PISE[labels]))
    data = {"name": "folder", "dir": str(people)}
    with pytest.raises(UserError, match=rf"{people}.*noses and eyes lie on the face.*'pise'"):
        sources.open_source(data, "train")
    assert len(sources.open_source(data | {"merge": "pise"}, "train"))


def test_a_palette_whose_order_a_tool_changed_is_an_error(people):
    order = np.array([3, 0, 5, 1, 7, 2, 6, 4], np.uint8)  # class -> index

    def packed(labels, _):
        image = Image.fromarray(order[labels])
        image.putpalette(np.repeat(np.argsort(order), 3).astype(np.uint8).tobytes())
        return image

    change_maps(people, packed)
    findings, report = found(people, "class meaning")
    assert findings[0].level == "error"
    (grey,) = [finding for finding in report.findings if finding.kind == "grey palette"]
    assert "as the grey level" in grey.text and "plain grey class numbers" in grey.text


def test_another_palette_in_each_file_is_named(people):
    def packed(labels, number):
        image = Image.fromarray(labels)
        image.putpalette(np.random.default_rng(number).integers(0, 256, 768).astype(np.uint8).tobytes())
        return image

    change_maps(people, packed)
    (finding,), _ = found(people, "palettes differ")
    assert "shows class 0 in" in finding.text and ".png" in finding.text


def test_one_palette_for_all_is_no_fault(people):
    def packed(labels, _):
        image = Image.fromarray(labels)
        image.putpalette(regions.COLOURS.tobytes())
        return image

    change_maps(people, packed)
    report = check({"dir": str(people)}, processes=0)
    assert not {"palettes differ", "grey palette", "class meaning"} & {finding.kind for finding in report.findings}


def test_legs_and_heads_in_each_others_place_are_doubted(people):
    change_maps(people, lambda labels, _: Image.fromarray(np.array([0, 7, 2, 3, 4, 5, 6, 1], np.uint8)[labels]))
    findings, _ = found(people, "class meaning")
    texts = [finding.text for finding in findings if finding.level == "warning"]
    assert any("hair begins below the face" in text for text in texts)


def change_joints(root, change):
    for file in root.glob("*annotation*.csv"):
        lines = file.read_text().splitlines()
        for number, line in enumerate(lines[1:], start=1):
            name, *lists = line.split(":")
            pose = np.stack([json.loads(values) for values in lists], axis=-1).astype(float)
            pose = np.where(joints.present(pose)[:, None], change(pose), -1)
            lines[number] = f"{name}: {json.dumps(pose[:, 0].tolist())}: {json.dumps(pose[:, 1].tolist())}"
        file.write_text("\n".join(lines))


@pytest.mark.parametrize(
    ("change", "reading"),
    [
        (lambda pose: (pose + 0.5) / (256, 176), "fractions of the picture (joints.size = [1, 1])"),
        (lambda pose: 1.5 * pose[:, ::-1] / (1.5, 1.5), "x and y exchanged"),
    ],
)
def test_joints_in_another_measure_are_one_error_that_names_it(people, change, reading):
    change_joints(people, change)
    (finding,), report = found(people, "frames disagree", annotation_width=176)
    assert finding.level == "error" and reading in finding.text
    assert not {"joints beside the person", "class meaning"} & {other.kind for other in report.findings}


def test_joints_that_fit_nowhere_are_one_error(people):
    change_joints(people, lambda pose: pose * (0.03, 0.02) + (2, 150))
    (finding,), report = found(people, "joints fit nowhere", annotation_width=176)
    assert finding.level == "error" and "would fit about" in finding.text
    assert not {"joints beside the person", "class meaning"} & {other.kind for other in report.findings}


def test_skipping_broken_pictures_does_not_prepare_maps_of_another_meaning(people, tmp_path):
    change_maps(people, lambda labels, _: Image.fromarray(ATR[labels]))
    options = folder.Options(merge="lip")
    config = builders.FolderConfig(name="pairs", options=options, processes=0, skip_broken=True)
    with pytest.raises(UserError, match="noses and eyes"):
        builders.prepare(people, tmp_path / "out", config)
    assert not list((tmp_path / "out").rglob("dataset_info.json"))


def test_prepared_records_are_judged_too(people, tmp_path):
    output, _ = builders.prepare(people, tmp_path / "out", builders.FolderConfig(name="pairs", processes=0))
    report = check({"dir": str(output)}, processes=0)
    assert not report.findings.of("error")

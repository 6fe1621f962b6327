"""The doctor: each kind of finding names its file, its page shows what was found, its exit code tells errors."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from input_pipeline.check import check
from input_pipeline.check.dataset import summary
from input_pipeline.check.page import counted, write_findings, write_page
from input_pipeline.prepare import builders
from scrn_jax.errors import UserError

ROOT = Path(__file__).parents[2]


def in_split(folder, file, split):
    """The file of another split that corresponds to one of train."""
    return folder.root / str(file.relative_to(folder.root)).replace("train", split)


@pytest.fixture
def both(folder):
    """The folder of a train split with a test split of the same pictures under other names."""
    for file in [*folder.images.iterdir(), *folder.labels.iterdir()]:
        other = in_split(folder, file, "test")
        other.parent.mkdir(exist_ok=True)
        picture = np.asarray(Image.open(file))
        Image.fromarray(picture[::-1] if picture.ndim == 3 else picture).save(other.with_name(f"t{file.name}"))
    for file, start in ((folder.annotations, "a"), (folder.pairs, "a")):
        text = re.sub(rf"\b{start}(\d)\.jpg", r"ta\1.jpg", file.read_text())
        in_split(folder, file, "test").write_text(text)
    return folder


def report_of(folder, **data):
    return check({"dir": str(folder.root), **data}, processes=0, samples=3)


def texts(report, level, kind):
    return [finding.text for finding in report.findings.of(level) if finding.kind == kind]


def found(folder, level, kind, *parts):
    """The one finding of that kind has all the parts."""
    (text,) = texts(report_of(folder), level, kind)
    for part in parts:
        assert str(part) in text


def test_a_sound_set_has_no_errors_and_its_numbers_are_counted(both):
    report = report_of(both)
    assert report.findings.of("error") == []
    assert report.pictures == {"train": 4, "test": 4} and report.pairs == {"train": 4, "test": 4}
    assert report.shapes == {(256, 176, "RGB"): 8}
    shares = np.bincount(np.concatenate([labels.ravel() for labels in both.maps.values()]), minlength=8) / (
        4 * 256 * 176
    )
    assert np.allclose([pixels for _, pixels, _ in report.histogram()], shares)


def test_the_counts_of_the_known_set_are_told(both):
    notes = texts(report_of(both), "note", "other counts")
    assert any("train: 4 images" in note and "48,674" in note for note in notes)
    assert any("test: 4 pairs" in note and "8,570" in note for note in notes)


def test_a_missing_test_split_is_an_error(folder):
    (text,) = texts(report_of(folder), "error", "incomplete layout")
    assert str(folder.root / "test") in text


def test_several_broken_files_are_all_listed(both):
    for name in ("a0.jpg", "a2.jpg"):
        file = both.images / name
        file.write_bytes(file.read_bytes()[:-3000])
    (both.labels / "a3.png").write_bytes(b"no picture")
    report = report_of(both)
    unreadable = texts(report, "error", "unreadable image")
    assert [str(both.images / name) in text for name, text in zip(("a0.jpg", "a2.jpg"), unreadable, strict=True)] == [
        True
    ] * 2
    assert str(both.labels / "a3.png") in texts(report, "error", "unreadable parsing map")[0]
    assert report.broken == {"train": ["a0.jpg", "a2.jpg", "a3.jpg"]}


@pytest.mark.parametrize(("mode", "kind"), [("L", "grey image"), ("CMYK", "CMYK image")])
def test_grey_and_cmyk_images_are_named(both, mode, kind):
    both.write_image("a1.jpg", Image.fromarray(both.pictures["a1.jpg"]).convert(mode))
    found(both, "warning", kind, both.images / "a1.jpg")


def test_grey_in_three_channels_is_grey(both):
    both.write_image("a1.jpg", np.repeat(both.pictures["a1.jpg"][..., :1], 3, axis=2))
    found(both, "warning", "grey image", both.images / "a1.jpg")


def test_a_wrongly_sized_image_is_named(both):
    both.write_image("a1.jpg", Image.new("RGB", (300, 100), "red"))
    found(both, "error", "wrongly shaped image", both.images / "a1.jpg", "100 x 300")


def test_a_small_image_is_named(both):
    both.write_image("a1.jpg", both.pictures["a1.jpg"][::2, ::2])
    found(both, "warning", "small image", both.images / "a1.jpg", "128 x 88")


def test_a_photo_lying_on_its_side_is_named(both):
    exif = Image.Exif()
    exif[0x0112] = 6
    both.write_image("a1.jpg", both.pictures["a1.jpg"], exif=exif)
    found(both, "error", "unreadable image", both.images / "a1.jpg", "EXIF orientation 6")


def test_joints_outside_the_frame_are_named_one_by_one(both):
    pose = both.poses["a1.jpg"].copy()
    pose[[0, 9]] = [[20, 190], [300, 30]]
    both.write_poses(both.poses | {"a1.jpg": pose})
    found(both, "warning", "joints outside the frame", both.images / "a1.jpg", "nose, right knee")


def test_a_picture_with_hardly_any_joints_is_named(both):
    pose = np.full((18, 2), -1)
    pose[1] = 50, 88
    both.write_poses(both.poses | {"a2.jpg": pose})
    found(both, "warning", "hardly any joints", both.images / "a2.jpg", "only 1 of 18")


def test_joints_beside_the_person_are_named(both):
    labels = np.zeros((256, 176), np.uint8)
    labels[:8] = 5
    both.write_labels("a2.jpg", labels)
    found(both, "warning", "joints beside the person", both.images / "a2.jpg", both.labels / "a2.png")


def standing(both, columns):
    """Everybody stands in the middle columns 80 to 95, with joints `columns` to the right of where they belong."""
    labels = np.zeros((256, 176), np.uint8)
    labels[20:240, 80:96] = 2
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        lines = ["name:keypoints_y:keypoints_x"]
        for name in both.names:
            own = name if split == "train" else f"t{name}"
            Image.fromarray(labels).save(both.root / f"{split}SPL8" / own.replace(".jpg", ".png"))
            ys, xs = rng.integers(30, 230, 18).tolist(), (rng.integers(82, 94, 18) + columns).tolist()
            lines.append(f"{own}: {json.dumps(ys)}: {json.dumps(xs)}")
        in_split(both, both.annotations, split).write_text("\n".join(lines))


@pytest.mark.parametrize(("declared", "columns", "reading"), [(176, 40, "to the left"), (256, 0, "to the right")])
def test_annotations_of_another_frame_than_the_images_are_an_error(both, declared, columns, reading):
    standing(both, columns)
    (text,) = texts(report_of(both, annotation_width=declared), "error", "frames disagree")
    assert f"40 columns {reading}" in text and "annotation_width" in text


def test_annotations_of_the_right_frame_are_none(both):
    standing(both, 40)
    assert texts(report_of(both, annotation_width=256), "error", "frames disagree") == []


def test_a_region_that_never_occurs_is_named(both):
    for split in ("train", "test"):
        for file in (both.root / f"{split}SPL8").iterdir():
            labels = np.array(Image.open(file))
            labels[labels == 4] = 2
            Image.fromarray(labels).save(file)
    found(both, "warning", "absent region", "region 4 (pants)")


def test_a_picture_without_a_face_is_noted(both):
    pose = both.poses["a1.jpg"].copy()
    pose[[0, 14, 15]] = -1
    both.write_poses(both.poses | {"a1.jpg": pose})
    assert any(str(both.images / "a1.jpg") in text for text in texts(report_of(both), "note", "no face"))


def renamed(both, split, old, new):
    """Gives a picture a name in DeepFashion's manner everywhere."""
    for folder, suffix in ((both.root / split, ".jpg"), (both.root / f"{split}SPL8", ".png")):
        (folder / f"{old}{suffix}").rename(folder / f"{new}{suffix}")
    for file in (both.annotations, both.pairs):
        file = in_split(both, file, split)
        file.write_text(re.sub(rf"\b{old}\.", f"{new}.", file.read_text()))


def test_an_item_in_train_and_in_test_in_another_colour_is_a_leak(both):
    renamed(both, "train", "a1", "fashionMENDenimid0000008001_1front")
    renamed(both, "test", "ta2", "fashionMENDenimid0000008002_2side")
    report = report_of(both)
    (text,) = texts(report, "warning", "person in train and test")
    assert "id0000008002_2side.jpg" in text and "id0000008001_1front.jpg" in text
    assert "1 of 1 people" in texts(report, "warning", "leak")[0]


def test_one_file_in_train_and_test_is_named(both):
    (both.root / "test" / "ta1.jpg").write_bytes((both.images / "a3.jpg").read_bytes())
    found(both, "warning", "same image in train and test", "ta1.jpg", "a3.jpg")


def test_odd_pairs_are_named_by_their_lines(both):
    renamed(both, "train", "a1", "fashionMENDenimid0000008001_1front")
    renamed(both, "train", "a2", "fashionMENDenimid0000009001_1front")
    both.pairs.write_text(both.pairs.read_text() + "a0.jpg,a0.jpg\na0.jpg,a0.jpg\n")
    report = report_of(both)
    assert "line 7" in texts(report, "warning", "pair twice")[0]
    assert len(texts(report, "warning", "pair of one picture")) == 2
    assert "line 3" in texts(report, "warning", "pair of different people")[0]


def test_the_lists_are_compared_with_folders_and_pairs(both):
    (both.root / "train.lst").write_text("a0.jpg\na1.jpg\na2.jpg\na9.jpg\n")
    report = report_of(both)
    assert "a9.jpg" in texts(report, "warning", "listed image absent")[0]
    assert "a3.jpg" in texts(report, "warning", "pair outside the list")[0]


def test_images_in_no_pair_are_noted(both):
    both.write_image("a9.jpg", both.pictures["a1.jpg"])
    found(both, "note", "unused images", both.images, "1 images", "a9.jpg")


def test_the_summary_cuts_long_lists_and_the_file_has_them_all(both, tmp_path):
    for name in both.names:
        (both.images / name).write_text("nothing")
    report = report_of(both)
    lines = summary(report, shown=2)
    assert sum("neither a JPEG nor a PNG" in line for line in lines) == 2 and any(
        "and 2 more" in line for line in lines
    )
    write_findings(tmp_path / "findings.csv", report)
    text = (tmp_path / "findings.csv").read_text()
    assert all(str(both.images / name) in text for name in both.names)


def test_the_page_needs_nothing_else_and_escapes_what_it_shows(both, tmp_path):
    evil = "<script>alert(1)</script>.jpg".replace("/", "_")
    both.pairs.write_text(both.pairs.read_text() + f"a0.jpg,{evil}\n")
    report = report_of(both)
    write_page(tmp_path / "page.html", "a & b", report)
    text = (tmp_path / "page.html").read_text()
    assert "<script" not in text and "&lt;script&gt;" in text and "a &amp; b" in text
    assert text.count("data:image/png;base64,") == 3
    assert not re.findall(r"(?:src|href)=\"(?!data:)", text)


@pytest.fixture
def prepared(both):
    output = both.root / "out"
    builders.prepare(both.root, output, builders.FolderConfig(name="pairs", processes=0))
    return output


def test_prepared_records_show_what_their_files_showed(both, prepared):
    raw, kept = report_of(both), check({"dir": str(prepared)}, processes=0, samples=3)
    assert kept.pictures == raw.pictures and kept.pairs == raw.pairs and kept.faces == raw.faces
    assert np.array_equal(kept.pixels, raw.pixels) and kept.shapes == raw.shapes
    assert kept.samples and not kept.findings.of("error")


def test_a_damaged_shard_is_refused_or_its_records_are_named(prepared):
    shard = next(prepared.rglob("*train.array_record*"))
    data = bytearray(shard.read_bytes())
    data[2000:22_000] = bytes(20_000)
    shard.write_bytes(data)
    try:
        errors = check({"dir": str(prepared)}, processes=0).findings.of("error")
    except UserError as error:
        assert str(shard.parent) in str(error)
    else:
        assert any("record" in error.text and str(shard.parent) in error.text for error in errors)


def command(*arguments, **options):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, env=environment, cwd=options["cwd"]
    )


def test_the_command_exits_with_one_when_there_are_errors_and_with_zero_when_not(both, tmp_path):
    whole = command("input_pipeline.check", "--data_dir", str(both.root), "--processes", "0", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    assert "no errors" in whole.stdout and (tmp_path / "check.html").is_file()
    (both.images / "a1.jpg").unlink()
    broken = command("input_pipeline.check", "--data_dir", str(both.root), "--processes", "0", cwd=tmp_path)
    assert broken.returncode == 1 and "a1.jpg" in broken.stdout and "Traceback" not in broken.stderr


def test_the_commands_refuse_an_absent_folder_in_one_line(tmp_path):
    for arguments in (["check", "--data_dir", "none"], ["prepare", "--source", "none", "--output", "out"]):
        done = command(f"input_pipeline.{arguments[0]}", *arguments[1:], cwd=tmp_path)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1 and done.stderr.startswith("error: ") and "none" in done.stderr


def test_a_page_that_cannot_be_written_is_told_before_the_examination_and_names_the_flag(both, tmp_path):
    (both.images / "a1.jpg").unlink()  # which an examination would tell
    (tmp_path / "check.html").mkdir()
    done = command("input_pipeline.check", "--data_dir", str(both.root), "--processes", "0", cwd=tmp_path)
    assert done.returncode == 1 and "--page=FILE" in done.stderr and done.stderr.count("\n") == 1
    assert "a1.jpg" not in done.stdout


def test_a_set_whose_folder_is_no_text_is_examined(both, tmp_path_factory):
    """Its name is Latin-1, as old archives have it."""
    place = tmp_path_factory.mktemp("old")
    odd = Path(os.fsdecode(os.fsencode(place) + b"/caf\xe9"))
    shutil.copytree(both.root, odd)
    (odd / "train" / "a1.jpg").write_bytes(b"nothing")
    done = command("input_pipeline.check", f"--data_dir={odd}", "--processes", "0", cwd=place)
    assert done.returncode == 1 and "caf\\udce9/train/a1.jpg" in done.stdout and "Traceback" not in done.stderr
    assert "caf\\udce9" in (place / "findings.csv").read_text() and (place / "check.html").is_file()


def test_the_doctor_of_folders_needs_no_tensorflow():
    lines = (
        "import sys; sys.modules['tensorflow'] = None; import input_pipeline.check.__main__, input_pipeline.check.page"
    )
    subprocess.run([sys.executable, "-c", lines], check=True, cwd=ROOT)


def test_pictures_with_warnings_come_first_and_say_which(both, tmp_path):
    """Also when nobody asked for them."""
    both.write_image("a3.jpg", np.repeat(both.pictures["a3.jpg"][..., :1], 3, axis=2))
    for asked in (0, 3):
        write_page(tmp_path / "page.html", "page", check({"dir": str(both.root)}, processes=0, samples=asked))
        samples = (tmp_path / "page.html").read_text().partition("<h2>Samples</h2>")[2]
        first = samples.partition("</figure>")[0]
        assert "a3.jpg" in first and "grey image" in first
        assert asked <= samples.count("<figure>") <= asked + 1


@pytest.mark.parametrize(("count", "text"), [(0, "0 warnings"), (1, "1 warning"), (2000, "2,000 warnings")])
def test_one_warning_is_one_warning(count, text):
    assert counted(count, "warning") == text

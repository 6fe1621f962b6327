"""DeepFashion prepared: its names, its variants on disk, what the records say of their origin, and interruptions.

LOOKALIKE_IMAGES=2000 makes the tree as large as the issue asks for; the default is a size for every day.
"""

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
import zipfile

import numpy as np
import psutil
import pytest
from PIL import Image

from input_pipeline import batches, record_folder, records, sources
from input_pipeline.formats import deepfashion
from input_pipeline.mannequins import lookalike
from input_pipeline.prepare import builders, once
from scrn_jax.errors import UserError
from scrn_jax.person import image_files

IMAGES = int(os.environ.get("LOOKALIKE_IMAGES", "20"))
INLINE = {"processes": 0}


def config(**options):
    layout_options = {key: options.pop(key) for key in ("annotation_width", "merge", "images") if key in options}
    return builders.FolderConfig(name="pairs", options=deepfashion.Options(**layout_options), **INLINE | options)


@pytest.fixture(scope="module")
def shots():
    return lookalike.render(IMAGES, processes=1)


@pytest.fixture(scope="module")
def trees(shots, tmp_path_factory):
    """The folder in which every variant has a folder of its name."""
    root = tmp_path_factory.mktemp("trees")
    for name, variant in lookalike.VARIANTS.items():
        lookalike.write(root / name, shots, variant)
    return root


@pytest.fixture(scope="module")
def prepared(trees, tmp_path_factory):
    """Variant -> the folder of its records."""
    output = tmp_path_factory.mktemp("prepared")
    return {name: builders.prepare(trees / name, output / name, config())[0] for name in lookalike.VARIANTS}


def decoded(folder, split):
    """{(source, target): batch of one} at the records' own size."""
    source = records.RecordSource(folder, split)
    found = {}
    for batch in batches.eval_batches(source, batch_size=1, size=source.frame):
        key = batch.pop("source_name")[0], batch.pop("target_name")[0]
        found[key] = batch
    assert len(found) == len(source)
    return found


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("MEN/Shirts_Polos/id_00001802/02_4_full.jpg", "fashionMENShirts_Polosid0000180202_4full.jpg"),
        ("WOMEN/Dresses/id_00000002/02_1_front.jpg", "fashionWOMENDressesid0000000202_1front.jpg"),
        (
            "WOMEN/Blouses_Shirts/id_00000001/02_7_additional.jpg",
            "fashionWOMENBlouses_Shirtsid0000000102_7additional.jpg",
        ),
        ("img/MEN/Denim/id_00000080/01_2_side.jpg", "fashionMENDenimid0000008001_2side.jpg"),
        ("img_highres/WOMEN/Tees_Tanks/id_00007979/12_3_back.jpg", "fashionWOMENTees_Tanksid0000797912_3back.jpg"),
        ("MEN/Sweatshirts_Hoodies/id_00005506/03_6_flat.jpg", "fashionMENSweatshirts_Hoodiesid0000550603_6flat.jpg"),
        ("fashionMENDenimid0000008001_2side.jpg", "fashionMENDenimid0000008001_2side.jpg"),
        ("other/folder/of/mine.jpg", "other/folder/of/mine.jpg"),
    ],
)
def test_a_path_of_the_original_tree_gets_the_flat_name_of_the_lists(path, name):
    assert image_files.flat_name(path) == name


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("fashionMENShirts_Polosid0000180202_4full.jpg", "fashionMENShirts_Polosid00001802"),
        ("fashionMENShirts_Polosid0000180211_1front.jpg", "fashionMENShirts_Polosid00001802"),
        ("fashionWOMENDressesid0000000202_1front.jpg", "fashionWOMENDressesid00000002"),
        ("anna_1.jpg", None),
    ],
)
def test_the_item_key_leaves_out_colour_and_view(name, key):
    assert deepfashion.item_key(name) == key


@pytest.mark.parametrize("variant", ["tree", "zip"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_the_variants_with_side_bars_become_records_equal_to_the_flat_ones(prepared, variant, split):
    expected, found = (decoded(prepared[name], split) for name in ("flat", variant))
    assert expected.keys() == found.keys()
    for key, batch in expected.items():
        for entry in batches.KEYS:
            assert np.array_equal(batch[entry], found[key][entry]), (key, entry)


def test_the_large_images_become_equal_records_but_for_the_colours_that_resizing_changes(prepared):
    expected, found = (decoded(prepared[name], "train") for name in ("flat", "highres"))
    assert expected.keys() == found.keys()
    for key, batch in expected.items():
        for entry in batches.KEYS:
            if entry.endswith("image"):
                assert np.abs(batch[entry].astype(int) - found[key][entry]).mean() < 3, key
            else:
                assert np.array_equal(batch[entry], found[key][entry]), (key, entry)


def test_records_hold_the_joints_and_maps_that_were_drawn(prepared, shots):
    by_name = {shot.flat_name: shot.view for shot in shots}
    for (source, _), batch in decoded(prepared["zip"], "test").items():
        drawn = by_name[source]
        assert np.array_equal(batch["source_pose"][0], np.round(drawn.joints))
        assert np.array_equal(batch["source_parsing"][0], np.asarray(Image.open(io.BytesIO(drawn.labels))))


def test_pictures_that_fit_keep_their_bytes(prepared, trees):
    pair = records.RecordSource(prepared["flat"], "train").read(0)
    assert pair.source_image == (trees / "flat" / "train" / pair.source_name).read_bytes()


def test_large_pictures_are_stored_at_the_size_of_the_frame(prepared):
    pair = records.RecordSource(prepared["highres"], "train").read(0)
    assert Image.open(io.BytesIO(pair.source_image)).size == (176, 256)


def test_the_metadata_say_where_the_records_come_from(prepared):
    said = json.loads((prepared["zip"] / "metadata.json").read_text())
    assert said["images"] == {"train": "img.zip", "test": "img.zip"}
    assert said["annotation_size"]["train"] == [256, 256] and said["merge"] == "regions"
    assert said["image_shapes"] == {"256 x 256 RGB": len(layout_names(said))}
    assert {"numpy", "pillow", "tensorflow-datasets", "python"} <= set(said["libraries"])


def layout_names(said):
    return range(sum(said["pictures"].values()))


def test_the_finer_classes_are_merged_by_the_table_that_was_named(trees, tmp_path, prepared):
    source = copied(trees / "flat", tmp_path / "lip")
    finer = np.array([0, 2, 5, 6, 9, 13, 14, 16], np.uint8)  # one LIP class of each region
    for file in source.glob("*SPL8/*.png"):
        Image.fromarray(finer[np.asarray(Image.open(file))]).save(file)
    with pytest.raises(UserError, match=r"label \d+ in a parsing map of 8 classes"):
        builders.prepare(source, tmp_path / "unmerged", config())
    merged, _ = builders.prepare(source, tmp_path / "merged", config(merge="lip"))
    expected, found = decoded(prepared["flat"], "test"), decoded(merged, "test")
    for key, batch in expected.items():
        assert np.array_equal(batch["target_parsing"], found[key]["target_parsing"])


def copied(tree, to):
    shutil.copytree(tree, to)
    return to


def test_a_broken_picture_is_refused_by_name_and_nothing_is_written(trees, tmp_path):
    source = copied(trees / "flat", tmp_path / "source")
    broken = sorted((source / "train").iterdir())[2]
    broken.write_bytes(broken.read_bytes()[:-900])
    with pytest.raises(UserError, match=f"{broken}: truncated.*skip_broken"):
        builders.prepare(source, tmp_path / "out", config())
    assert not [path for path in (tmp_path / "out").rglob("*") if path.suffix != ".lock" and path.is_file()]


def test_skipping_leaves_out_the_pairs_of_broken_pictures_and_says_so(trees, tmp_path, prepared):
    source = copied(trees / "flat", tmp_path / "source")
    broken = sorted((source / "train").iterdir())[2]
    broken.write_bytes(broken.read_bytes()[:-900])
    folder, _ = builders.prepare(source, tmp_path / "out", config(skip_broken=True))
    whole, rest = decoded(prepared["flat"], "train"), decoded(folder, "train")
    assert rest.keys() == {key for key in whole if broken.name not in key}
    assert record_folder.metadata(folder)["skipped"] == {"train": [broken.name]}


def test_the_metadata_name_every_picture_that_was_left_out_and_why(trees, tmp_path):
    source = copied(trees / "flat", tmp_path / "source")
    absent, broken = sorted((source / "train").iterdir())[1:3]
    absent.unlink()
    broken.write_bytes(broken.read_bytes()[:-900])
    folder, _ = builders.prepare(source, tmp_path / "out", config(skip_broken=True))
    said = record_folder.metadata(folder)
    assert said["skipped"] == {"train": [absent.name, broken.name]}
    assert said["skipped_for"] == {"image absent": 1, "unreadable image": 1}


def test_nothing_is_written_where_records_are_prepared_already_nor_left_in_the_temporary_folder(
    trees, tmp_path, monkeypatch
):
    """Read-only storage: no lock, no folder."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    source = copied(trees / "flat", tmp_path / "source")
    first = sources.open_source({"name": "deepfashion", "dir": str(source)}, "train")
    (source / "records" / "deepfashion.lock").unlink()
    before = {path: path.stat().st_mtime_ns for path in source.rglob("*")}
    monkeypatch.setattr(once, "_locked", None)  # is not come to
    again = sources.open_source({"name": "deepfashion", "dir": str(source)}, "train")
    assert len(again) == len(first) and {path: path.stat().st_mtime_ns for path in source.rglob("*")} == before
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.parametrize("place", ["/etc", "../elsewhere", "nowhere"])
def test_images_outside_the_set_are_refused(trees, tmp_path, place):
    source = copied(trees / "flat", tmp_path / "source")
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(UserError, match="no such folder or archive of images in .*; mend config.data.images"):
        builders.prepare(source, tmp_path / "out", config(images=place))


def test_archives_of_other_systems_are_read_with_their_companions_passed_over(trees, tmp_path, prepared):
    source = copied(trees / "zip", tmp_path / "source")
    with zipfile.ZipFile(source / "img.zip") as old, zipfile.ZipFile(tmp_path / "new.zip", "w") as new:
        for name in old.namelist():
            info = zipfile.ZipInfo("x")
            info.filename = name.replace("/", "\\")
            new.writestr(info, old.read(name))
            folder, _, file = name.rpartition("/")
            new.writestr(f"__MACOSX/{folder}/._{file}", b"\0\5\x16\7")
    os.replace(tmp_path / "new.zip", source / "img.zip")
    folder, _ = builders.prepare(source, tmp_path / "out", config())
    assert decoded(folder, "test").keys() == decoded(prepared["zip"], "test").keys()


def test_what_is_prepared_is_left_alone(prepared, trees):
    before = digests(prepared["flat"])
    output = prepared["flat"].parents[2]
    assert builders.prepare(trees / "flat", output, config()) == (prepared["flat"], None)
    assert digests(prepared["flat"]) == before


def test_records_of_other_options_are_not_taken_for_these(prepared, trees):
    output = prepared["flat"].parents[2]
    with pytest.raises(UserError, match="other files or options"):
        builders.prepare(trees / "flat", output, config(merge="lip"))


def _an_image(source):
    return sorted((source / "train").iterdir())[0]


def _a_map(source):
    return sorted((source / "trainSPL8").iterdir())[0]


def _other_pixels(file):
    """Another picture in a file of the same length and time of change."""
    data, before = file.read_bytes(), file.stat()
    picture = np.full_like(np.array(Image.open(file)), 2)
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "png" if file.suffix == ".png" else "jpeg", quality=30)
    assert len(stream.getvalue()) <= len(data)
    file.write_bytes(stream.getvalue() + bytes(len(data) - len(stream.getvalue())))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size and file.stat().st_mtime_ns == before.st_mtime_ns


@pytest.fixture
def taken(tmp_path):
    """Whether records are taken for those of a folder as it is now: the error, or None when they are."""

    def taken(source, **options):
        try:
            builders.prepare(source, tmp_path / "out", config(**options))
        except UserError as error:
            return str(error)
        return None

    return taken


@pytest.mark.parametrize("which", [_an_image, _a_map])
def test_another_picture_of_equal_size_and_time_is_told_apart(trees, tmp_path, taken, which):
    source = copied(trees / "flat", tmp_path / "source")
    assert taken(source) is None and taken(source) is None
    _other_pixels(which(source))
    assert "was prepared from other files or options; give another --output" in taken(source)


def test_a_replaced_archive_is_told_apart(trees, tmp_path, taken):
    source = copied(trees / "zip", tmp_path / "source")
    assert taken(source) is None and taken(source) is None
    with zipfile.ZipFile(source / "img.zip") as old, zipfile.ZipFile(tmp_path / "new.zip", "w") as new:
        first, second = old.namelist()[:2]
        swapped = {first: second, second: first}  # the same names and bytes, but exchanged
        for name in old.namelist():
            new.writestr(name, old.read(swapped.get(name, name)))
    os.replace(tmp_path / "new.zip", source / "img.zip")
    assert "was prepared from other files or options" in taken(source)


def test_an_archive_packed_anew_with_the_same_pictures_is_the_same(trees, tmp_path, taken):
    source = copied(trees / "zip", tmp_path / "source")
    assert taken(source) is None
    with zipfile.ZipFile(source / "img.zip") as old, zipfile.ZipFile(tmp_path / "new.zip", "w") as new:
        for name in reversed(old.namelist()):
            new.writestr(name, old.read(name), zipfile.ZIP_DEFLATED)
    os.replace(tmp_path / "new.zip", source / "img.zip")
    assert taken(source) is None


@pytest.mark.parametrize("first", [True, False])
def test_records_with_and_without_skipping_are_told_apart(trees, tmp_path, taken, first):
    source = copied(trees / "flat", tmp_path / "source")
    assert taken(source, skip_broken=first) is None and taken(source, skip_broken=first) is None
    word = "with" if first else "without"
    assert f"was prepared {word} --skip_broken; give another --output" in taken(source, skip_broken=not first)


def test_what_was_skipped_is_not_taken_for_the_set_once_it_is_mended(trees, tmp_path, taken):
    source = copied(trees / "flat", tmp_path / "source")
    whole = _an_image(source).read_bytes()
    _an_image(source).write_bytes(whole[:-900] + bytes(900))
    assert taken(source, skip_broken=True) is None
    _an_image(source).write_bytes(whole)
    assert "was prepared from other files or options" in taken(source, skip_broken=True)


def test_records_of_an_earlier_version_open_and_are_not_taken_for_these_files(trees, tmp_path, taken):
    source = copied(trees / "flat", tmp_path / "source")
    assert taken(source) is None
    (file,) = (tmp_path / "out").rglob("metadata.json")
    said = json.loads(file.read_text())
    del said["skip_broken"]
    file.write_text(json.dumps(said | {"fingerprint": "ab" * 32}))
    found = taken(source)
    assert "by an earlier version, which did not look into the files; give another --output, or remove it" in found
    assert "config.data.name = 'records'" in found and "\n" not in found
    assert len(sources.open_source({"name": "records", "dir": str(tmp_path / "out")}, "train")) > 0


def test_the_config_opens_the_raw_folder_and_prepares_it_once(trees, tmp_path):
    source = copied(trees / "flat", tmp_path / "set")
    opened = sources.open_source({"name": "deepfashion", "dir": str(source)}, "test")
    assert (source / "records" / "deepfashion").is_dir()
    again = sources.open_source({"name": "deepfashion", "dir": str(source / "records")}, "test")
    assert opened.names(0) == again.names(0)


def test_an_archive_that_needs_a_password_is_named(trees, tmp_path):
    source = copied(trees / "zip", tmp_path / "locked")
    data = bytearray((source / "img.zip").read_bytes())
    at = data.find(b"PK\x01\x02")
    while at >= 0:
        data[at + 8] |= 1
        at = data.find(b"PK\x01\x02", at + 4)
    (source / "img.zip").write_bytes(data)
    with pytest.raises(UserError, match="img.zip.*encrypted.*password"):
        builders.prepare(source, tmp_path / "out", config())


def digests(folder):
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


def contents(folder):
    """Every value of every record, in order: the bytes of two equal records differ in the order of their keys."""
    digest = hashlib.sha256((folder / "metadata.json").read_bytes())
    for split in record_folder.split_names(folder):
        source = records.RecordSource(folder, split)
        for index in range(len(source)):
            for value in dataclasses.asdict(source.read(index)).values():
                digest.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    return digest.hexdigest()


def test_killed_at_random_moments_and_run_again_it_equals_an_undisturbed_preparation(trees, tmp_path, prepared):
    program = f"""
        from pathlib import Path
        from input_pipeline.prepare import builders
        print("ready", flush=True)
        builders.prepare(Path({str(trees / "zip")!r}), Path({str(tmp_path)!r}),
                         builders.FolderConfig(name="pairs", processes=1))
    """
    rng = np.random.default_rng(0)
    kills = int(os.environ.get("LOOKALIKE_KILLS", "2"))
    longest = float(os.environ.get("LOOKALIKE_SECONDS", "2"))
    unfinished = 0
    for kill in range(kills):
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program)], stderr=subprocess.DEVNULL, stdout=subprocess.PIPE
        ) as process:
            process.stdout.readline()
            # The first is killed as soon as it writes: how long it takes until then depends on the machine.
            deadline = time.monotonic() + 60
            while kill == 0 and time.monotonic() < deadline and not list(tmp_path.rglob("incomplete.*")):
                time.sleep(0.002)
            time.sleep(rng.uniform(0, longest) if kill else 0)
            children = psutil.Process(process.pid).children(recursive=True)
            process.kill()
        psutil.wait_procs(children, timeout=30)
        unfinished += bool(list(tmp_path.rglob("incomplete.*")))
        with contextlib.suppress(UserError):  # the kill came before the end: nothing counts as prepared
            assert contents(record_folder.find_prepared(tmp_path)) == contents(prepared["zip"])
            shutil.rmtree(tmp_path / "deepfashion")
    assert unfinished
    folder, _ = builders.prepare(trees / "zip", tmp_path, config())
    assert contents(folder) == contents(prepared["zip"])
    assert [path.name for path in folder.parent.iterdir()] == ["1.0.0"]

"""200 broken data sets, each broken in one place by a seeded hand: every one ends in a finding or error with a name.

No traceback of a library, no broken thing passed over in silence: the doctor's errors, or the UserError that opening
and streaming give, name the broken file.
"""

import io
import json
import shutil
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from input_pipeline.check import check
from input_pipeline.formats import deepfashion
from input_pipeline.formats.collection import CollectionSource
from input_pipeline.formats.folder import read_folder
from input_pipeline.prepare import builders
from scrn_jax.errors import UserError

CASES = 200
NAMES = [f"fashionWOMENDressesid0000000{who}01_{view}front.jpg" for who in (1, 2) for view in (1, 2)]


def png(array, **options):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "png", **options)
    return stream.getvalue()


@pytest.fixture(scope="module")
def whole(tmp_path_factory, faced):
    """A small intact data set, to be copied and broken."""
    root = tmp_path_factory.mktemp("whole")
    rng = np.random.default_rng(0)
    for split, names in (("train", NAMES[:2]), ("test", NAMES[2:])):
        lines = ["name:keypoints_y:keypoints_x"]
        for folder in (root / split, root / f"{split}SPL8"):
            folder.mkdir()
        for name in names:
            picture = np.kron(rng.integers(0, 255, (16, 11, 3), np.uint8), np.ones((16, 16, 1), np.uint8))
            Image.fromarray(picture).save(root / split / name, quality=90)
            labels = np.kron(rng.integers(1, 8, (16, 11), np.uint8), np.ones((16, 16), np.uint8))
            ys, xs = rng.integers(0, 256, 18).tolist(), rng.integers(0, 176, 18).tolist()
            labels = faced(labels, np.stack([ys, xs], axis=-1))
            (root / f"{split}SPL8" / name.replace(".jpg", ".png")).write_bytes(png(labels))
            lines.append(f"{name}: {json.dumps(ys)}: {json.dumps(xs)}")
        (root / f"fasion-annotation-{split}.csv").write_text("\n".join(lines) + "\n")
        (root / f"fasion-pairs-{split}.csv").write_text(f"from,to\n{names[0]},{names[1]}\n{names[1]},{names[0]}\n")
        (root / f"{split}.lst").write_text("\n".join(names) + "\n")
    (root / "face-boxes.json").write_text(json.dumps({name: [10, 20, 40, 50] for name in NAMES}))
    return root


def bomb(data, rng):
    """A PNG whose header claims up to a thousand gigapixels."""
    data = bytearray(png(np.zeros((8, 8), np.uint8)))
    data[16:24] = struct.pack(">II", int(rng.integers(1 << 15, 1 << 31)), int(rng.integers(1 << 15, 1 << 31)))
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def huge_text_chunk(data, rng):
    """A PNG with a compressed text of many megabytes."""
    text = b"Comment\0\0" + zlib.compress(bytes(8 << 20), 9)
    chunk = struct.pack(">I", len(text)) + b"zTXt" + text + struct.pack(">I", zlib.crc32(b"zTXt" + text))
    base = png(np.zeros((256, 176), np.uint8))
    return base[:33] + chunk + base[33:]


def truncated(data, rng):
    return data[: int(rng.integers(0, len(data) * 9 // 10))]


def zeroed(data, rng):
    return bytes(len(data))


def another_kind(data, rng):
    return [b"", b"GIF89a" + data, b"<html>not found</html>", b"PK\x03\x04" + data, b"\xff\xd8\xff"][rng.integers(5)]


def absurd_shape(data, rng):
    shape = [(1, 1), (3, 2000), (2000, 3), (100, 300), (64, 65)][rng.integers(4)]
    return png(np.zeros(shape, np.uint8))


def jpeg_map(data, rng):
    stream = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("L").save(stream, "jpeg")
    return stream.getvalue()


def coloured_map(data, rng):
    return png(np.zeros((256, 176, rng.integers(3, 5)), np.uint8))


def high_label(data, rng):
    labels = np.array(Image.open(io.BytesIO(data)))
    labels[rng.integers(256), rng.integers(176)] = rng.integers(8, 256)
    return png(labels)


def deep_map(data, rng):
    return png(np.zeros((256, 176), np.uint16))


def turned(data, rng):
    image = Image.open(io.BytesIO(data))
    exif = Image.Exif()
    exif[0x0112] = int(rng.integers(2, 9))
    stream = io.BytesIO()
    image.save(stream, "jpeg", exif=exif)
    return stream.getvalue()


def gone(data, rng):
    return None


def number_becomes(*words):
    def change(data, rng):
        text = data.decode()
        numbers = [at for at, sign in enumerate(text) if sign == "[" and text[at + 1] != "["]
        at = numbers[rng.integers(len(numbers))]
        end = text.index(",", at)
        return (text[: at + 1] + str(rng.choice(words)) + text[end:]).encode()

    return change


def separators(data, rng):
    wrong = [(":", ";"), (":", ","), (":", "\t"), (": ", "::")][rng.integers(4)]
    return data.replace(wrong[0].encode(), wrong[1].encode())


def comma_lost(data, rng):
    return data.replace(b",", b";" if rng.integers(2) else b" ")


def encoding(data, rng):
    text = data.decode().replace("D", "\u00d6", 1)
    return text.encode(["latin-1", "utf-16", "cp1252"][rng.integers(3)])


def header_lost(data, rng):
    return data.split(b"\n", 1)[1]


def leaves_the_folder(data, rng):
    name = data.split(b"\n")[1].split(b",")[0]
    return data.replace(name, [b"../../etc/passwd", b"/etc/passwd", b"..\\x.jpg", b"\0"][rng.integers(4)])


def lines_lost(data, rng):
    return data.split(b"\n", 1)[0] + b"\n"


def name_changed(data, rng):
    return data.replace(b"Dresses", b"Dresse", 1)


def far_away(data, rng):
    return number_becomes("999", "5000", "1e5")(data, rng)


def nested(data, rng):
    return data.replace(b"[", b"[" * 50_000, 1)


IMAGES = (truncated, zeroed, another_kind, absurd_shape, bomb, turned, gone)
MAPS = (
    truncated,
    zeroed,
    another_kind,
    absurd_shape,
    bomb,
    huge_text_chunk,
    jpeg_map,
    coloured_map,
    high_label,
    deep_map,
    gone,
)
ANNOTATIONS = (
    truncated, zeroed, another_kind, separators, encoding, header_lost, lines_lost, gone, name_changed, far_away,
    nested, number_becomes("NaN", "Infinity", "null", '"left"', "true", "1e999", "[1]", "1" + "0" * 400, "-1e7"),
)  # fmt: skip
PAIRS = (
    truncated,
    zeroed,
    another_kind,
    comma_lost,
    encoding,
    header_lost,
    lines_lost,
    leaves_the_folder,
    name_changed,
    gone,
)
BOXES = (
    truncated,
    zeroed,
    another_kind,
    encoding,
    nested,
    number_becomes("NaN", "null", '"x"', "true", "1e999", "[1]"),
)


def mutation(case):
    """(file below the root, change) of a case."""
    rng = np.random.default_rng(case)
    split, name = (("train", NAMES[:2]), ("test", NAMES[2:]))[rng.integers(2)]
    name = name[rng.integers(2)]
    places = (
        (f"{split}/{name}", IMAGES),
        (f"{split}SPL8/{name.replace('.jpg', '.png')}", MAPS),
        (f"fasion-annotation-{split}.csv", ANNOTATIONS),
        (f"fasion-pairs-{split}.csv", PAIRS),
        ("face-boxes.json", BOXES),
    )
    place, changes = places[case % len(places)]
    return place, changes[case // len(places) % len(changes)], rng


def test_the_intact_set_has_no_errors(whole):
    assert not check({"dir": str(whole)}, processes=0).findings.of("error")
    assert len(CollectionSource(read_folder(whole), "train").read(0).target_image) > 100


@pytest.mark.parametrize("part", range(10))
def test_every_broken_set_ends_in_a_finding_or_an_error_that_names_the_broken_file(whole, tmp_path, part):
    for case in range(part, CASES, 10):
        place, change, rng = mutation(case)
        root = tmp_path / str(case)
        shutil.copytree(whole, root)
        data = change((root / place).read_bytes(), rng)
        if data is None:
            (root / place).unlink()
        else:
            (root / place).write_bytes(data)
        errors = check({"dir": str(root)}, processes=0).findings.of("error")
        told = place.rpartition("/")[2].rpartition(".")[0]
        intact = place == "face-boxes.json" and data == (whole / place).read_bytes()
        kind = f"case {case}: {place} {change.__name__}"
        assert errors or intact, kind
        # A file that is gone is missed under the names it might have, all of which are told.
        assert any(told.replace("fasion", "fashion") in error.text.replace("fasion", "fashion") for error in errors), (
            kind
        )
        with pytest.raises(UserError, match=r".") as caught:
            opened_and_read(root)
        assert "\n" not in str(caught.value), kind
        shutil.rmtree(root)


def opened_and_read(root):
    """What preparing and streaming do: opening with all checks, then fitting every picture to be stored."""
    collection = read_folder(root)
    for split in collection.splits:
        CollectionSource(collection, split)
    collection.findings.raise_errors()
    report = builders.examine_collection(collection, processes=0)
    builders._without_broken(collection, report, skip=False)


def test_the_mutations_reach_every_kind_of_file_and_every_change():
    done = {mutation(case)[:2] for case in range(CASES)}
    assert {change for _, change in done} >= {*IMAGES, *MAPS, *PAIRS, *BOXES[:5], *ANNOTATIONS[:11]}
    assert deepfashion.SPLITS == ("train", "test")

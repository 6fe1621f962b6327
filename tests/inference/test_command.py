"""--mode transfer as a user starts it: pictures where they belong, and one line for everything that does not fit."""

import json
import os
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
# Runs the program once for each list of arguments in a file, in one process: what it exits with, and its messages.
PROGRAM = """
import contextlib, io, json, sys
from absl import flags
from scrn_jax import main
from scrn_jax.runtime import console
main.define_flags()
outcomes = {}
for name, arguments in json.load(open(sys.argv[1])).items():
    for flag in flags.FLAGS:
        flags.FLAGS[flag].unparse()
    sys.argv = ["main", *arguments]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            console.run(main.main)
        except SystemExit as end:
            outcomes[name] = [end.code, said.getvalue()]
json.dump(outcomes, open("outcomes.json", "w"))
"""


# What is compiled behind, for a picture that no mistake paints.
WITHOUT_COMPILING = """
from scrn_jax.inference.photo import PhotoTransfer
PhotoTransfer.begin = lambda self: None
"""


def _run_all(cases: dict[str, list], folder: Path, xla_flags: str, program: str = PROGRAM) -> dict[str, list]:
    path = folder / "cases.json"
    path.write_text(json.dumps({name: [str(argument) for argument in case] for name, case in cases.items()}))
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT), "XLA_FLAGS": xla_flags}
    done = subprocess.run(
        [sys.executable, "-c", program, path], cwd=folder, env=environment, capture_output=True, text=True, timeout=1200
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "outcomes.json").read_text())


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _claimed_png(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds nothing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(b"")) + _chunk(b"IEND", b"")


def _bad_photos(folder: Path, good: Path) -> dict[str, str]:
    """Writes files that are no photo of a person; each with what the line has to say."""
    rng = np.random.default_rng(0)
    plain = Image.new("RGB", (120, 160), (200, 190, 180))
    noise = Image.fromarray(rng.integers(0, 256, (160, 120, 3), dtype=np.uint8))
    blank = {
        "white.png": plain, "noise.png": noise, "grey.png": plain.convert("L"), "one_bit.png": plain.convert("1"),
        "palette.png": plain.convert("P"), "alpha.png": plain.convert("RGBA"), "cmyk.jpg": plain.convert("CMYK"),
        "deep.png": Image.fromarray(np.full((160, 120), 40000, np.uint16)), "lying.jpg": plain.rotate(90, expand=True),
    }  # fmt: skip
    said = dict.fromkeys(blank, "nobody is found")
    for name, picture in blank.items():
        picture.save(folder / name)
    png = good.read_bytes()
    plain.save(folder / "whole.jpg", quality=95)
    jpeg = (folder / "whole.jpg").read_bytes()
    for kind in ("gif", "webp", "bmp", "tiff"):
        plain.save(folder / f"{kind}.jpg", kind)
        said[f"{kind}.jpg"] = "neither a JPEG nor a PNG" if kind == "gif" else "nobody is found"
    plain.save(folder / "animated.png", save_all=True, append_images=[noise])
    raw = {
        "empty.jpg": (b"", "neither a JPEG nor a PNG"),
        "text.jpg": (b"This is no photo." * 50, "neither a JPEG nor a PNG"),
        "half.png": (png[: len(png) // 2], "damaged"),
        "half.jpg": (jpeg[: len(jpeg) // 2], "damaged"),
        "start.jpg": (b"\xff\xd8\xff", "JPEG"),
        "start.png": (png[:20], "neither a JPEG nor a PNG"),
        "flipped.png": (png[:60] + bytes(200) + png[260:], "damaged"),
        "50_megapixels.png": (_claimed_png(10_000, 8_000), "allowed are 1 to"),
        "nothing.png": (_claimed_png(0, 10), "allowed are 1 to"),
        "long.png": (_claimed_png(20_000, 400), "a side"),
        "flat.png": (_claimed_png(6_500, 100), "times as long as wide"),
        "one_pixel.png": (_png_of((1, 1)), "at least 32"),
        "thin.png": (_png_of((200, 20)), "at least 32"),
        "animated.png": ((folder / "animated.png").read_bytes(), "animation"),
    }
    for name, (data, message) in raw.items():
        (folder / name).write_bytes(data)
        said[name] = message
    os.mkfifo(folder / "pipe.png")
    (folder / "folder.png").mkdir()
    return said | {"pipe.png": "a pipe", "folder.png": "a folder", "absent.png": "No such file"}


def _png_of(size: tuple[int, int]) -> bytes:
    import io

    stream = io.BytesIO()
    Image.new("RGB", size).save(stream, "png")
    return stream.getvalue()


def _bad_poses(folder: Path) -> dict[str, str]:
    """Writes files that are no pose; each with what the line has to say."""
    joints = [[y, 10] for y in range(18)]
    contents = {
        "broken.json": ("{", "not JSON"),
        "empty.json": ("", "not JSON"),
        "list.json": ("[]", "is no pose"),
        "number.json": ("7", "is no pose"),
        "nan.json": (json.dumps([[float("nan"), 1], *joints[1:]]), "not a finite number"),
        "infinite.json": (json.dumps([[float("inf"), 1], *joints[1:]]), "not a finite number"),
        "seventeen.json": (json.dumps(joints[1:]), "17 values"),
        "words.json": (json.dumps([["a", "b"]] * 18), "not a finite number"),
        "missing.json": (json.dumps([[-1, -1]] * 18), "at least 4"),
        "one_place.json": (json.dumps([[5, 5]] * 18), "at one place"),
        "far.json": (json.dumps([[1e9, 5], *joints[1:]]), "is no pixel"),
        "nobody.json": ('{"people": []}', "no person"),
        "openpose.json": ('{"people": [{"pose_keypoints_2d": [1, 2, 3]}]}', "1 points"),
        "deep.json": ("[" * 5000, "JSON"),
    }
    for name, (content, _) in contents.items():
        (folder / name).write_text(content)
    (folder / "latin.json").write_bytes(b'{"a": "\xe9"}')
    said = {name: message for name, (_, message) in contents.items()}
    return said | {
        "latin.json": "not UTF-8", "absent.json": "No such file", "absent.jpg": "No such file", "white.png": "nobody",
        "jumping": "no pose is called",
    }  # fmt: skip


def _bad_models(folder: Path, model: Path) -> dict[str, str]:
    """Writes folders that are no model; each with what the line has to say."""
    (folder / "bare").mkdir()
    for name in ("broken", "layout", "key", "damaged", "without", "shape"):
        shutil.copytree(model, folder / name)
    content = json.loads((model / "model.json").read_text())
    (folder / "broken" / "model.json").write_text("{")
    (folder / "layout" / "model.json").write_text(json.dumps({**content, "layout": 9}))
    (folder / "key" / "model.json").write_text(json.dumps({**content, "config": {**content["config"], "hue": 1}}))
    changed = {**content["config"], "model": {**content["config"]["model"], "width": 5}}
    (folder / "shape" / "model.json").write_text(json.dumps({**content, "config": changed}))
    largest = max((folder / "damaged" / "params").rglob("*"), key=lambda path: path.stat().st_size)
    data = largest.read_bytes()
    largest.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    shutil.rmtree(folder / "without" / "params")
    return {
        "bare": "does not exist", "nowhere": "does not exist", "broken": "cannot be read", "layout": "layout 9",
        "key": "unknown config key", "damaged": "wrong sha256", "without": "no such folder", "shape": "another model",
    }  # fmt: skip


@pytest.fixture(scope="module")
def outcomes(photo_file, model_folder, tmp_path_factory, quick_flags):
    """What every mistake ends with: name -> (expected words, exit, output)."""
    folder = tmp_path_factory.mktemp("mistakes")
    mode, good = ["--mode", "transfer"], ["--image", photo_file]
    pose, model, output = ["--pose", "walking"], ["--model", model_folder], ["--output", folder / "out.png"]
    cases, words = {}, {}

    def case(name, message, *arguments):
        words[name], cases[name] = message, [*mode, *arguments]

    for name, message in _bad_photos(folder, photo_file).items():
        case(f"photo {name}", message, "--image", folder / name, *pose, *model, *output)
    for name, message in _bad_poses(folder).items():
        wanted = folder / name if "." in name else name
        case(f"pose {name}", message, *good, "--pose", wanted, *model, *output)
    for name, message in _bad_models(folder, model_folder).items():
        case(f"model {name}", message, *good, *pose, "--model", folder / name, *output)
    everything = [*good, *pose, *model, *output]
    styles = {
        "upper_clothes": "write REGION=PHOTO", "=a.png": "write REGION=PHOTO", "hat=a.png": "No such file",
        f"hat={photo_file}": "no region is called 'hat'", f"hair={photo_file}:1.5": "number from 0 to 1",
        f"hair={photo_file}:-1": "number from 0 to 1", f"hair={folder}/white.png": "nobody",
        f"hair={folder}/text.jpg": "neither", f"hair={photo_file},hair={photo_file}": "twice",
        f"hair={photo_file},face={folder}/white.png": "several photos",
        f"background={photo_file}": "no region is called",
    }  # fmt: skip
    for style, message in styles.items():
        case(f"style {style}", message, *everything, "--style", style)
    case("no image", "--image is not set", *pose, *model, *output)
    case("no pose", "--pose is not set", *good, *model, *output)
    case("no output", "--output is not set", *good, *pose, *model)
    case("several into one file", "need a folder", *good, "--pose", "walking,back", *model, *output)
    case("another format", "written as PNG", *good, *pose, *model, "--output", folder / "out.jpg")
    case("a sheet into a folder", "written as PNG", *everything[:-1], folder, "--sheet")
    case("below a file", "cannot be written", *everything[:-1], photo_file / "out.png")
    (folder / "two.json").write_text(json.dumps({"poses": 2 * [[[y, y % 5] for y in range(18)]]}))
    (folder / "other").mkdir()
    shutil.copy(photo_file, folder / "other")
    shutil.copy(folder / "two.json", folder / "other")
    same = f"{photo_file},{folder / 'other' / photo_file.name}"
    case("two poses of a file into one", "need a folder", *good, "--pose", folder / "two.json", *model, *output)
    case("photos of one name", "two pictures would be", "--image", same, *pose, *model, "--output", folder / "all")
    poses = f"{folder / 'two.json'},{folder / 'other' / 'two.json'}"
    case("poses of one name", "two pictures would be", *good, "--pose", poses, *model, "--output", folder / "all")
    case("nobody's home", "No such file", "--image", "~nobody_of_that_name/me.png", *pose, *model, *output)
    case("a photo twice", "twice", "--image", f"{photo_file},{photo_file}", *pose, *model, "--output", folder / "all")
    case("another run's folder", "give --model MODEL", *everything, "--workdir", folder)
    case("a config", "give --model MODEL", *everything, "--config", ROOT / "configs" / "demo.py")
    case("a format", "says nothing to --mode transfer", *everything, "--format", "tflite")
    case("frames of no film", "of films", *everything, "--frames", "5")
    case("a sheet of whole photos", "one of them", *everything, "--sheet", "--whole")
    case("an empty model", "--model is empty", *good, *pose, *output, "--model", "")
    case("a film of nothing", "no such folder", *good, *model, "--poses", "nosuch", "--output", folder / "a.webp")
    case("a film of nobody", "neither", "--image", folder / "text.jpg", "--poses", "walk", "--output", folder / "a.gif")
    case("a word too much", "unexpected argument", *everything, "more")
    case("an unknown flag", "do not fit", *everything, "--hue", "3")
    cases["another mode"], words["another mode"] = ["--image", photo_file], "belongs to --mode transfer"
    ended = _run_all(cases, folder, quick_flags, WITHOUT_COMPILING + PROGRAM)
    assert set(ended) == set(cases)
    return {name: (words[name], *ended[name]) for name in cases}


def test_sixty_kinds_of_mistakes_end_as_one_line_that_names_them(outcomes):
    assert len(outcomes) >= 60
    wrong = {
        name: found
        for name, found in outcomes.items()
        if not isinstance(found[1], str) or "\n" in found[1] or found[0] not in found[1] or "error: " not in found[1]
    }
    assert not wrong


def test_a_photo_that_does_not_fit_is_named(outcomes):
    for name, (_, line, _) in outcomes.items():
        kind, _, file = name.partition(" ")
        if kind in ("photo", "pose") and "." in file:
            assert file in line


@pytest.fixture(scope="module")
def painted(photo_file, model_folder, tmp_path_factory, quick_flags):
    """A folder of what was painted, and what each run ended with; beside the photo there is one of nobody."""
    folder = tmp_path_factory.mktemp("painted")
    both, model = ["--image", photo_file, "--pose", "walking,back"], ["--model", model_folder]
    white = folder / "white.png"
    Image.new("RGB", (120, 160), "white").save(white)
    ended = _run_all(
        {
            "folder": ["--mode", "transfer", "--image", f"{white},{photo_file}", *both[2:], *model, "--output",
                       folder / "out"],
            "sheet": ["--mode", "transfer", *both, *model, "--sheet", "--output", folder / "sheet.png"],
            "whole": ["--mode", "transfer", *both[:3], "walking", *model, "--whole", "--output", folder / "me.png"],
            "list": ["--mode", "transfer", "--pose", "list"],
        },
        folder,
        quick_flags,
    )  # fmt: skip
    return folder, ended


def test_photos_and_poses_become_pictures_and_a_sheet(painted):
    folder, ended = painted
    assert not any(code for name, (code, _) in ended.items() if name != "folder"), ended
    assert Image.open(folder / "out" / "me_back.png").size == (4 * 44, 4 * 64)
    assert Image.open(folder / "sheet.png").size == (16 * 44, 4 * 64)
    assert Image.open(folder / "me.png").size == (400, 300)


def test_of_several_photos_one_of_nobody_is_named_and_the_others_are_painted(painted):
    folder, ended = painted
    code, _ = ended["folder"]
    assert "1 of 2 photos give no picture" in code and "white.png: nobody is found" in code
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["me_back.png", "me_walking.png"]


def test_the_gallerys_poses_are_listed(painted):
    names = painted[1]["list"][1].split()
    assert len(names) == 24 and "walking" in names

"""What the doctor and a preparation may take, whatever the files say: memory of all their processes, and time."""

import json
import os
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from input_pipeline.formats import identities, manifest
from scrn_jax.errors import UserError
from scrn_jax.person import fitting
from scrn_jax.person.image_headers import read_header

ROOT = Path(__file__).parents[2]
MOST_BYTES = 1536 << 20
MOST_SECONDS = 240
MANIFEST = """
images = "images"
fit = "pad"
parsing = { folder = "parsing" }
joints = { format = "openpose", path = "openpose" }
identities = { by = "folder", test = ["ben"] }
"""
SOUND = ("normal", "other")
LARGE = ("panorama", "large")
BROKEN = ("tower", "second header", "pipe")


def size_of(kind):
    sizes = {"panorama": (16_000, 400), "large": (8192, 6144), "tower": (40, 60_000)}
    return sizes.get(kind, (176, 256))


def write_image(file, kind):
    if kind == "pipe":
        os.mkfifo(file)
        return
    Image.new("RGBA" if kind == "large" else "RGB", size_of(kind), (200, len(kind), 10)).save(file, "png")
    if kind == "second header":
        second = b"IHDR" + struct.pack(">IIBBBBB", 13_000, 13_000, 8, 2, 0, 0, 0)
        second = struct.pack(">I", 13) + second + struct.pack(">I", zlib.crc32(second))
        data = file.read_bytes()
        file.write_bytes(data[:33] + second + data[33:])


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A set of one's own: ben's pictures are sound, anna's of every kind, each a few hundred kilobytes at most."""
    root = tmp_path_factory.mktemp("hostile")
    for who in ("anna", "ben"):
        for folder in ("images", "parsing", "openpose"):
            (root / folder / who).mkdir(parents=True)
        for kind in SOUND + (LARGE + BROKEN if who == "anna" else ()):
            write_image(root / "images" / who / f"{kind}.png", kind)
            width, height = size_of(kind)
            labels = Image.new("L", (width, height))
            labels.paste(5, (0, 0, width, height // 2))
            labels.save(root / "parsing" / who / f"{kind}.png")
            points = [number for _ in range(18) for number in (0.4 * width, 0.4 * height, 0.9)]
            people = {"people": [{"pose_keypoints_2d": points}]}
            (root / "openpose" / who / f"{kind}_keypoints.json").write_text(json.dumps(people))
    (root / "people.toml").write_text(MANIFEST)
    assert sum(file.stat().st_size for file in root.rglob("*.png")) < 4 << 20
    return root


def held_by(process):
    """Bytes of memory of a process and its children, those that they share counted once."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            found = one.memory_full_info()
            total += getattr(found, "pss", found.rss)
        except psutil.Error:
            continue  # it has just ended
    return total


def run(*arguments):
    """(exit code, output, most bytes) of a command that is killed at a limit of memory or time."""
    command = [sys.executable, "-m", *map(str, arguments), "--processes=2"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seen, most, begin = psutil.Process(process.pid), 0, time.monotonic()
    while process.poll() is None:
        most = max(most, held_by(seen))
        if most > MOST_BYTES or time.monotonic() - begin > MOST_SECONDS:
            for one in [*seen.children(recursive=True), seen]:
                one.kill()
            raise AssertionError(f"{arguments[0]}: {most >> 20} MiB after {time.monotonic() - begin:.0f} s")
        time.sleep(0.02)
    return process.returncode, process.communicate()[0], most


def test_the_doctor_stays_small_and_names_what_no_reader_should_open(hostile, tmp_path):
    code, said, _ = run("input_pipeline.check", f"--data_dir={hostile}", f"--page={tmp_path / 'check.html'}")
    assert code == 1
    for reason in ("allowed are 16,384 a side", "has two headers", "a pipe, not a file"):
        assert reason in said


@pytest.mark.slow
def test_a_preparation_stays_small_and_leaves_out_what_no_reader_should_open(hostile, tmp_path):
    code, said, _ = run("input_pipeline.prepare", f"--source={hostile}", f"--output={tmp_path}", "--skip_broken")
    assert code == 0, said
    (metadata,) = tmp_path.rglob("metadata.json")
    skipped = json.loads(metadata.read_text())["skipped"]
    assert skipped["train"] == sorted(f"anna/{kind}.png" for kind in BROKEN)


def test_bars_are_added_to_what_has_the_frames_length_already(tmp_path):
    """The middle is the picture at the frame's width, its bars repeat the first and the last row."""
    picture = np.broadcast_to((np.arange(400) // 2).astype(np.uint8)[:, None, None], (400, 2000, 3))
    Image.fromarray(np.ascontiguousarray(picture)).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    largest = []
    pad = np.pad
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np, "pad", lambda pixels, *rest: largest.append(pad(pixels, *rest)) or largest[-1])
        fitted = fitting.fit_image(data, read_header(data, "a"), fitting.Rules((256, 176), "pad"), "a")
    # 2000 columns become 176, 400 rows 35.2: bars of 110.4 rows, which before resizing are 1254.5 rows.
    assert [array.shape for array in largest] == [(400 + 2 * 1255, 176, 3)]
    rows = np.asarray(Image.open(fitting.io.BytesIO(fitted)))[:, 88, 0].astype(int)
    assert (abs(rows[:108]) <= 2).all() and (abs(rows[148:] - 199) <= 2).all() and abs(rows[128] - 102) <= 4


def test_more_pairs_than_memory_holds_are_refused_before_they_are_made(tmp_path, monkeypatch):
    monkeypatch.setattr(identities, "MAX_PAIRS", 11)
    for folder in ("images", "parsing"):
        (tmp_path / folder / "anna").mkdir(parents=True)
        for number in range(4):
            Image.new("L", (176, 256)).save(tmp_path / folder / "anna" / f"{number}.png")
    (tmp_path / "openpose").mkdir()
    (tmp_path / "openpose" / "0_keypoints.json").write_text('{"people": []}')
    (tmp_path / "people.toml").write_text(MANIFEST.replace(', test = ["ben"]', ""))
    with pytest.raises(UserError, match=r"people\.toml: \[identities\] makes 12 pairs, at most 11"):
        manifest.read_manifest(tmp_path / "people.toml")

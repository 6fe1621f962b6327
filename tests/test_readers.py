"""Every file of JSON or TOML that a stranger may have written, in other shapes: one line that names it, or a result.

READERS say how each is written right and read. Then the whole file is another text, or one of its values is absent or
of another shape; nothing of it may end in anything but a UserError of one line with the file's name.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import json_format
from PIL import Image

from input_pipeline import record_folder, records
from input_pipeline.formats.collection import read_face_boxes
from input_pipeline.formats.manifest import read_manifest
from scrn_jax import settings as settings_lib
from scrn_jax.errors import UserError
from scrn_jax.inference import model_folder, poses, video
from scrn_jax.person import joint_files
from scrn_jax.runtime.arrays import read_safetensors
from scrn_jax.training import export
from scrn_jax.training import workdir as workdir_lib

DEEP = 450  # lists in each other: less than JSON's reader takes, more than is fun to print
MOST_CASES = 250  # a reader; of larger files a seeded choice

POSE = [[10.0 + y, 20.0 + y % 3] for y in range(18)]
FLAT = [number for y, x in POSE for number in (x, y, 0.9)]
FEATURES = json_format.MessageToDict(records.features(64, 44).to_proto())
INFO = {
    "name": "people",
    "fileFormat": "array_record",
    "splits": [{"name": "train", "shardLengths": ["3", "4"], "filepathTemplate": record_folder._TEMPLATE}],
}
ROW = {"ssim": 0.5, "psnr": 20.0, "lpips_vgg": 0.125, "face_l1": None}
REPORT = {"rows": {"generated": ROW, "copy_source": ROW}, "count": 12, "protocol": "as a test does", "step": 3}
CONFIG = json.loads(json.dumps(settings_lib.defaults() | {"data": {"name": "none"}}))
MODEL = {"layout": model_folder.LAYOUT, "config": CONFIG, "step": 3, "versions": {"jax": "0"}, "revision": None}
MANIFEST = {
    "frame": [64, 44],
    "images": "images",
    "face_boxes": "faces.json",
    "parsing": {"folder": "parsing", "merge": [0, 1, 2, 3, 4, 5, 6, 7]},
    "joints": {"format": "openpose", "path": "openpose", "size": [64, 44], "min_confidence": 0.1, "person": "score"},
    "identities": {"by": "folder", "test": ["ben"], "exclude": ["carl"]},
}
TENSORS = {"__metadata__": {}, "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}


def toml(value) -> str:
    """A value as TOML has it; of what TOML lacks a text."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(inside)}" for key, inside in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return repr(value) if isinstance(value, float) else json.dumps(value).replace("null", '"null"')


def in_toml(value) -> str:
    return "\n".join(f"{json.dumps(key)} = {toml(inside)}" for key, inside in value.items())


def in_safetensors(value) -> bytes:
    header = json.dumps(value).encode()
    return len(header).to_bytes(8, "little") + header + bytes(24)


def read_card(file: Path) -> str | None:
    report = export.read_report(file.parent, 3)
    return None if report is None else export.card({**MODEL, "report": report}, "a model", "from a test")


def read_people(file: Path):
    """The people of a manifest, beside which their files are written the first time."""
    if (file.parent / "faces.json").exists():
        return read_manifest(file)
    for who in ("anna", "ben", "carl"):
        for number in range(2):
            for folder, pixels in (
                ("images", np.zeros((64, 44, 3), np.uint8)),
                ("parsing", np.ones((64, 44), np.uint8)),
            ):
                place = file.parent / folder / who / f"{number}.png"
                place.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(place)
            place = file.parent / "openpose" / who / f"{number}.json"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(json.dumps({"people": [{"pose_keypoints_2d": FLAT}]}))
    (file.parent / "faces.json").write_text("{}")
    return read_manifest(file)


def joints(kind):
    return lambda file: joint_files.read_joints(kind, file if kind == "coco" else file.parent)


# name -> (the file, what is right in it, how that is written, how it is read)
READERS = {
    "config": ("config.json", CONFIG, json.dumps, lambda file: workdir_lib.read_config(file.parent)),
    "model": ("model.json", MODEL, json.dumps, lambda file: model_folder.read_settings(file.parent)),
    "report": ("report.json", REPORT, json.dumps, read_card),
    "poses": ("poses.json", {"poses": [POSE, {"joints": POSE}], "loop": True}, json.dumps, video.sequence),
    "named poses": ("poses.json", {"poses": {"a": POSE, "b": POSE}}, json.dumps, poses.from_file),
    "pose of OpenPose": ("p.json", {"people": [{"pose_keypoints_2d": FLAT}]}, json.dumps, poses.from_file),
    "openpose": (
        "a_keypoints.json",
        {"canvas_height": 64, "canvas_width": 44, "people": [{"pose_keypoints_2d": FLAT}]},
        json.dumps,
        joints("openpose"),
    ),
    "coco": (
        "coco.json",
        {
            "images": [{"id": 7, "file_name": "a.jpg", "height": 64, "width": 44}],
            "annotations": [{"image_id": 7, "keypoints": FLAT[:51]}],
        },
        json.dumps,
        joints("coco"),
    ),
    "results of COCO": ("coco.json", [{"image_id": "a.jpg", "keypoints": FLAT[:51]}], json.dumps, joints("coco")),
    "mediapipe": (
        "a.json",
        {"pose_landmarks": [{"x": 0.5, "y": 0.01 * n, "visibility": 0.9} for n in range(33)]},
        json.dumps,
        joints("mediapipe"),
    ),
    "face boxes": ("faces.json", {"a.jpg": [1, 2, 30, 40], "b.jpg": None}, json.dumps, read_face_boxes),
    "info of records": ("dataset_info.json", INFO, json.dumps, lambda file: record_folder.shards(file.parent, "train")),
    "schema of records": ("features.json", FEATURES, json.dumps, lambda file: records.stored_frame(file.parent)),
    "metadata of records": (
        "metadata.json",
        {"kind": "own", "fingerprint": "2:a"},
        json.dumps,
        lambda file: record_folder.metadata(file.parent),
    ),
    "manifest": ("people.toml", MANIFEST, in_toml, read_people),
    "safetensors": ("w.safetensors", TENSORS, in_safetensors, read_safetensors),
}

TEXTS = {
    "nothing": "",
    "a page": "<html>404</html>",
    "null": "null",
    "a number": "3",
    "not a number": "NaN",
    "a text": '"a"',
    "true": "true",
    "an empty list": "[]",
    "an empty object": "{}",
    "a list of null": "[null]",
    "ragged lists": "[[1, 2], [3]]",
    "nulls": '{"a": null, "b": [null]}',
    "cut off": '{"a": [1, 2',
    "a long number": "9" * 5000,
    "deep": "[" * DEEP + "]" * DEEP,
    "deep objects": '{"a":' * DEEP + "1" + "}" * DEEP,
    "too deep": "[" * 100_000,
    "not UTF-8": b"\xff\xfe\x00a",
    "zeros": b"\0\0\0",
}


def deep(value=1):
    for _ in range(DEEP):
        value = [value]
    return value


def other_values():
    """Values of every shape; none is what was there."""
    return [None, True, -1, 0, 2.5, float("inf"), float("nan"), 10**400, "", "x", "\0", [], {}, [[1, 2], [3]], [None],
            {"a": {}}, deep()]  # fmt: skip


def changed(content, path, value):
    """`content` with the value at `path`, a tuple of keys, or without it when that is `changed`."""
    copy = json.loads(json.dumps(content))
    inside = copy
    for key in path[:-1]:
        inside = inside[key]
    if value is changed:
        del inside[path[-1]]
    else:
        inside[path[-1]] = value
    return copy


def paths(content, path=()):
    """The places of all values."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from paths(value, (*path, key))


def outcome(reader, folder, data):
    """What reading `data` ends in: the message of a UserError, or "" for a result. Anything else is raised."""
    name, _, _, read = READERS[reader]
    file = folder / name
    file.write_bytes(data if isinstance(data, bytes) else data.encode())
    try:
        read(file)
    except UserError as error:
        message = str(error)
        assert "\n" not in message and len(message) < 2000, message
        assert str(file) in message or str(folder) in message, f"names no file: {message}"
        return message
    return ""


@pytest.mark.parametrize("reader", READERS)
def test_what_is_right_is_read(reader, tmp_path):
    _, content, write, _ = READERS[reader]
    assert outcome(reader, tmp_path, write(content)) == ""


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("reader", READERS)
def test_a_file_of_another_kind_ends_in_one_line_that_names_it(reader, text, tmp_path):
    outcome(reader, tmp_path, TEXTS[text])


@pytest.mark.parametrize("reader", READERS)
def test_a_value_of_another_shape_ends_in_one_line_that_names_the_file(reader, tmp_path):
    _, content, write, _ = READERS[reader]
    cases = [(path, value) for path in paths(content) for value in (changed, *other_values())]
    order = np.random.default_rng(0).permutation(len(cases))[:MOST_CASES]
    messages = [outcome(reader, tmp_path, write(changed(content, *cases[number]))) for number in order]
    assert reader == "metadata of records" or sum(map(bool, messages)) > len(messages) / 4, "hardly any is refused"

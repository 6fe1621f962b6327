"""Joints as detectors write them: every layout lands on the same 18 joints, and broken files are named."""

import json

import numpy as np
import pytest

from scrn_jax.errors import UserError
from scrn_jax.person import joint_files
from scrn_jax.person.joint_points import Detected
from scrn_jax.person.joints import FRACTIONS, NAMES

BODY_25 = (
    "nose", "neck", "right shoulder", "right elbow", "right wrist", "left shoulder", "left elbow", "left wrist",
    "middle of the hips", "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle",
    "right eye", "left eye", "right ear", "left ear", *(f"toe {number}" for number in range(6)),
)  # fmt: skip
COCO_17 = (
    "nose", "left eye", "right eye", "left ear", "right ear", "left shoulder", "right shoulder", "left elbow",
    "right elbow", "left wrist", "right wrist", "left hip", "right hip", "left knee", "right knee", "left ankle",
    "right ankle",
)  # fmt: skip
PLACES = {name: (10.0 + number, 100.0 + 2 * number) for number, name in enumerate(NAMES)}  # y, x


def flat(names, confidence=0.9, **missing):
    """x, y, confidence of every name in turn."""
    numbers = []
    for name in names:
        y, x = PLACES.get(name, (1.0, 2.0))
        numbers += [0, 0, 0] if name in missing.get("missing", ()) else [x, y, confidence]
    return numbers


def openpose(folder, name, *people):
    content = {"version": 1.3, "people": [{"pose_keypoints_2d": person} for person in people]}
    file = folder / f"{name}_keypoints.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))
    return file


EXPECTED = np.array([PLACES[name] for name in NAMES], np.float32)


@pytest.mark.parametrize("layout", [BODY_25, NAMES])
def test_openpose_points_land_on_the_joints_of_their_names(tmp_path, layout):
    openpose(tmp_path, "anna/1", flat(layout))
    assert np.array_equal(joint_files.read_openpose(tmp_path)["anna/1"], EXPECTED)


def test_coco_points_land_on_the_joints_of_their_names_and_the_neck_between_the_shoulders(tmp_path):
    file = tmp_path / "coco.json"
    content = {
        "images": [{"id": 7, "file_name": "a.jpg"}],
        "annotations": [{"image_id": 7, "keypoints": flat(COCO_17, confidence=2)}],
    }
    file.write_text(json.dumps(content))
    read = joint_files.read_coco(file)["a.jpg"]
    others = [index for index, name in enumerate(NAMES) if name != "neck"]
    assert np.array_equal(read[others], EXPECTED[others])
    shoulders = np.array([PLACES["left shoulder"], PLACES["right shoulder"]])
    assert np.array_equal(read[NAMES.index("neck")], shoulders.mean(axis=0))


def test_without_one_shoulder_there_is_no_neck(tmp_path):
    file = tmp_path / "coco.json"
    file.write_text(json.dumps([{"image_id": "a.jpg", "keypoints": flat(COCO_17, missing=("left shoulder",))}]))
    read = joint_files.read_coco(file)["a.jpg"]
    assert read[NAMES.index("neck")].tolist() == [-1, -1] == read[NAMES.index("left shoulder")].tolist()
    assert read[NAMES.index("right shoulder")].tolist() == list(PLACES["right shoulder"])


def test_points_below_the_confidence_are_missing(tmp_path):
    person = flat(NAMES)
    person[2] = 0.3
    openpose(tmp_path, "a", person)
    assert joint_files.read_openpose(tmp_path, options=Detected(0.5))["a"][0].tolist() == [-1, -1]
    assert joint_files.read_openpose(tmp_path, options=Detected(0.2))["a"][0].tolist() == list(PLACES["nose"])


def test_of_several_people_the_surest_counts(tmp_path):
    openpose(tmp_path, "a", [5.0, 5.0, 0.2] * 25, flat(BODY_25), [9.0, 9.0, 0.4] * 25)
    assert np.array_equal(joint_files.read_openpose(tmp_path)["a"], EXPECTED)


def test_nobody_found_means_that_every_joint_is_missing(tmp_path):
    openpose(tmp_path, "a")
    assert (joint_files.read_openpose(tmp_path)["a"] == -1).all()


@pytest.mark.parametrize("dtype", [np.int64, np.float32])
def test_arrays_of_eighteen_are_taken_as_they_are(tmp_path, dtype):
    expected = EXPECTED.copy()
    expected[3] = -1
    np.save(tmp_path / "a.npy", expected.astype(dtype))
    assert np.array_equal(joint_files.read_arrays(tmp_path)["a"], expected)


def test_arrays_of_seventeen_are_coco(tmp_path):
    points = np.array([PLACES[name] for name in COCO_17])
    points[COCO_17.index("left knee")] = -1
    np.save(tmp_path / "a.npy", points)
    read = joint_files.read_arrays(tmp_path)["a"]
    assert read[NAMES.index("right wrist")].tolist() == list(PLACES["right wrist"])
    assert read[NAMES.index("left knee")].tolist() == [-1, -1]


def refused(action, *expected):
    with pytest.raises(UserError) as caught:
        action()
    for part in expected:
        assert str(part) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "not JSON"),
        ("[]", "people"),
        ('{"people": [{"pose_keypoints_2d": [1, 2]}]}', "flat list"),
        ('{"people": [{"pose_keypoints_2d": [1, 2, "high"]}]}', "'high'"),
        ('{"people": [{"pose_keypoints_2d": [1, 2, NaN]}]}', "nan"),
        ('{"people": [{"pose_keypoints_2d": [1, 2, 0.5]}]}', "1 points"),
        ('{"people": [{"pose_keypoints_2d": [1' + "0" * 5000 + ", 2, 0.5]}]}", "JSON"),
    ],
)
def test_broken_openpose_files_are_refused_by_name(tmp_path, text, expected):
    (tmp_path / "a_keypoints.json").write_text(text)
    refused(lambda: joint_files.read_openpose(tmp_path), tmp_path / "a_keypoints.json", expected)


def test_a_collector_gets_the_problem_and_the_other_files_are_read(tmp_path):
    openpose(tmp_path, "a", flat(NAMES))
    (tmp_path / "b_keypoints.json").write_text("{")
    problems = []
    assert list(joint_files.read_openpose(tmp_path, problems)) == ["a"]
    assert [str(problem).startswith(str(tmp_path / "b_keypoints.json")) for problem in problems] == [True]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.zeros((18, 3)), "(18, 3)"),
        (np.full((18, 2), np.nan), "finite"),
        (np.full((17, 2), np.inf), "finite"),
        (np.zeros((18, 2), complex), "complex"),
        (np.array([{}] * 36).reshape(18, 2), "object"),
    ],
)
def test_arrays_that_are_no_joints_are_refused_by_name(tmp_path, array, expected):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    refused(lambda: joint_files.read_arrays(tmp_path), tmp_path / "a.npy", expected)


def test_an_array_that_claims_to_be_huge_is_refused_without_its_memory(tmp_path):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 2), }"
    header = header + b" " * (117 - len(header)) + b"\n"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    refused(lambda: joint_files.read_arrays(tmp_path), tmp_path / "a.npy", "1000000000000")


def test_coco_annotations_without_a_picture_are_refused(tmp_path):
    (tmp_path / "c.json").write_text('{"images": [], "annotations": [{"image_id": 3, "keypoints": [0, 0, 0]}]}')
    refused(lambda: joint_files.read_coco(tmp_path / "c.json"), "annotation 0", "image_id 3")


def test_eighteen_points_are_no_coco(tmp_path):
    (tmp_path / "c.json").write_text(json.dumps([{"image_id": "a.jpg", "keypoints": flat(NAMES)}]))
    refused(lambda: joint_files.read_coco(tmp_path / "c.json"), "a.jpg", "18 keypoints instead of COCO's 17")


def test_an_unknown_format_is_refused_with_the_known_ones(tmp_path):
    refused(lambda: joint_files.read_joints("blazepose", tmp_path), "'blazepose'", "openpose", "coco")


def test_a_person_without_any_confident_joint_is_nobody(tmp_path):
    """COCO's num_keypoints 0, and OpenPose's zeros."""
    (tmp_path / "c.json").write_text(json.dumps([{"image_id": "a.jpg", "num_keypoints": 0, "keypoints": [0] * 51}] * 2))
    openpose(tmp_path / "o", "a", [0] * 75, [0] * 75)
    for read in (joint_files.read_coco(tmp_path / "c.json"), joint_files.read_openpose(tmp_path / "o")):
        assert [(pose == -1).all() for pose in read.values()] == [True] and not read.several


def person_at(x, y, height, confidence):
    """BODY_25 in a box of that height whose middle is (x, y)."""
    rng = np.random.default_rng(int(height))
    points = rng.uniform(-0.5, 0.5, (25, 2)) * height * [0.4, 1] + [x, y]
    points[:2] = [[x - 0.2 * height, y - 0.5 * height], [x + 0.2 * height, y + 0.5 * height]]
    return np.column_stack([points, np.full(25, confidence)])


@pytest.mark.parametrize(("person", "chosen"), [("score", 0), ("largest", 1), ("central", 2)])
def test_who_of_several_people_counts_can_be_chosen_and_they_are_counted(tmp_path, person, chosen):
    people = [person_at(50, 60, 60, 0.95), person_at(150, 60, 100, 0.9), person_at(101, 49, 30, 0.5)]
    openpose(tmp_path, "a", *[points.ravel().tolist() for points in people])
    options = Detected(person=person, size_of=lambda name: (100, 200))
    read = joint_files.read_openpose(tmp_path, options=options)
    assert np.allclose(read["a"][0], people[chosen][0, 1::-1], atol=1e-3) and read.several == {"a": 3}


def test_without_a_size_the_central_person_is_not_guessed(tmp_path):
    openpose(tmp_path, "a", *[person_at(50, 60, size, 0.9).ravel().tolist() for size in (20, 40)])
    refused(lambda: joint_files.read_openpose(tmp_path, options=Detected(person="central")), "a_keypoints", "largest")


def test_a_canvas_and_a_list_of_one_frame_are_understood(tmp_path):
    frame = {"people": [{"pose_keypoints_2d": flat(NAMES)}], "canvas_width": 300, "canvas_height": 400}
    (tmp_path / "a.json").write_text(json.dumps([frame]))
    small = [value / (300 if at % 3 == 0 else 400 if at % 3 == 1 else 1) for at, value in enumerate(flat(NAMES))]
    (tmp_path / "b.json").write_text(json.dumps(frame | {"people": [{"pose_keypoints_2d": small}]}))
    read = joint_files.read_openpose(tmp_path)
    assert read.canvases == {"a": (400, 300), "b": FRACTIONS} and np.array_equal(read["a"], EXPECTED)
    (tmp_path / "c.json").write_text(json.dumps([frame, frame]))
    refused(lambda: joint_files.read_openpose(tmp_path), tmp_path / "c.json", "2 frames; write one file for each")


def test_coco_says_of_what_size_its_pictures_are(tmp_path):
    content = {
        "images": [{"id": 7, "file_name": "a.jpg", "height": 480, "width": 640}],
        "annotations": [{"image_id": 7, "keypoints": flat(COCO_17, confidence=2)}],
    }
    (tmp_path / "c.json").write_text(json.dumps(content))
    assert joint_files.read_coco(tmp_path / "c.json").canvases == {"a.jpg": (480, 640)}


def test_companions_and_linked_folders(tmp_path):
    openpose(tmp_path / "elsewhere", "1", flat(NAMES))
    (tmp_path / "joints").mkdir()
    (tmp_path / "joints" / "._x_keypoints.json").write_bytes(b"\0\5\x16\7")
    (tmp_path / "joints" / "anna").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "joints")
    assert list(joint_files.read_openpose(tmp_path / "joints")) == ["anna/1"]


MEDIAPIPE = {
    "nose": 0, "left eye": 2, "right eye": 5, "left ear": 7, "right ear": 8, "left shoulder": 11, "right shoulder": 12,
    "left elbow": 13, "right elbow": 14, "left wrist": 15, "right wrist": 16, "left hip": 23, "right hip": 24,
    "left knee": 25, "right knee": 26, "left ankle": 27, "right ankle": 28,
}  # fmt: skip


@pytest.mark.parametrize("wrap", [lambda one: one, lambda one: [one], lambda one: {"pose_landmarks": [one]}])
def test_mediapipe_landmarks_land_on_the_joints_of_their_names_as_fractions(tmp_path, wrap):
    person = [{"x": 0.9, "y": 0.9, "z": 0.0, "visibility": 0.01} for _ in range(33)]
    for name, index in MEDIAPIPE.items():
        y, x = PLACES[name]
        person[index] = {"x": x / 200, "y": y / 100, "z": -0.1, "visibility": 0.8}
    (tmp_path / "a.json").write_text(json.dumps(wrap(person)))
    read = joint_files.read_joints("mediapipe", tmp_path)
    found = read["a"] * (100, 200)
    others = [index for index, name in enumerate(NAMES) if name != "neck"]
    assert np.allclose(found[others], EXPECTED[others], atol=1e-4) and read.canvases == {"a": FRACTIONS}
    assert np.allclose(found[1], (EXPECTED[2] + EXPECTED[5]) / 2, atol=1e-4)


def test_pidm_texts_are_x_and_y_in_the_square_picture(tmp_path):
    lines = [f"{x} {y}" for y, x in PLACES.values()]
    lines[3] = "-1 -1"
    (tmp_path / "a.txt").write_text("\n".join(lines))
    read = joint_files.read_joints("pidm", tmp_path)
    expected = EXPECTED.copy()
    expected[3] = -1
    assert np.array_equal(read["a"], expected) and read.canvases == {"a": (256, 256)}


def test_labelled_tables_name_their_joints(tmp_path):
    rows = [f"{x},{y},0.9,{name.replace(' ', '_').title()}" for name, (y, x) in PLACES.items() if name != "neck"]
    (tmp_path / "a.csv").write_text("\n".join(["x,y,confidence,label", *rows, "1,1,0.9,left_big_toe"]))
    read = joint_files.read_joints("labelled", tmp_path)["a"]
    others = [index for index, name in enumerate(NAMES) if name != "neck"]
    assert np.array_equal(read[others], EXPECTED[others]) and np.array_equal(read[1], (EXPECTED[2] + EXPECTED[5]) / 2)


@pytest.mark.parametrize(
    ("kind", "file", "text", "expected"),
    [
        ("mediapipe", "a.json", "[]", None),
        ("mediapipe", "a.json", "{}", "no list of landmarks"),
        ("mediapipe", "a.json", '[{"x": 0.1, "y": 0.2}]', "33 landmarks"),
        ("mediapipe", "a.json", json.dumps([{"x": None, "y": 0}] * 33), "no finite number"),
        ("pidm", "a.txt", "1 2\n" * 17, "18 lines of x y"),
        ("pidm", "a.txt", "1 nan\n" * 18, "'nan' is no finite number"),
        ("labelled", "a.csv", "x,y,confidence,label\n1,2,0.5,paw\n", "no label is a joint's name"),
        ("labelled", "a.csv", "x,y,confidence,label\nhigh,2,0.5,nose\n", "'high'"),
        ("labelled", "a.csv", "x,y,score,name\n", "expected the columns x,y,confidence,label"),
    ],
)
def test_broken_files_of_the_other_formats_are_refused_by_name(tmp_path, kind, file, text, expected):
    (tmp_path / file).write_text(text)
    if expected is None:
        assert (joint_files.read_joints(kind, tmp_path)["a"] == -1).all()
    else:
        refused(lambda: joint_files.read_joints(kind, tmp_path), tmp_path / file, expected)

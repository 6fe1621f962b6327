"""What is found in a photo: joints, mask and regions of a rendered person, and what is said of whoever is there."""

import json
import sys
import types

import numpy as np
import pytest
from PIL import Image

from input_pipeline.mannequins.people import Person as Rendered
from scrn_jax.errors import UserError
from scrn_jax.inference.finding import blazepose, estimators
from scrn_jax.inference.finding.blazepose import Body, Square
from scrn_jax.person.joints import present


@pytest.fixture(scope="module")
def estimator():
    return estimators.load()


@pytest.fixture(scope="module")
def found(estimator, photo):
    return estimator(photo)


def test_joints_are_where_the_rendered_person_has_them(found, view):
    true = np.where(present(view.joints)[:, None], view.joints + [20, 100], -1)
    both = present(found.joints_Jx2) & present(true)
    assert both.sum() >= 15
    error = np.hypot(*(found.joints_Jx2 - true)[both].T)
    assert np.median(error) < 4 and (error < 10).mean() > 0.9


def test_mask_and_regions_are_the_rendered_persons(found, view):
    person = np.zeros((300, 400), bool)
    person[20:276, 100:276] = view.labels > 0
    ours = found.mask_HxW > 0.5
    assert (ours & person).sum() / (ours | person).sum() > 0.9
    # A dress and a top with a skirt are told apart too seldom for a test of one person: clothes count as one.
    ours, true = (np.where(np.isin(labels, (2, 3, 4)), 2, labels) for labels in (found.regions_HxW, view.labels))
    assert (ours[20:276, 100:276] == true)[true > 0].mean() > 0.75


def test_somebody_seen_from_behind_has_no_face_and_it_is_said(estimator):
    found = estimator(Rendered.sample(3, 2).view(3, 256, 176).image)
    assert not present(found.joints_Jx2)[[0, 14, 15]].any() and not found.face_box.any()
    assert any("from behind" in note for note in found.notes)


def test_two_people_are_said_and_one_is_taken(estimator):
    both = np.concatenate([Rendered.sample(3, k).view(0, 256, 176).image for k in (1, 4)], axis=1)
    found = estimator(both)
    assert any(note.startswith("2 people") for note in found.notes)
    columns = found.joints_Jx2[present(found.joints_Jx2)][:, 1]
    assert (columns < 176).all() or (columns > 175).all()


@pytest.mark.parametrize("rows", [100, 60])
def test_somebody_small_in_a_wide_photo_is_found(rows, estimator):
    """A quarter and a seventh of its height: in a square of 224 pixels too little for the detector."""
    somebody = Rendered.sample(3, 1).view(0, rows, rows * 11 // 16)
    photo = np.full((400, 600, 3), somebody.image[0, 0], np.uint8)
    photo[300 : 300 + rows, 350 : 350 + rows * 11 // 16] = somebody.image
    joints, there = estimator(photo).joints_Jx2, present(somebody.joints)
    there &= present(joints)
    assert there.sum() >= 12
    assert np.median(np.hypot(*(joints - somebody.joints - [300, 350])[there].T)) < rows / 50


def test_a_photo_is_looked_at_whole_and_then_in_squares_half_over_each_other():
    whole, large, small = blazepose.pieces((300, 200))
    assert [(*square.centre, square.side) for square in whole] == [(150, 100, 300)]
    assert [(*square.centre, square.side) for square in large] == [(100, 100, 200), (200, 100, 200)]
    assert len(small) == 5 * 3 and {square.side for square in small} == {100}
    assert sorted({square.centre[0] for square in small}) == [50, 100, 150, 200, 250]


@pytest.mark.parametrize("what", ["white", "noise"])
def test_nobody_is_said(what, estimator):
    picture = np.full((200, 150, 3), 255, np.uint8)
    if what == "noise":
        picture = np.random.default_rng(0).integers(0, 256, picture.shape, dtype=np.uint8)
    with pytest.raises(UserError, match="nobody is found"):
        estimator(picture)


def _body(**changes):
    points = np.stack([np.arange(33) * 3.0, np.arange(33) * 2.0], 1) + 10
    points[[0, 7, 8]] = (50, 30), (60, 25), (40, 25)
    values = {"points": points, "depth": np.zeros(33), "visibility": np.ones(33), "people": 1,
              "mask": np.zeros((300, 300))}  # fmt: skip
    return Body(**(values | changes))


def test_a_head_alone_is_nobody_to_move():
    seen = np.zeros(33)
    seen[:11] = 1  # the points of the head
    finder = object.__new__(estimators.BlazePoseJoints)
    finder._look = lambda photo: _body(visibility=seen)
    with pytest.raises(UserError, match="only a head is found"):
        finder(np.zeros((300, 300, 3), np.uint8))


def test_points_take_their_place_among_the_18_joints():
    body = _body()
    joints = estimators.openpose_joints(body, (300, 300))
    # Pixel centres lie at integers here, and at halves in BlazePose.
    np.testing.assert_allclose(joints[4], body.points[16][::-1] - 0.5)
    np.testing.assert_allclose(joints[13], body.points[27][::-1] - 0.5)
    np.testing.assert_allclose(joints[1], (body.points[11] + body.points[12])[::-1] / 2 - 0.5)


def test_points_that_are_unsure_or_outside_are_missing():
    sure = np.ones(33)
    sure[12] = 0.1
    joints = estimators.openpose_joints(_body(visibility=sure), (300, 300))
    assert not present(joints)[[1, 2]].any() and present(joints)[5]
    assert not present(estimators.openpose_joints(_body(), (300, 80)))[13]


def test_limbs_that_the_persons_own_body_hides_are_there_and_other_joints_are_not():
    body = _body(visibility=np.zeros(33), mask=np.zeros((300, 300)))
    for point in (27, 15, 23):  # the left ankle, wrist and hip
        body.mask[tuple(body.points[point].astype(int)[::-1])] = 1
    assert present(estimators.openpose_joints(body, (300, 300))).nonzero()[0].tolist() == [7, 13]


@pytest.mark.parametrize(
    "depths, shown",
    [
        ((-20, 0, 0), [1, 1, 1, 1, 1]),  # nose ahead of both ears: all is seen
        ((20, 0, 0), [0, 0, 0, 1, 1]),  # behind them: the back of a head
        ((-10, 20, -20), [1, 1, 1, 1, 0]),  # the left ear far away: turned to the left
        ((-10, -20, 20), [1, 1, 1, 0, 1]),
    ],
)
def test_depth_tells_which_points_of_the_face_are_seen(depths, shown):
    depth = np.zeros(33)
    depth[[0, 7, 8]] = depths
    np.testing.assert_array_equal(estimators.visible_face(_body(depth=depth)), np.array(shown, bool))


def test_a_turned_square_is_cut_upright_and_pasted_back():
    rows, columns = np.mgrid[:100, :120]
    values = (rows + columns).astype(np.uint8)
    square = Square(np.array([60.0, 50.0]), 40.0, 0.4)
    cut = square.cut(Image.fromarray(np.repeat(values[..., None], 3, -1)), 40)[..., 0]
    back = square.paste(cut, (120, 100))
    inside = np.hypot(rows + 0.5 - 50, columns + 0.5 - 60) < 18
    assert np.abs(back - values)[inside].max() <= 1.5
    # The point right of the centre in the square lies down right of it in the photo, at the angle.
    assert cut[20, 30] == pytest.approx(50 + 60 + 10 * (np.cos(0.4) + np.sin(0.4)), abs=1.5)


def test_anchors_are_two_or_six_a_cell_row_by_row():
    anchors = blazepose.anchors()
    assert len(anchors) == 2 * 28**2 + 2 * 14**2 + 6 * 7**2
    np.testing.assert_allclose(anchors[:4], [[0.5 / 28] * 2] * 2 + [[1.5 / 28, 0.5 / 28]] * 2, rtol=1e-6)
    np.testing.assert_allclose(anchors[-1], [6.5 / 7] * 2, rtol=1e-6)


def test_a_place_moves_to_the_centre_of_its_heat():
    heat = np.full((64, 64, 2), -10.0)
    heat[30, 21], heat[31, 21] = 10, 10
    moved = blazepose.refine(np.array([[20.5 / 64, 30.5 / 64], [0.2, 0.9]]), heat[..., :2])
    assert moved[0] == pytest.approx([21 / 64, 30.5 / 64], abs=1e-3)
    cold = np.full((64, 64, 1), -10.0)
    np.testing.assert_array_equal(blazepose.refine(np.array([[0.3, 0.3]]), cold), [[0.3, 0.3]])


def test_what_others_found_is_taken_from_their_files(photo, view, tmp_path):
    flat = np.column_stack([view.joints[:, ::-1] + [100, 20], present(view.joints)]).ravel().tolist()
    (tmp_path / "me_keypoints.json").write_text(json.dumps({"people": [{"pose_keypoints_2d": flat}]}))
    classes = np.zeros((300, 400), np.uint8)
    classes[20:276, 100:276] = np.array([0, 2, 5, 6, 9, 13, 14, 16], np.uint8)[view.labels]
    Image.fromarray(classes).save(tmp_path / "me.png")
    person = estimators.from_files(
        photo, joints=("openpose", tmp_path, "me"), label_map=tmp_path / "me.png", merge="lip"
    )
    true = np.where(present(view.joints)[:, None], view.joints + [20, 100], -1)
    np.testing.assert_allclose(person.joints_Jx2, true, atol=1e-3)
    np.testing.assert_array_equal(person.regions_HxW[20:276, 100:276], view.labels)
    np.testing.assert_array_equal(person.mask_HxW > 0, person.regions_HxW > 0)


@pytest.fixture
def from_openpose(photo, view, tmp_path):
    """Joints by `from_files` of OpenPose's file of the person in `photo`, with points at factor * (x, y) + shift."""

    def read(factor=(1, 1), shift=0, **content):
        flat = np.column_stack([(view.joints[:, ::-1] + [100, 20]) * factor + shift, present(view.joints)])
        content["people"] = [{"pose_keypoints_2d": flat.ravel().tolist()}]
        (tmp_path / "me_keypoints.json").write_text(json.dumps(content))
        Image.fromarray(np.ones((300, 400), np.uint8)).save(tmp_path / "me.png")
        return estimators.from_files(photo, ("openpose", tmp_path, "me"), tmp_path / "me.png").joints_Jx2

    return read


@pytest.mark.parametrize("factor", [(2, 2), (1 / 400, 1 / 300)], ids=["pixels", "fractions"])
def test_joints_of_a_canvas_are_put_into_the_photo(factor, from_openpose):
    found = from_openpose(factor, canvas_width=800, canvas_height=600)
    np.testing.assert_allclose(found, from_openpose(), atol=0.6)  # half a pixel, from corners to centres


def test_mediapipes_fractions_are_put_into_the_photo(photo, tmp_path):
    marks = [{"x": 0.25 + 0.01 * number, "y": 0.5} for number in range(33)]
    (tmp_path / "me.json").write_text(json.dumps(marks))
    Image.fromarray(np.ones((300, 400), np.uint8)).save(tmp_path / "me.png")
    found = estimators.from_files(photo, ("mediapipe", tmp_path, "me"), tmp_path / "me.png").joints_Jx2
    np.testing.assert_allclose(found[0], [149.5, 99.5])


@pytest.mark.parametrize(
    "given, message",
    [
        ({"shift": 5000}, "me: 0 of 17 joints are in the photo of 300 x 400 pixels, at least 4 make a person; give"),
        ({"factor": (0.001, 0.001)}, "within one pixel"),
        ({"canvas_width": 300, "canvas_height": 400}, "of a picture of 400 x 300, and the photo has 300 x 400 pixels"),
    ],
    ids=["outside", "fractions of no canvas", "another shape"],
)
def test_joints_that_are_not_of_the_photo_are_one_line_with_its_file(given, message, from_openpose, tmp_path):
    with pytest.raises(UserError, match=message) as caught:
        from_openpose(**given)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_joints_outside_the_photo_are_missing(from_openpose):
    there, moved = present(from_openpose()), present(from_openpose(shift=(0, 150)))
    assert 4 <= moved.sum() < there.sum()


def test_a_label_map_of_another_size_is_refused(photo, tmp_path):
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(tmp_path / "map.png")
    with pytest.raises(UserError, match=r"map\.png: \(30, 40\) pixels, and the photo has"):
        estimators.from_files(photo, label_map=tmp_path / "map.png")


def test_joints_of_another_picture_are_refused(photo, view, tmp_path):
    np.save(tmp_path / "you.npy", view.joints)
    with pytest.raises(UserError, match="no joints of me; it has you"):
        estimators.from_files(photo, joints=("npy", tmp_path, "me"))


class _Session:
    """Stands in for onnxruntime: says of every pixel whether it is red, the class 1 of 3, and what it was given."""

    given = None

    def __init__(self, path, providers):
        pass

    def get_inputs(self):
        return [types.SimpleNamespace(name="pixels")]

    def run(self, _, inputs):
        _Session.given = inputs["pixels"]
        red = inputs["pixels"][:, 0] > 0.5
        return [np.stack([~red, red, np.zeros_like(red)], 1).astype(np.float32)]


def test_a_parser_of_ones_own_is_merged_by_its_table(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxruntime", types.SimpleNamespace(InferenceSession=_Session))
    (tmp_path / "parser.onnx").touch()
    photo = np.zeros((80, 60, 3), np.uint8)
    photo[:40] = (255, 0, 0)
    nearby = np.ones((80, 60), np.float32)
    nearby[:, 30:] = 0
    parse = estimators.OnnxRegions(tmp_path / "parser.onnx", [0, 3, 4], (40, 30), (0, 0, 0), (1, 1, 1))
    mask, regions = parse(photo, np.zeros((18, 2)), nearby)
    assert _Session.given.shape == (1, 3, 40, 30) and _Session.given.max() == 1
    assert (regions[:38, :30] == 3).all() and not regions[42:].any() and not regions[:, 30:].any()
    np.testing.assert_array_equal(mask > 0, regions > 0)


def test_a_table_of_another_length_is_refused(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxruntime", types.SimpleNamespace(InferenceSession=_Session))
    (tmp_path / "parser.onnx").touch()
    parse = estimators.OnnxRegions(tmp_path / "parser.onnx", [0, 3], (40, 30))
    with pytest.raises(UserError, match=r"parser\.onnx: gives 3 classes, the table has 2"):
        parse(np.zeros((80, 60, 3), np.uint8), np.zeros((18, 2)), np.ones((80, 60)))


def test_a_parser_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(UserError, match="no such file; give the path of an ONNX parser"):
        estimators.OnnxRegions(tmp_path / "parser.onnx", "lip")

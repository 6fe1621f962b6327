"""One's own pictures by a manifest: every format of joints and classes leads to the same pairs, errors name the key."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from input_pipeline import batches, sources
from input_pipeline.check import check
from input_pipeline.formats.collection import CollectionSource
from input_pipeline.formats.manifest import read_manifest
from input_pipeline.prepare import builders
from scrn_jax.errors import UserError
from scrn_jax.person.fitting import Rules, fit_box, fit_pose, window

HEIGHT, WIDTH = 64, 44
COCO_17 = [0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10]  # where COCO's points stand among the 18


class Own:
    """Pictures of anna (2), ben (2) and carl (3) in folders of their names, with a manifest that tests change."""

    def __init__(self, root, faced):
        self.root = root
        rng = np.random.default_rng(0)
        self.names = [
            f"{who}/{number}.jpg" for who, count in (("anna", 2), ("ben", 2), ("carl", 3)) for number in range(count)
        ]
        self.poses, self.maps = {}, {}
        for name in self.names:
            pose = np.stack([rng.integers(4, 60, 18), rng.integers(4, 40, 18)], axis=-1).astype(float)
            pose[1] = (pose[2] + pose[5]) / 2
            pose[9] = -1
            self.poses[name] = pose
            self.maps[name] = faced(np.kron(rng.integers(1, 8, (8, 11), np.uint8), np.ones((8, 4), np.uint8)), pose)
            picture = np.kron(rng.integers(0, 255, (8, 11, 3), np.uint8), np.ones((8, 4, 1), np.uint8))
            self.save(root / "images" / name, picture, quality=95, subsampling=0)
            self.save(root / "parsing" / name.replace(".jpg", ".png"), self.maps[name])
        self.write_openpose()
        self.sections = {
            "": {"frame": [HEIGHT, WIDTH], "images": "images"},
            "parsing": {"folder": "parsing"},
            "joints": {"format": "openpose", "path": "openpose"},
            "identities": {"by": "folder", "test": ["ben"]},
        }

    @staticmethod
    def save(file, array, **options):
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(file, **options)

    def write_openpose(self):
        for name, pose in self.poses.items():
            flat = [n for y, x in pose for n in ((0, 0, 0) if y == -1 else (x, y, 0.9))]
            file = self.root / "openpose" / name.replace(".jpg", "_keypoints.json")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({"people": [{"pose_keypoints_2d": flat}]}))

    def write_coco(self):
        records = [
            {
                "file_name": name,
                "keypoints": [n for y, x in pose[COCO_17] for n in ((0, 0, 0) if y == -1 else (x, y, 2))],
            }
            for name, pose in self.poses.items()
        ]
        (self.root / "coco.json").write_text(json.dumps(records))
        return {"format": "coco", "path": "coco.json"}

    def write_arrays(self):
        for name, pose in self.poses.items():
            file = self.root / "npy" / name.replace(".jpg", ".npy")
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, pose)
        return {"format": "npy", "path": "npy"}

    def write_table(self):
        lines = [
            f"{name}: {json.dumps(p[:, 0].tolist())}: {json.dumps(p[:, 1].tolist())}" for name, p in self.poses.items()
        ]
        (self.root / "joints.csv").write_text("\n".join(["name:keypoints_y:keypoints_x", *lines]))
        return {"format": "deepfashion", "path": "joints.csv"}

    def manifest(self):
        file = self.root / "people.toml"
        lines = []
        for section, values in self.sections.items():
            lines += [f"[{section}]"] if section else []
            lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        file.write_text("\n".join(lines))
        return file

    def collection(self):
        return read_manifest(self.manifest())

    def source(self, split="train"):
        return CollectionSource(self.collection(), split)


@pytest.fixture
def own(tmp_path, faced):
    return Own(tmp_path, faced)


def names(source):
    return [source.names(index) for index in range(len(source))]


def test_all_ordered_pairs_of_one_person_are_taken_and_nobody_is_in_both_splits(own):
    train, test = (names(own.source(split)) for split in ("train", "test"))
    assert set(test) == {("ben/0.jpg", "ben/1.jpg"), ("ben/1.jpg", "ben/0.jpg")}
    carl = [f"carl/{number}.jpg" for number in range(3)]
    anna = {("anna/0.jpg", "anna/1.jpg"), ("anna/1.jpg", "anna/0.jpg")}
    assert set(train) == anna | {(a, b) for a in carl for b in carl if a != b} and len(train) == 8


@pytest.mark.parametrize("write", ["write_coco", "write_arrays", "write_table"])
def test_every_format_of_joints_reads_like_openpose(own, write):
    expected = own.source()
    own.sections["joints"] = getattr(own, write)()
    found = own.source()
    for index in range(len(expected)):
        assert np.allclose(found.read(index).source_pose, expected.read(index).source_pose, atol=1e-4)


def test_joints_arrive_where_they_were_marked(own):
    pair = own.source().read(0)
    assert np.allclose(pair.source_pose, own.poses["anna/0.jpg"])


def test_the_size_of_the_joints_frame_may_differ_from_the_pictures(own):
    own.sections["joints"]["size"] = [2 * HEIGHT, 2 * WIDTH]
    for pose in own.poses.values():
        pose[pose[:, 0] != -1] = 2 * pose[pose[:, 0] != -1] + 0.5
    expected = {name: np.where(pose == -1, -1, (pose - 0.5) / 2) for name, pose in own.poses.items()}
    own.write_openpose()
    assert np.allclose(own.source().read(0).target_pose, expected["anna/1.jpg"], atol=1e-4)


@pytest.mark.parametrize(
    ("merge", "finer"),
    [
        ("lip", [0, 2, 7, 10, 12, 4, 15, 18]),
        ("cihp", [0, 1, 11, 6, 9, 13, 10, 8]),
        ([0, 7, 2, 2, 2, 1], [0, 5, 2, None, None, None, None, 1]),
    ],
)
def test_finer_classes_are_merged(own, merge, finer):
    for name, labels in own.maps.items():
        kept = np.isin(labels, [region for region, fine in enumerate(finer) if fine is not None])
        own.maps[name] = labels = np.where(kept, labels, 0).astype(np.uint8)
        table = np.array([0 if fine is None else fine for fine in finer], np.uint8)
        own.save(own.root / "parsing" / name.replace(".jpg", ".png"), table[labels])
    own.sections["parsing"]["merge"] = merge
    batch = next(batches.eval_batches(own.source(), batch_size=1, size=(HEIGHT, WIDTH)))
    assert np.array_equal(batch["source_parsing"][0], own.maps["anna/0.jpg"])


def test_people_may_come_from_a_table_and_pairs_from_files(own):
    with (own.root / "who.csv").open("w", newline="") as stream:
        rows = [("name", "identity"), *((name, name.split("/")[0]) for name in own.names)]
        csv.writer(stream).writerows(rows)
    by_folder = names(own.source())
    own.sections["identities"] = {"file": "who.csv", "test": ["ben"]}
    assert names(own.source()) == by_folder
    del own.sections["identities"]
    (own.root / "p.csv").write_text("from,to\ncarl/2.jpg,carl/0.jpg\n")
    own.sections["pairs"] = {"train": "p.csv"}
    assert names(own.source()) == [("carl/2.jpg", "carl/0.jpg")]


def test_the_share_held_out_does_not_change_when_others_join(own):
    own.sections["identities"] = {"by": "folder", "test_share": 0.3}
    before = {name.split("/")[0] for pair in names(own.source("test")) for name in pair}
    assert len(before) == 1 and not before & {name.split("/")[0] for pair in names(own.source()) for name in pair}
    again = {name.split("/")[0] for pair in names(own.source("test")) for name in pair}
    assert again == before


def test_face_boxes_move_with_the_picture(own):
    own.sections["joints"]["size"] = [2 * HEIGHT, 2 * WIDTH]
    own.sections[""]["face_boxes"] = "faces.json"
    (own.root / "faces.json").write_text(json.dumps({"anna/1.jpg": [10, 20, 30, 40]}))
    assert own.source().read(0).face_box.tolist() == [5, 10, 15, 20]


def test_streamed_pictures_equal_prepared_ones(own, tmp_path_factory):
    output = tmp_path_factory.mktemp("out")
    file = own.manifest()
    config = builders.FolderConfig(name="pairs", processes=0)
    builders.prepare(file.parent, output, config)
    streamed = sources.open_source({"name": "folder", "dir": str(file.parent)}, "train")
    prepared = sources.open_source({"name": "records", "dir": str(output)}, "train")
    size = {"batch_size": 1, "size": (HEIGHT, WIDTH)}
    expected = {(b["source_name"][0], b["target_name"][0]): b for b in batches.eval_batches(streamed, **size)}
    found = {(b["source_name"][0], b["target_name"][0]): b for b in batches.eval_batches(prepared, **size)}
    assert expected.keys() == found.keys()
    for key in expected:
        for entry in batches.KEYS:
            assert np.array_equal(expected[key][entry], found[key][entry]), (key, entry)


def test_a_wide_picture_is_padded_to_the_frame():
    assert window((100, 200), (64, 44), "pad", "x") == pytest.approx((50 - 200 * 64 / 88, 0, 200 * 64 / 44, 200))


def test_a_wide_picture_is_cropped_to_the_frame():
    assert window((100, 200), (64, 44), "crop", "x") == pytest.approx((0, 100 - 100 * 44 / 128, 100, 100 * 44 / 64))


@pytest.mark.parametrize("fit", ["pad", "crop"])
def test_a_mark_painted_at_a_joint_is_found_at_the_fitted_joint(own, fit):
    picture, labels = np.zeros((300, 500, 3), np.uint8), np.zeros((300, 500), np.uint8)
    picture[148:153, 228:233], labels[148:153, 228:233] = 255, 5
    own.save(own.root / "images" / "anna/0.jpg", picture, quality=95, subsampling=0)
    own.save(own.root / "parsing" / "anna/0.png", labels)
    own.poses["anna/0.jpg"] = np.full((18, 2), -1.0)
    own.poses["anna/0.jpg"][0] = 150, 230
    own.write_openpose()
    own.sections[""] |= {"fit": fit, "frame": [256, 176]}
    batch = next(batches.eval_batches(own.source(), batch_size=1, size=(256, 176)))
    y, x = batch["source_pose"][0, 0]
    bright = np.argwhere(batch["source_image"][0, ..., 0] > 128).mean(axis=0)
    marked = np.argwhere(batch["source_parsing"][0] == 5).mean(axis=0)
    assert np.allclose(bright, (y, x), atol=0.75) and np.allclose(marked, (y, x), atol=1)


def test_joints_that_a_crop_cuts_off_are_missing():
    pose = np.full((18, 2), -1.0)
    pose[0], pose[1] = (50, 10), (50, 100)
    fitted = fit_pose(pose, (100, 200), Rules((64, 44), "crop"), "x")
    assert fitted[0].tolist() == [-1, -1] and fitted[1, 0] > 0


def test_a_box_in_the_bars_of_a_square_picture_is_no_face():
    assert fit_box(np.array([0, 0, 20, 30]), (256, 256), Rules((256, 176)), "x").tolist() == [0, 0, 0, 0]


def refused(action, *expected):
    with pytest.raises(UserError) as caught:
        action()
    for part in expected:
        assert str(part) in str(caught.value)


@pytest.mark.parametrize(
    ("section", "change", "expected"),
    [
        ("", {"fit": "squeeze"}, ("fit", "exact, pad, crop")),
        ("", {"frame": [256]}, ("frame", "[height, width]")),
        ("", {"frame": [8, 8]}, ("frame", "16")),
        ("", {"pictures": "x"}, ("unknown key pictures", "images")),
        ("", {"images": 3}, ("images is 3", "text")),
        ("", {"images": "nowhere"}, ("nowhere", "no images")),
        ("parsing", {"merge": "vest"}, ("'vest'", "cihp, lip")),
        ("parsing", {"merge": 3}, ("parsing.merge",)),
        ("joints", {"format": "blazepose"}, ("joints.format", "openpose")),
        ("joints", {"min_confidence": -1}, ("min_confidence",)),
        ("joints", {"path": "nowhere"}, ("nowhere", "no such folder")),
        ("identities", {"test": ["dora"]}, ("'dora'",)),
        ("identities", {"by": "colour"}, ("by =",)),
        ("identities", {"test_share": 0}, ("test_share",)),
        ("pairs", {"train": "p.csv"}, ("[pairs] or [identities]",)),
    ],
)
def test_a_wrong_manifest_is_refused_by_key(own, section, change, expected):
    own.sections.setdefault(section, {}).update(change)
    refused(own.collection, *expected)


@pytest.mark.parametrize("text", ["frame = [", "parsing = 3\nimages = 'x'", "\udcff", ""])
def test_what_is_no_manifest_is_refused_by_name(own, text):
    file = own.manifest()
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    refused(lambda: read_manifest(file), file)


def test_the_doctor_names_the_picture_without_joints_and_goes_on(own):
    (own.root / "openpose" / "carl" / "1_keypoints.json").unlink()
    own.manifest()
    report = check({"dir": str(own.root)}, processes=0)
    errors = report.findings.of("error")
    assert {error.kind for error in errors} == {"joints absent"} and "carl/1.jpg" in errors[0].text
    assert report.pictures == {"train": 4, "test": 2}


def test_a_map_of_another_shape_than_its_image_is_an_error_where_it_is_padded(own):
    own.save(own.root / "parsing" / "anna/0.png", np.ones((HEIGHT, HEIGHT), np.uint8))
    own.manifest()
    errors = check({"dir": str(own.root)}, processes=0).findings.of("error")
    assert [error.kind for error in errors] == ["wrongly shaped parsing map"]
    assert str(own.root / "parsing" / "anna/0.png") in errors[0].text

"""The folder reader: the field's variants read alike, and every kind of bad input refused by file, record and mend."""

import json

import numpy as np
import pytest
from PIL import Image

from input_pipeline import batches as batches_lib
from input_pipeline.formats.deepfashion import Options
from input_pipeline.formats.folder import FolderSource
from scrn_jax.errors import UserError


def first_batch(source, **options):
    return next(batches_lib.eval_batches(source, **{"batch_size": 2, "size": (256, 176), **options}))


def test_pictures_maps_and_joints_arrive_as_they_were_written(folder):
    batch = first_batch(FolderSource(folder.root, "train"))
    assert batch["source_name"] == ["a0.jpg", "a1.jpg"] and batch["target_name"] == ["a1.jpg", "a2.jpg"]
    as_pil_sees_it = np.array(Image.open(folder.images / "a0.jpg")).astype(int)
    assert np.abs(batch["source_image"][0] - as_pil_sees_it).max() <= 2
    assert np.array_equal(batch["target_parsing"][0], folder.maps["a1.jpg"])
    assert np.array_equal(batch["target_pose"][1], folder.poses["a2.jpg"])


def test_square_pictures_with_side_bars_read_like_cropped_ones(folder):
    cropped = first_batch(FolderSource(folder.root, "train"))
    for name in folder.names:
        picture = np.array(Image.open(folder.images / name))
        Image.fromarray(np.pad(picture, ((0, 0), (40, 40), (0, 0)))).save(folder.images / name, "png")
        folder.write_labels(name, np.pad(folder.maps[name], ((0, 0), (40, 40))))
    barred = first_batch(FolderSource(folder.root, "train"))
    for key in batches_lib.KEYS:
        assert np.array_equal(cropped[key], barred[key]), key


@pytest.mark.parametrize("annotation_width", [None, 256])
def test_annotations_of_the_wide_frame_lose_forty_columns_but_missing_joints_stay_missing(folder, annotation_width):
    folder.write_poses(
        {name: np.where(pose == -1, -1, pose + np.array([0, 40])) for name, pose in folder.poses.items()}
    )
    source = FolderSource(folder.root, "train", Options(annotation_width))
    assert np.array_equal(source.read(0).source_pose, folder.poses["a0.jpg"])
    assert (source.read(0).source_pose == -1).any()


def test_photos_at_another_resolution_become_the_frame(folder):
    big = np.kron(folder.pictures["a0.jpg"], np.ones((4, 4, 1), np.uint8))
    folder.write_image("a0.jpg", Image.fromarray(big).resize((750, 1101)))
    shown = first_batch(FolderSource(folder.root, "train"))["source_image"][0]
    assert np.abs(shown.astype(int) - folder.pictures["a0.jpg"]).mean() < 6


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_cmyk_jpegs_become_rgb_as_pil_sees_them(folder, mode):
    folder.write_image("a0.jpg", Image.fromarray(folder.pictures["a0.jpg"]).convert(mode))
    expected = np.array(Image.open(folder.images / "a0.jpg").convert("RGB")).astype(int)
    shown = first_batch(FolderSource(folder.root, "train"))["source_image"][0]
    assert np.abs(shown - expected).max() <= 2


def test_palette_maps_give_their_indices(folder):
    image = Image.fromarray(folder.maps["a0.jpg"])
    image.putpalette(np.random.default_rng(0).integers(0, 255, 768, np.uint8).tobytes())
    folder.write_labels("a0.jpg", image)
    assert np.array_equal(first_batch(FolderSource(folder.root, "train"))["source_parsing"][0], folder.maps["a0.jpg"])


@pytest.mark.parametrize("name", ["fashion-pairs-train.csv", "fashion-resize-pairs-train.csv"])
def test_every_spelling_of_the_pairs_file_is_found(folder, name):
    folder.pairs.rename(folder.root / name)
    assert len(FolderSource(folder.root, "train")) == 4


def test_a_leading_index_column_is_skipped(folder):
    folder.pairs.write_text(",from,to\n0,a0.jpg,a1.jpg\n1,a2.jpg,a3.jpg\n")
    assert FolderSource(folder.root, "train").names(1) == ("a2.jpg", "a3.jpg")


def test_a_given_face_box_is_used_and_null_means_no_face(folder):
    (folder.root / "face-boxes.json").write_text(json.dumps({"a1.jpg": [10, 20, 30, 50], "a2.jpg": None}))
    batch = first_batch(FolderSource(folder.root, "train"))
    assert batch["face_box"].tolist() == [[10, 20, 30, 50], [0, 0, 0, 0]]


def test_face_boxes_are_derived_from_the_joints_when_none_are_given(folder):
    pose = np.full((18, 2), -1)
    pose[[0, 14, 15]] = [[50, 80], [44, 74], [44, 86]]
    folder.write_poses(folder.poses | {"a1.jpg": pose})
    y0, x0, y1, x1 = FolderSource(folder.root, "train").read(0).face_box
    assert y0 < 44 and y1 > 50 and x0 < 74 and x1 > 86


def refused(action, *expected):
    with pytest.raises(UserError) as caught:
        action()
    for part in expected:
        assert str(part) in str(caught.value)


def opening(folder, **options):
    return lambda: FolderSource(folder.root, "train", Options(**options))


def streaming(folder, cache_bytes=0):
    source = FolderSource(folder.root, "train")
    batches = batches_lib.train_batches(source, batch_size=2, size=(64, 44), seed=0, cache_bytes=cache_bytes)
    return [next(batches) for _ in range(4)]


def test_a_missing_folder_is_refused(tmp_path):
    refused(lambda: FolderSource(tmp_path / "none", "train"), tmp_path / "none", "config.data.dir")


def test_a_missing_split_is_refused(folder):
    refused(lambda: FolderSource(folder.root, "test"), folder.root / "test", "images")


def test_missing_csv_files_are_refused_with_the_names_looked_for(folder):
    folder.pairs.unlink()
    refused(opening(folder), folder.root, "fashion-pairs-train.csv")


def test_an_empty_pairs_file_is_refused(folder):
    folder.write_pairs([])
    refused(opening(folder), folder.pairs, "no pairs")


def test_a_pairs_file_with_another_header_is_refused(folder):
    folder.pairs.write_text("a0.jpg,a1.jpg\n")
    refused(opening(folder), folder.pairs, "line 1", "from,to")


def test_a_pair_whose_image_is_absent_is_refused_with_its_line(folder):
    (folder.images / "a2.jpg").unlink()
    refused(opening(folder), folder.pairs, "line 3", "a2.jpg", folder.images, "remove the pair")


def test_a_pair_without_joints_is_refused(folder):
    folder.write_poses({name: pose for name, pose in folder.poses.items() if name != "a1.jpg"})
    refused(opening(folder), "line 2", "a1.jpg", folder.annotations)


def test_a_pair_without_parsing_map_is_refused(folder):
    (folder.labels / "a0.png").unlink()
    refused(opening(folder), "line 2", folder.labels / "a0.png")


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/passwd", "", "..\\secret.jpg"])
def test_names_that_leave_the_folder_are_refused(folder, name):
    folder.write_pairs([("a0.jpg", name)])
    refused(opening(folder), folder.pairs, "line 2", "no name of an image")


def test_seventeen_joints_are_refused(folder):
    folder.write_poses({name: pose[:17] for name, pose in folder.poses.items()})
    refused(opening(folder), folder.annotations, "line 2", "a0.jpg", "17 values")


def test_joints_of_an_unscaled_frame_are_refused(folder):
    folder.write_poses({name: pose * 4 for name, pose in folder.poses.items()})
    refused(opening(folder), folder.annotations, "far outside", "scale the joints")


def test_an_unknown_annotation_width_is_refused(folder):
    refused(opening(folder, annotation_width=200), "annotation_width", "176 or 256")


@pytest.mark.parametrize("box", ["[1, 2, 3]", '"left"', "[1, 2, 3, NaN]"])
def test_a_broken_face_box_is_refused_by_name(folder, box):
    (folder.root / "face-boxes.json").write_text(f'{{"a1.jpg": {box}}}')
    refused(opening(folder), "face-boxes.json", "a1.jpg")


@pytest.mark.parametrize("cache_bytes", [0, 1 << 28])
def test_a_truncated_jpeg_met_while_streaming_is_named(folder, cache_bytes):
    file = folder.images / "a2.jpg"
    file.write_bytes(file.read_bytes()[:-2000])
    refused(lambda: streaming(folder, cache_bytes), file, "truncated", "replace")


def test_a_truncated_jpeg_met_in_evaluation_is_named(folder):
    file = folder.images / "a2.jpg"
    file.write_bytes(file.read_bytes()[:-2000])
    refused(
        lambda: list(batches_lib.eval_batches(FolderSource(folder.root, "train"), batch_size=2, size=(64, 44))), file
    )


@pytest.mark.parametrize("cache_bytes", [0, 1 << 28])
def test_a_label_above_seven_is_named_with_its_value(folder, cache_bytes):
    folder.maps["a1.jpg"][100, 3] = 11
    folder.write_labels("a1.jpg", folder.maps["a1.jpg"])
    refused(lambda: streaming(folder, cache_bytes), folder.labels / "a1.png", "label 11")


def test_a_truncated_parsing_map_is_named(folder):
    file = folder.labels / "a3.png"
    file.write_bytes(file.read_bytes()[:-100])
    refused(lambda: streaming(folder), file, "damaged")


def test_a_text_file_called_jpg_is_named(folder):
    (folder.images / "a1.jpg").write_text("not a picture")
    refused(lambda: streaming(folder), folder.images / "a1.jpg", "neither a JPEG nor a PNG")


def test_a_picture_of_another_shape_is_named(folder):
    folder.write_image("a1.jpg", Image.new("RGB", (300, 100)))
    refused(lambda: streaming(folder), folder.images / "a1.jpg", "100 x 300", "crop or pad")


def test_an_image_removed_after_opening_is_named(folder):
    source = FolderSource(folder.root, "train")
    (folder.images / "a1.jpg").unlink()
    refused(lambda: first_batch(source), folder.images / "a1.jpg", "cannot be read")

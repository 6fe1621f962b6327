"""Films: sequences are read in order, come back from every format as they were, and what is none is said."""

import io
import json
import sys

import numpy as np
import pytest
from PIL import Image, features

from scrn_jax.errors import UserError
from scrn_jax.inference import poses, video
from scrn_jax.person.joints import present


@pytest.fixture
def pictures():
    """Five smooth pictures with a square that moves to the right: even colours, as little as compression loses."""
    films = np.full((5, 32, 36, 3), (40, 90, 160), np.uint8)
    for number, picture in enumerate(films):
        picture[8:24, 4 * number : 4 * number + 12] = (220, 60, 30)
    return films


def _read(data: bytes) -> tuple[np.ndarray, Image.Image]:
    image = Image.open(io.BytesIO(data))
    found = []
    for number in range(image.n_frames):
        image.seek(number)
        found.append(np.asarray(image.convert("RGB")))
    return np.stack(found), image


@pytest.mark.parametrize("suffix, largest", [(".png", 0), (".gif", 0), (".webp", 40), (".avif", 60)])
def test_a_film_comes_back_with_its_pictures_and_its_pace(pictures, suffix, largest):
    if suffix == ".avif" and not features.check("avif"):
        pytest.skip("Pillow without AVIF")
    found, image = _read(video.encode(pictures, suffix, fps=10))
    assert found.shape == pictures.shape and image.info["duration"] == 100
    assert np.abs(found.astype(int) - pictures).mean() <= largest / 10
    assert image.info.get("loop", 0) == 0


@pytest.mark.parametrize(("suffix", "unit"), [(".gif", 10), (".webp", 1)])
@pytest.mark.parametrize("fps", [12, 26, 30, 45, 50])
def test_a_film_keeps_its_pace_on_the_whole(pictures, suffix, unit, fps):
    """Each picture ends within half of what the format counts in, and stays for two hundredths at least."""
    image = Image.open(io.BytesIO(video.encode(np.concatenate([pictures] * 3), suffix, fps)))
    ends = []
    for number in range(image.n_frames):
        image.seek(number)
        image.load()
        ends.append(image.info["duration"])
    assert min(ends) >= 20 and not any(end % unit for end in ends)
    assert np.abs(np.cumsum(ends) - 1000 * np.arange(1, 16) / fps).max() <= unit / 2


def test_a_gif_faster_than_browsers_show_it_is_refused():
    video.check(".gif", 50, "me.gif")
    with pytest.raises(UserError, match=r"me\.gif: 60 pictures a second, GIF shows 50 at most; give fewer, or take"):
        video.check(".gif", 60, "me.gif")


def test_an_mp4_keeps_size_pictures_and_colours(pictures, tmp_path):
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    video.write(pictures[:, :31], tmp_path / "film.mp4", fps=10)
    reader = imageio_ffmpeg.read_frames(str(tmp_path / "film.mp4"))
    assert next(reader)["size"] == (36, 32)  # 31 rows become the next even number
    found = np.stack([np.frombuffer(frame, np.uint8).reshape(32, 36, 3) for frame in reader])
    assert found.shape == pictures.shape
    assert np.abs(found[:, :31].astype(int) - pictures[:, :31]).mean() < 6


def test_mp4_without_its_extra_says_how_to_get_it(pictures, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(UserError, match=r"me.mp4: MP4 needs the extra `video`"):
        video.encode(pictures, ".mp4", where="me.mp4")


def test_even_ground_of_a_gif_does_not_flicker(pictures):
    """A palette for each picture would round a ramp of colours differently from picture to picture."""
    ramp = np.broadcast_to(np.linspace(0, 255, 36).astype(np.uint8)[None, :, None], (32, 36, 3))
    noisy = np.random.default_rng(0).integers(0, 256, (6, 32, 36, 3), dtype=np.uint8)
    noisy[:, 16:] = ramp[16:]
    found, _ = _read(video.encode(noisy, ".gif"))
    assert np.ptp(found[:, 16:], axis=0).max() == 0


def test_flicker_is_the_mean_difference_of_neighbours():
    films = np.zeros((3, 2, 2, 3), np.uint8)
    films[1] = 6
    films[2, 0] = 6
    # 6 everywhere, then 6 on half of the pixels.
    assert video.flicker(films) == pytest.approx((6 + 3) / 2)


@pytest.mark.parametrize(
    "name, fps, message",
    [("a.mov", 12, "not .mov"), ("a", 12, "a name without a suffix"), ("a.gif", 0, "0 pictures a second")],
)
def test_what_is_no_film_is_said_and_nothing_is_left(pictures, tmp_path, name, fps, message):
    with pytest.raises(UserError, match=message):
        video.write(pictures, tmp_path / name, fps)
    assert not list(tmp_path.iterdir())


def test_a_place_that_is_a_folder_is_said(pictures, tmp_path):
    (tmp_path / "film.gif").mkdir()
    with pytest.raises(UserError, match="film.gif cannot be written"):
        video.write(pictures, tmp_path / "film.gif")
    assert [path.name for path in tmp_path.iterdir()] == ["film.gif"]


def _save(path, pose):
    path.write_text(json.dumps({"joints": pose.tolist()}))


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path):
    names = poses.names()[:3]
    for number, name in enumerate(names):
        _save(tmp_path / f"{number:03}.json", poses.named(name))
    keys, loops = video.sequence(tmp_path)
    np.testing.assert_allclose(keys, [poses.named(name) for name in names])
    assert not loops


def test_hidden_files_in_a_folder_are_passed_over(tmp_path):
    _save(tmp_path / "1.json", poses.named("standing"))
    (tmp_path / "._1.json").write_bytes(b"\x00\x05\x16\x07")  # as macOS leaves them
    assert len(video.sequence(tmp_path)[0]) == 1


def test_a_file_may_say_that_it_is_a_loop(tmp_path):
    listed = [poses.named(name).tolist() for name in poses.names()[:2]]
    (tmp_path / "a.json").write_text(json.dumps({"poses": listed, "loop": True}))
    (tmp_path / "b.json").write_text(json.dumps({"poses": listed}))
    assert video.sequence(tmp_path / "a.json")[1] and not video.sequence(tmp_path / "b.json")[1]


def test_names_of_the_gallery_make_a_sequence():
    keys, loops = video.sequence("standing, arms-up,back")
    np.testing.assert_array_equal(keys[1], poses.named("arms-up"))
    assert keys.shape == (3, 18, 2) and not loops


@pytest.mark.parametrize(
    "source, message",
    [
        ("nowhere", "no such folder or file, and no film of the gallery"),
        ("a" * 300, "no such folder or file"),
        ("~nobody-of-that-name/walk.json", "no such folder or file"),
        ("", "holds no"),
    ],
)
def test_a_source_that_is_none_is_said(tmp_path, source, message):
    with pytest.raises(UserError, match=message):
        video.sequence(source or tmp_path)


def test_the_walk_is_smooth_and_loops():
    """No joint of the body jumps by more than a twelfth of the frame, from the last frame to the first included."""
    onto = poses.retarget(poses.named("standing"), 100 * poses.named("standing"))
    found = video.targets("walk", onto, (128, 88), 32)
    body = found[:, 1:14]
    assert present(body).all()
    steps = np.linalg.norm(np.roll(body, -1, axis=0) - body, axis=-1)
    assert 0.5 < steps.max() < 128 / 12


def test_the_walk_keeps_the_length_of_the_legs_seen_from_the_side_of_a_step():
    """Shin and thigh together stay between what the key poses show of them, in all in-betweens."""
    keys = poses.film("walk")

    def leg(pose):
        return sum(np.linalg.norm(pose[..., a, :] - pose[..., b, :], axis=-1) for a, b in ((8, 9), (9, 10)))

    between = leg(video.in_between(keys, 96, closed=True))
    assert leg(keys).min() - 0.01 < between.min() and between.max() < leg(keys).max() + 0.01

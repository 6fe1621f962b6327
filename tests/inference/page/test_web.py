"""The page's server: what it answers, and when it is ready."""

import base64
import io
import time

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from scrn_jax.errors import UserError
from scrn_jax.inference import poses
from scrn_jax.inference.page import web
from scrn_jax.inference.photo import encode_png
from scrn_jax.inference.transfer import LARGE


def test_the_page_and_its_parts_are_served_and_need_nothing_from_outside(client):
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    for name, kind in web.FILES.items():
        answer = client.get("/" if name == "index.html" else f"/{name}")
        assert answer.status_code == 200 and answer.headers["content-type"] == kind
        if kind.startswith("text"):
            text = answer.text.replace("http://www.w3.org/2000/svg", "")
            assert "http://" not in text and "https://" not in text and "//cdn" not in text


def test_the_browser_is_told_to_load_nothing_from_elsewhere_and_to_store_nothing(client):
    headers = client.get("/").headers
    assert (
        "default-src 'none'" in headers["content-security-policy"]
        and "unsafe" not in headers["content-security-policy"]
    )
    assert headers["cache-control"] == "no-store" and headers["x-content-type-options"] == "nosniff"


def test_a_photo_becomes_frame_regions_joints_and_notes(sent_person, page_transfer):
    height, width = page_transfer.size
    assert len(base64.b64decode(sent_person["image"])) == 3 * height * width
    labels = np.frombuffer(base64.b64decode(sent_person["regions"]), np.uint8)
    assert labels.size == height * width and labels.max() <= 7 and (labels > 0).mean() > 0.1
    assert np.shape(sent_person["joints"]) == (18, 2) and sent_person["notes"] == ["a note"]


def test_a_painted_picture_is_that_of_the_model(client, packed, page_transfer):
    height, width = page_transfer.size
    target = poses.retarget(poses.named("arms-up"), np.array(packed["joints"]), page_transfer.size)
    answer = client.post("/api/paint", json={**packed, "target": target.tolist()})
    assert answer.headers["content-type"] == "image/png"
    image = np.frombuffer(base64.b64decode(packed["image"]), np.uint8).reshape(height, width, 3)
    regions = np.frombuffer(base64.b64decode(packed["regions"]), np.uint8).reshape(height, width)
    expected = page_transfer.paint(image, regions, np.array(packed["joints"]), target[None])[0]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(answer.content))), expected)


def test_with_its_large_frame_a_person_is_painted_large(client, sent_person, packed, page_transfer):
    size = tuple(page_transfer.times * side for side in page_transfer.size)
    answer = client.post("/api/paint", json={**packed, "target": packed["joints"], "large": sent_person["large"]})
    assert Image.open(io.BytesIO(answer.content)).size == size[::-1]
    short = client.post("/api/paint", json={**packed, "target": packed["joints"], "large": packed["image"]})
    assert short.status_code == 400 and short.json()["error"].startswith("large: holds ")


def test_with_its_large_frame_another_person_lends_more_than_colours(client, sent_person, packed):
    large, worn = sent_person["large"], {**packed, "share": [0, 0, 1, 1, 1, 0, 0, 0]}

    def painted(style):
        given = {**packed, "target": packed["joints"], "large": large, "style": style}
        return client.post("/api/paint", json=given)

    assert painted({**worn, "large": large}).content != painted(worn).content
    short = painted({**worn, "large": packed["image"]})
    assert short.status_code == 400 and short.json()["error"].startswith("large: holds ")


def test_joints_regions_and_clothes_that_were_mended_change_the_picture(client, packed):
    def painted(**changes):
        return client.post("/api/paint", json={**packed, "target": packed["joints"], **changes}).content

    plain = painted()
    moved = [list(joint) for joint in packed["joints"]]
    moved[4] = [10.0, 5.0]
    assert painted(target=moved) != plain
    swapped = np.frombuffer(base64.b64decode(packed["regions"]), np.uint8).copy()
    swapped[swapped == 2] = 3
    swapped[:400] = 1
    assert painted(regions=base64.b64encode(swapped).decode()) != plain
    other = {
        **packed,
        "image": base64.b64encode(bytes(255 - byte for byte in base64.b64decode(packed["image"]))).decode(),
    }
    assert painted(style={**other, "share": [0, 0, 1, 1, 1, 0, 0, 0]}) != plain
    assert painted(style={**other, "share": [0] * 8}) == plain


@pytest.mark.parametrize("form, magic", [("gif", b"GIF89a"), ("webp", b"RIFF"), ("png", b"\x89PNG")])
def test_a_film_has_the_pictures_that_were_asked_for(client, packed, form, magic):
    answer = client.post("/api/film", json={**packed, "film": "walk", "frames": 4, "fps": 10, "format": form})
    assert answer.status_code == 200 and answer.content.startswith(magic)
    assert answer.headers["content-type"] == web.FILM_TYPES[f".{form}"]
    assert Image.open(io.BytesIO(answer.content)).n_frames == 4


def test_films_of_any_length_are_painted_unpadded_by_the_two_programs_that_are_warmed(
    client, packed, page_transfer, monkeypatch
):
    asked, paint = [], page_transfer.paint
    monkeypatch.setattr(page_transfer, "paint", lambda *given: asked.append(len(given[3])) or paint(*given))
    client.post("/api/paint", json={**packed, "target": packed["joints"]})

    def make(frames):
        wanted = {**packed, "film": "walk", "frames": frames, "format": "png"}
        assert client.post("/api/film", json=wanted).status_code == 200

    make(LARGE)
    programs = page_transfer._transfer._paint._cache_size()
    for frames in (2, 5, LARGE + 3):
        make(frames)
    assert sum(asked) == 1 + LARGE + 2 + 5 + LARGE + 3
    assert page_transfer._transfer._paint._cache_size() == programs


def test_a_film_of_own_poses_passes_through_them(client, packed, page_transfer):
    keys = [
        poses.retarget(poses.named(name), np.array(packed["joints"]), page_transfer.size).tolist()
        for name in ("standing", "arms-up")
    ]
    answer = client.post("/api/film", json={**packed, "poses": keys, "frames": 3, "format": "png"})
    film = Image.open(io.BytesIO(answer.content))
    film.seek(2)
    last = client.post("/api/paint", json={**packed, "target": keys[1]})
    np.testing.assert_array_equal(np.asarray(film.convert("RGB")), np.asarray(Image.open(io.BytesIO(last.content))))


def test_poses_are_fitted_to_the_person(client, packed, page_transfer):
    answer = client.post("/api/fit", json={"onto": packed["joints"]}).json()
    assert tuple(answer["names"]) == poses.names()
    expected = poses.retarget(poses.named("back"), np.array(packed["joints"]), page_transfer.size)
    np.testing.assert_allclose(answer["poses"][answer["names"].index("back")], expected, rtol=1e-6)


def test_a_person_may_be_asked_for_with_room_around(client, photo_file, packed):
    roomy = client.post("/api/person?room=1.5", content=photo_file.read_bytes()).json()
    near, far = (np.array(each["joints"]) for each in (packed, roomy))
    there = (near >= 0).all(1) & (far >= 0).all(1)
    assert np.ptp(near[there, 0]) == pytest.approx(1.5 * np.ptp(far[there, 0]), rel=0.02)
    for wrong in ("0.5", "9", "nan", "much"):
        answer = client.post(f"/api/person?room={wrong}", content=photo_file.read_bytes())
        assert answer.status_code == 400 and "give a number from 1 to 2" in answer.json()["error"]


def test_a_file_of_openpose_is_fitted_too(client, packed):
    flat = [
        value for y, x in (1000 * poses.named("standing")).tolist() for value in ([x, y, 1] if y > 0 else [0, 0, 0])
    ]
    answer = client.post("/api/fit", json={"onto": packed["joints"], "file": {"people": [{"pose_keypoints_2d": flat}]}})
    assert answer.status_code == 200 and np.shape(answer.json()["poses"]) == (1, 18, 2)


def test_nothing_of_a_photo_is_written_to_disk(client, view, packed, monkeypatch):
    """Whatever opens a file for writing fails; answers come all the same."""
    import os

    real = os.open

    def reading_only(path, flags, *rest, **options):
        assert not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT), f"{path} opened for writing"
        return real(path, flags, *rest, **options)

    monkeypatch.setattr(os, "open", reading_only)
    for name in ("mkstemp", "mkdtemp"):
        monkeypatch.setattr(f"tempfile.{name}", lambda *_, **__: pytest.fail("a temporary file"))
    assert client.post("/api/person", content=encode_png(view.image)).status_code == 200
    assert client.post("/api/paint", json={**packed, "target": packed["joints"]}).status_code == 200
    assert client.post("/api/film", json={**packed, "film": "walk", "frames": 3, "format": "webp"}).status_code == 200


def test_an_address_that_cannot_be_listened_on_is_said(page_transfer):
    with pytest.raises(UserError, match="--host 203.0.113.1 --port 80: cannot be listened on"):
        web.serve(page_transfer, "203.0.113.1", 80)


def test_the_server_is_ready_once_it_can_paint_and_warms_the_rest_behind(page_transfer, page_url):
    class Warm:
        size, calls = page_transfer.size, []

        def estimate(self, photo):
            self.calls.append("estimate")
            return page_transfer.estimate(photo)

        def paint(self, *given):
            assert client.get("/api/ready").json()["ready"] == (len(self.calls) > 1)
            self.calls.append(f"paint {len(given[3])}{' in style' if given[4] else ''}")
            return np.zeros((len(given[3]), *self.size, 3), np.uint8)

    client = TestClient(web.make_app(Warm()), base_url=page_url)  # bound before it is entered, which starts the warming
    with client:
        for _ in range(4000):
            if len(Warm.calls) == 5:
                break
            time.sleep(0.05)
        assert client.get("/api/ready").json() == {"ready": True, "error": None}
    assert Warm.calls == ["estimate", "paint 1", "paint 1 in style", f"paint {LARGE}", f"paint {LARGE} in style"]


@pytest.mark.parametrize(
    "raised, said",
    [
        (UserError("the extra `photo` is missing; install it"), "the extra `photo` is missing; install it"),
        (RuntimeError("no memory\nat 0x0"), "the page cannot be used (no memory); see the server's log"),
    ],
)
def test_a_server_that_cannot_work_says_so_on_the_page_and_in_its_log(page_transfer, page_url, caplog, raised, said):
    class Broken:
        size = page_transfer.size

        def estimate(self, _):
            raise raised

    with TestClient(web.make_app(Broken()), base_url=page_url) as client:
        for _ in range(4000):
            if (answer := client.get("/api/ready").json())["ready"]:
                break
            time.sleep(0.05)
        assert answer == {"ready": True, "error": said}
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "the page cannot be used" in record.message
    assert bool(record.exc_info) == (type(raised) is not UserError)

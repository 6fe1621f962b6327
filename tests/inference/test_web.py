"""The page's server: what it answers, whom it refuses, and what it says of what does not fit."""

import asyncio
import base64
import contextlib
import io
import threading
import time

import jax
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from scrn_jax.errors import UserError
from scrn_jax.inference import guard, poses, web
from scrn_jax.inference.estimators import Person
from scrn_jax.inference.photo import PhotoTransfer
from scrn_jax.inference.transfer import LARGE, PoseTransfer
from scrn_jax.person.face import face_box_from_joints

BASE = "http://127.0.0.1:8765"


@pytest.fixture(scope="module")
def transfer(model_folder, view):
    """The tiny model, and an estimator that knows one person whatever the photo, or nobody in a black one."""

    def estimate(photo):
        if not photo.any():
            raise UserError("nobody is found in the picture")
        scale = photo.shape[0] / view.image.shape[0]
        rows, columns = (
            np.minimum((np.arange(n) / scale).astype(int), m - 1)
            for n, m in zip(photo.shape[:2], (256, 176), strict=True)
        )
        labels = view.labels[rows][:, columns]
        joints = np.where(view.joints >= 0, view.joints * scale, -1).astype(np.float32)
        return Person(
            joints, (labels > 0).astype(np.float32), labels, face_box_from_joints(joints, *photo.shape[:2]), ("a note",)
        )

    return PhotoTransfer(PoseTransfer.load(model_folder, devices=jax.devices()[:1]), estimate)


@contextlib.contextmanager
def _served(transfer, **options):
    options = {"limits": web.Limits(answer_seconds=600), **options}  # the first pictures are compiled
    with TestClient(web.make_app(transfer, warm=False, **options), base_url=BASE) as client:
        yield client


@pytest.fixture(scope="module")
def client(transfer):
    with _served(transfer) as client:
        yield client


def _png(pixels) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return stream.getvalue()


@pytest.fixture(scope="module")
def person(client, view):
    answer = client.post("/api/person", content=_png(view.image))
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
def packed(person):
    return {key: person[key] for key in ("image", "regions", "joints")}


def _error(answer, status) -> str:
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"] and "\n" not in answer.json()["error"]
    return answer.json()["error"]


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


def test_a_photo_becomes_frame_regions_joints_and_notes(person, transfer):
    height, width = transfer.size
    assert len(base64.b64decode(person["image"])) == 3 * height * width
    labels = np.frombuffer(base64.b64decode(person["regions"]), np.uint8)
    assert labels.size == height * width and labels.max() <= 7 and (labels > 0).mean() > 0.1
    assert np.shape(person["joints"]) == (18, 2) and person["notes"] == ["a note"]


def test_a_painted_picture_is_that_of_the_model(client, packed, transfer):
    height, width = transfer.size
    target = poses.retarget(poses.named("arms-up"), np.array(packed["joints"]), transfer.size)
    answer = client.post("/api/paint", json={**packed, "target": target.tolist()})
    assert answer.headers["content-type"] == "image/png"
    image = np.frombuffer(base64.b64decode(packed["image"]), np.uint8).reshape(height, width, 3)
    regions = np.frombuffer(base64.b64decode(packed["regions"]), np.uint8).reshape(height, width)
    expected = transfer.paint(image, regions, np.array(packed["joints"]), target[None])[0]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(answer.content))), expected)


def test_with_its_large_frame_a_person_is_painted_large(client, person, packed, transfer):
    size = tuple(transfer.times * side for side in transfer.size)
    answer = client.post("/api/paint", json={**packed, "target": packed["joints"], "large": person["large"]})
    assert Image.open(io.BytesIO(answer.content)).size == size[::-1]
    short = client.post("/api/paint", json={**packed, "target": packed["joints"], "large": packed["image"]})
    assert short.status_code == 400 and short.json()["error"].startswith("large: holds ")


def test_with_its_large_frame_another_person_lends_more_than_colours(client, person, packed):
    large, worn = person["large"], {**packed, "share": [0, 0, 1, 1, 1, 0, 0, 0]}

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


def test_a_film_of_own_poses_passes_through_them(client, packed, transfer):
    keys = [
        poses.retarget(poses.named(name), np.array(packed["joints"]), transfer.size).tolist()
        for name in ("standing", "arms-up")
    ]
    answer = client.post("/api/film", json={**packed, "poses": keys, "frames": 3, "format": "png"})
    film = Image.open(io.BytesIO(answer.content))
    film.seek(2)
    last = client.post("/api/paint", json={**packed, "target": keys[1]})
    np.testing.assert_array_equal(np.asarray(film.convert("RGB")), np.asarray(Image.open(io.BytesIO(last.content))))


def test_poses_are_fitted_to_the_person(client, packed, transfer):
    answer = client.post("/api/fit", json={"onto": packed["joints"]}).json()
    assert tuple(answer["names"]) == poses.names()
    expected = poses.retarget(poses.named("back"), np.array(packed["joints"]), transfer.size)
    np.testing.assert_allclose(answer["poses"][answer["names"].index("back")], expected, rtol=1e-6)


def test_a_file_of_openpose_is_fitted_too(client, packed):
    flat = [
        value for y, x in (1000 * poses.named("standing")).tolist() for value in ([x, y, 1] if y > 0 else [0, 0, 0])
    ]
    answer = client.post("/api/fit", json={"onto": packed["joints"], "file": {"people": [{"pose_keypoints_2d": flat}]}})
    assert answer.status_code == 200 and np.shape(answer.json()["poses"]) == (1, 18, 2)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "", "127.0.0.1@evil.example"]
)
def test_a_foreign_host_is_refused_whatever_is_asked_for(client, host):
    for path in ("/", "/api/model"):
        assert "does not answer to that name" in _error(client.get(path, headers={"host": host}), 403)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8765", "127.0.0.1:1", "[::1]:8765"])
def test_this_machines_own_names_are_answered(client, host):
    assert client.get("/api/ready", headers={"host": host}).json() == {"ready": True, "error": None}


def test_a_name_that_was_allowed_is_answered(transfer):
    with _served(transfer, hosts=("studio.lan",)) as client:
        assert client.get("/", headers={"host": "studio.lan:8765"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site"},
    ],
)
def test_what_another_page_sends_is_refused(client, view, headers):
    assert "from another page" in _error(client.post("/api/person", content=_png(view.image), headers=headers), 403)


def test_the_page_itself_may_send(client, view):
    headers = {"origin": BASE, "sec-fetch-site": "same-origin"}
    assert client.post("/api/person", content=_png(view.image), headers=headers).status_code == 200


def test_names_in_a_host_header_are_read_as_browsers_write_them():
    assert guard.host_name("[::1]:80") == "::1" and guard.host_name("LocalHost") == "localhost"
    assert (
        guard.host_name("a/b") is None and guard.host_name("u@localhost") is None and guard.host_name("a:99999") is None
    )
    assert guard.is_loopback("::1") and guard.is_loopback("127.3.0.1") and not guard.is_loopback("0.0.0.0")


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "the photo is empty"),
        (b"hello", "the photo: neither a JPEG nor a PNG"),
        (b"\xff\xd8\xff\xe0 no more", "the photo: a JPEG without a size"),
        (_png(np.zeros((64, 44, 3), np.uint8)), "the photo: nobody is found"),
        (_png(np.ones((1, 1, 3), np.uint8)), "the photo: 1 x 1 pixels"),
        (_png(np.ones((64, 44, 3), np.uint8))[:-30], "the photo: truncated or damaged"),
        (_png(np.ones((4, 300, 3), np.uint8)), "more than 64 times as long as wide"),
    ],
)  # fmt: skip
def test_a_bad_photo_is_said_in_one_line(client, data, message):
    assert message in _error(client.post("/api/person", content=data), 400)


def test_a_photo_of_too_many_pixels_is_refused_before_it_is_decoded(client):
    header = _png(np.ones((64, 64, 3), np.uint8))
    claims = header[:16] + (20000).to_bytes(4, "big") + (15000).to_bytes(4, "big") + header[24:]
    assert "claims 20000 x 15000 pixels" in _error(client.post("/api/person", content=claims), 400)


def test_an_upload_beyond_the_limit_is_refused_by_what_it_says_and_by_what_it_is(transfer):
    with _served(transfer, limits=web.Limits(photo_bytes=1000)) as client:
        assert "larger than" in _error(client.post("/api/person", content=b"x" * 1001), 413)

        def pieces():
            for _ in range(11):
                yield b"x" * 100

        assert "larger than" in _error(client.post("/api/person", content=pieces()), 413)


def test_a_request_of_json_beyond_its_limit_is_refused(client):
    assert "larger than" in _error(client.post("/api/paint", content=b"[" * (1 << 20)), 413)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"target": None}, "target: is no pose"),
        ({"target": [[1, 2]] * 17}, "17 values"),
        ({"target": [["a", 2]] * 18}, "'a' in keypoints_y"),
        ({"target": [[float("nan"), 2]] * 18}, "not a finite number"),
        ({"target": [[-1, -1]] * 18}, "0 joints"),
        ({"target": [[5, 5]] * 18}, "at one place"),
        ({"joints": "x"}, "joints: is no pose"),
        ({"image": "AAAA"}, "image: holds 3 bytes"),
        ({"image": "%%"}, "image: is no base64"),
        ({"image": None}, "image: is no base64"),
        ({"regions": base64.b64encode(bytes([9]) * 64 * 44).decode()}, "label 9"),
        ({"style": 3}, "style share"),
        ({"style": {"share": [2] * 8}}, "style share"),
        ({"style": {"share": [0.5] * 8}}, "image: is no base64"),
    ],
)  # fmt: skip
def test_a_bad_request_for_a_picture_is_said_in_one_line(client, packed, changes, message):
    import json

    answer = client.post("/api/paint", content=json.dumps({**packed, "target": packed["joints"], **changes}))
    assert message in _error(answer, 400)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"film": "dance"}, "film: 'dance'; choose one of"),
        ({"frames": 1}, "frames: 1"),
        ({"frames": 97}, "frames: 97"),
        ({"frames": True}, "frames: True"),
        ({"fps": 0}, "0 pictures a second"),
        ({"fps": "x"}, "fps: 'x'"),
        ({"format": "exe"}, "format: 'exe'"),
        ({"film": None, "poses": []}, "list of 2 to 64 poses"),
        ({"film": None, "poses": [[], []]}, "pose 0"),
    ],
)  # fmt: skip
def test_a_bad_request_for_a_film_is_said_in_one_line(client, packed, changes, message):
    asked = {**packed, "film": "walk", "frames": 4, "format": "gif", **changes}
    assert message in _error(client.post("/api/film", json=asked), 400)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"3", b"[" * 100000, b"\xff"])
def test_what_is_no_json_object_is_said(client, body):
    assert "the request is no JSON" in _error(client.post("/api/paint", content=body), 400)


def test_an_answer_that_takes_too_long_is_given_up_and_a_queue_that_is_full_is_said(transfer, view):
    hold = threading.Event()

    class Slow:
        size = transfer.size

        def estimate(self, _):
            hold.wait(20)
            return transfer.estimate(view.image)

    with _served(Slow(), limits=web.Limits(answer_seconds=0.2, waiting=1)) as client:
        try:
            assert "took longer than 0.2 seconds" in _error(client.post("/api/person", content=b"x"), 504)
            # The thread still has it: nobody else's is begun meanwhile.
            assert "too many requests" in _error(client.post("/api/person", content=b"x"), 503)
        finally:
            hold.set()
        for _ in range(200):
            answer = client.post("/api/person", content=b"x")
            if answer.status_code != 503:
                break
            time.sleep(0.02)
        assert answer.status_code == 200


def test_an_upload_that_never_ends_is_given_up(transfer):
    """By hand, as ASGI: a client that sends a byte and then nothing."""
    app = web.make_app(transfer, warm=False, limits=web.Limits(receive_seconds=0.1))
    sent = []

    async def receive():
        if not sent and not receive.asked:
            receive.asked = True
            return {"type": "http.request", "body": b"x", "more_body": True}
        await asyncio.sleep(30)

    receive.asked = False

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/api/person", "raw_path": b"/api/person", "query_string": b"",
        "headers": [(b"host", b"127.0.0.1")], "http_version": "1.1", "scheme": "http", "root_path": "",
        "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1),
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 408 and b"took longer than 0.1 seconds" in sent[1]["body"]


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
    assert client.post("/api/person", content=_png(view.image)).status_code == 200
    assert client.post("/api/paint", json={**packed, "target": packed["joints"]}).status_code == 200
    assert client.post("/api/film", json={**packed, "film": "walk", "frames": 3, "format": "webp"}).status_code == 200


def test_an_address_that_cannot_be_listened_on_is_said(transfer):
    with pytest.raises(UserError, match="--host 203.0.113.1 --port 80: cannot be listened on"):
        web.serve(transfer, "203.0.113.1", 80)


def test_the_server_is_ready_once_it_can_paint_and_warms_the_rest_behind(transfer):
    class Warm:
        size, calls = transfer.size, []

        def estimate(self, photo):
            self.calls.append("estimate")
            return transfer.estimate(photo)

        def paint(self, *given):
            assert client.get("/api/ready").json()["ready"] == (len(self.calls) > 1)
            self.calls.append(f"paint {len(given[3])}{' in style' if given[4] else ''}")
            return np.zeros((len(given[3]), *self.size, 3), np.uint8)

    client = TestClient(web.make_app(Warm()), base_url=BASE)  # bound before it is entered, which starts the warming
    with client:
        for _ in range(4000):
            if len(Warm.calls) == 5:
                break
            time.sleep(0.05)
        assert client.get("/api/ready").json() == {"ready": True, "error": None}
    assert Warm.calls == ["estimate", "paint 1", "paint 1 in style", f"paint {LARGE}", f"paint {LARGE} in style"]


def test_a_server_that_cannot_work_says_so_on_the_page(transfer):
    class Broken:
        size = transfer.size

        def estimate(self, _):
            raise UserError("the extra `photo` is missing; install it")

    with TestClient(web.make_app(Broken()), base_url=BASE) as client:
        for _ in range(4000):
            if (answer := client.get("/api/ready").json())["ready"]:
                break
            time.sleep(0.05)
        assert answer == {"ready": True, "error": "the extra `photo` is missing; install it"}

"""The page's server: whom it refuses, and what it says of what does not fit, is too much, or takes too long."""

import asyncio
import base64
import json
import sys
import threading
import time

import numpy as np
import pytest
from PIL import features

from scrn_jax.inference.page import guard, web
from scrn_jax.inference.photo import encode_png
from scrn_jax.inference.transfer import LARGE


def _error(answer, status) -> str:
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"] and "\n" not in answer.json()["error"]
    return answer.json()["error"]


@pytest.fixture
def unpainted(client, monkeypatch):
    """Nothing may be painted while it lasts."""
    painted = []
    monkeypatch.setattr(client.app.state.service, "paint", lambda *given: painted.append(given))
    yield
    assert not painted


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "", "127.0.0.1@evil.example"]
)
def test_a_foreign_host_is_refused_whatever_is_asked_for(client, host):
    for path in ("/", "/api/model"):
        assert "does not answer to that name" in _error(client.get(path, headers={"host": host}), 403)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8765", "127.0.0.1:1", "[::1]:8765"])
def test_this_machines_own_names_are_answered(client, host):
    assert client.get("/api/ready", headers={"host": host}).json() == {"ready": True, "error": None}


def test_a_name_that_was_allowed_is_answered(served, page_transfer):
    with served(page_transfer, hosts=("studio.lan",)) as client:
        assert client.get("/", headers={"host": "studio.lan:8765"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "http://[::1"},
        {"sec-fetch-site": "cross-site"},
    ],
)
def test_what_another_page_sends_is_refused(client, view, headers):
    answer = client.post("/api/person", content=encode_png(view.image), headers=headers)
    assert "from another page" in _error(answer, 403)


def test_the_page_itself_may_send(client, view, page_url):
    headers = {"origin": page_url, "sec-fetch-site": "same-origin"}
    assert client.post("/api/person", content=encode_png(view.image), headers=headers).status_code == 200


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
        (encode_png(np.zeros((64, 44, 3), np.uint8)), "the photo: nobody is found"),
        (encode_png(np.ones((1, 1, 3), np.uint8)), "the photo: 1 x 1 pixels"),
        (encode_png(np.ones((64, 44, 3), np.uint8))[:-30], "the photo: truncated or damaged"),
        (encode_png(np.ones((4, 300, 3), np.uint8)), "more than 64 times as long as wide"),
    ],
)  # fmt: skip
def test_a_bad_photo_is_said_in_one_line(client, data, message):
    assert message in _error(client.post("/api/person", content=data), 400)


def test_a_photo_of_too_many_pixels_is_refused_before_it_is_decoded(client):
    header = encode_png(np.ones((64, 64, 3), np.uint8))
    claims = header[:16] + (20000).to_bytes(4, "big") + (15000).to_bytes(4, "big") + header[24:]
    assert "claims 20000 x 15000 pixels" in _error(client.post("/api/person", content=claims), 400)


def test_an_upload_beyond_the_limit_is_refused_by_what_it_says_and_by_what_it_is(served, page_transfer):
    with served(page_transfer, limits=web.Limits(photo_bytes=1000)) as client:
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
        ({"fps": 999}, "999 pictures a second"),
        ({"fps": "x"}, "fps: 'x'"),
        ({"format": "exe"}, "format: 'exe'"),
        ({"film": None, "poses": []}, "list of 2 to 64 poses"),
        ({"film": None, "poses": [[], []]}, "pose 0"),
    ],
)  # fmt: skip
def test_a_bad_request_for_a_film_is_said_in_one_line_before_anything_is_painted(
    client, packed, unpainted, changes, message
):
    asked = {**packed, "film": "walk", "frames": 4, "format": "gif", **changes}
    assert message in _error(client.post("/api/film", json=asked), 400)


def test_a_format_that_cannot_be_written_here_is_neither_offered_nor_begun(client, packed, unpainted, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    monkeypatch.setattr(features, "check", lambda name: name != "avif")
    assert client.get("/api/model").json()["formats"] == ["gif", "webp", "png"]
    for form, message in (("mp4", "MP4 needs the extra `video`"), ("avif", "without AVIF here")):
        asked = {**packed, "film": "walk", "frames": 4, "format": form}
        assert message in _error(client.post("/api/film", json=asked), 400)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"3", b"[" * 100000, b"\xff"])
def test_what_is_no_json_object_is_said(client, body):
    assert "the request is no JSON" in _error(client.post("/api/paint", content=body), 400)


def test_an_answer_that_takes_too_long_is_given_up_and_a_queue_that_is_full_is_said(served, page_transfer, view):
    hold = threading.Event()

    class Slow:
        size = page_transfer.size

        def estimate(self, _):
            hold.wait(20)
            return page_transfer.estimate(view.image)

    with served(Slow(), limits=web.Limits(answer_seconds=0.2, waiting=1)) as client:
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


def _asked_by_hand(app, path, then, **message) -> list[dict]:
    """What an ASGI application sends to a client that sends one message, and whose next one `then` awaits."""
    sent, given = [], [{"type": "http.request", **message}]

    async def receive():
        return given.pop() if given else await then()

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(b"host", b"127.0.0.1")], "http_version": "1.1", "scheme": "http", "root_path": "",
        "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1),
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    return sent


async def _silence():
    await asyncio.sleep(30)


def test_an_upload_that_never_ends_is_given_up(page_transfer):
    app = web.make_app(page_transfer, warm=False, limits=web.Limits(receive_seconds=0.1))
    start, body = _asked_by_hand(app, "/api/person", _silence, body=b"x", more_body=True)
    assert start["status"] == 408 and b"took longer than 0.1 seconds" in body["body"]


class _Held:
    """Paints nothing, and not before it is let go; `painted` are the numbers of pictures that it was asked for."""

    def __init__(self, transfer):
        self.size, self.times = transfer.size, transfer.times
        self.painted, self.let_go = [], threading.Event()

    def paint(self, *given):
        self.painted.append(len(given[3]))
        self.let_go.wait(20)
        return np.zeros((len(given[3]), *self.size, 3), np.uint8)


@pytest.fixture
def held(page_transfer):
    held = _Held(page_transfer)
    yield held
    held.let_go.set()


def test_a_film_that_takes_too_long_is_not_painted_on(served, held, packed):
    with served(held, limits=web.Limits(answer_seconds=0.5)) as client:
        film = client.post("/api/film", json={**packed, "film": "walk", "frames": 96, "format": "gif"})
        assert _error(film, 504) == "took longer than 0.5 seconds; take fewer pictures"
        held.let_go.set()
        for _ in range(200):
            if client.post("/api/paint", json={**packed, "target": packed["joints"]}).status_code == 200:
                break
    assert held.painted[:2] == [LARGE, 1]


def test_a_film_whose_visitor_hangs_up_is_not_painted_on(held, packed):
    app = web.make_app(held, warm=False)

    async def hang_up():
        while not held.painted:
            await asyncio.sleep(0.01)
        return {"type": "http.disconnect"}

    film = {**packed, "film": "walk", "frames": 96, "format": "gif"}
    _asked_by_hand(app, "/api/film", hang_up, body=json.dumps(film).encode())
    held.let_go.set()
    picture = {**packed, "target": packed["joints"]}
    start, _ = _asked_by_hand(app, "/api/paint", _silence, body=json.dumps(picture).encode())
    assert start["status"] == 200 and held.painted == [LARGE, 1]


def test_a_request_that_is_given_up_before_its_turn_gives_its_place_back(served, held, packed):
    with served(held, limits=web.Limits(answer_seconds=0.2, waiting=2)) as client:
        for _ in range(4):
            _error(client.post("/api/paint", json={**packed, "target": packed["joints"]}), 504)
        assert held.painted == [1]

"""What the page's requests hold, within limits: a photo, a person, a style, poses, a film. Each is checked here."""

import asyncio
import base64
import contextlib
import dataclasses
from typing import Any

import numpy as np
from starlette.requests import Request

from scrn_jax.errors import UserError
from scrn_jax.inference import in_between, poses, video
from scrn_jax.person import regions as regions_lib
from scrn_jax.runtime.nesting import parse_json

_KEY_POSES = 64
_REGIONS = regions_lib.NUM_REGIONS

Size = tuple[int, int]
Given = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Limits:
    """Of one request: bytes of a photo, seconds to receive it and to answer, frames of a film; requests in waiting."""

    photo_bytes: int = 20 << 20
    receive_seconds: float = 30
    answer_seconds: float = 60
    frames: int = 96
    waiting: int = 8


class Refused(Exception):
    """A request that is answered with a status and one line."""

    def __init__(self, status: int, reason: str):
        super().__init__(reason)
        self.status = status


async def read_photo(request: Request, limits: Limits) -> bytes:
    """A photo's bytes. Raises UserError when there are none, Refused as `_body`."""
    data = await _body(request, limits.photo_bytes, limits.receive_seconds)
    if not data:
        raise UserError("the photo is empty; choose a JPEG or PNG")
    return data


def room_of(request: Request) -> float:
    """How many times as large as usual the frame around a person is to be. Raises UserError for none from 1 to 2."""
    text = request.query_params.get("room", "1")
    try:
        room = float(text)
    except ValueError:
        room = 0.0
    if not 1 <= room <= poses.MOST_ROOM:
        raise UserError(f"room {text[:20]!r}: give a number from 1 to {poses.MOST_ROOM:g}")
    return room


async def read_json(request: Request, size: Size, limits: Limits, times: int = 0) -> Given:
    """A JSON object about people in a frame of `size` = (height, width), which may be given `times` as large, too.

    Raises UserError for none, and Refused.
    """
    # Two people of 4 bytes a pixel, with a large frame of 3 each, in base64, and the joints of a film.
    limit = (11 + 8 * times**2) * size[0] * size[1] + (1 << 18)
    data = await _body(request, limit, limits.receive_seconds)
    try:
        content = parse_json(data)
    except ValueError as error:
        raise UserError("the request is no JSON; reload the page") from error
    if not isinstance(content, dict):
        raise UserError("the request is no JSON object; reload the page")
    return content


async def _body(request: Request, limit: int, seconds: float) -> bytes:
    """The body of a request. Raises Refused when it is larger than the limit or takes too long."""
    too_much = Refused(413, f"the upload is larger than {limit / (1 << 20):.3g} MiB; make the photo smaller")
    if request.headers.get("content-length", "").isdecimal() and int(request.headers["content-length"]) > limit:
        raise too_much

    async def read() -> bytes:
        data = bytearray()
        async for piece in request.stream():
            data += piece
            if len(data) > limit:
                raise too_much
        return bytes(data)

    try:
        return await asyncio.wait_for(read(), seconds)
    except TimeoutError:
        raise Refused(408, f"the upload took longer than {seconds:g} seconds; try again") from None


def person_of(given: Given, size: Size) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frame uint8 (H, W, 3), regions uint8 (H, W) and joints (18, 2), as `PhotoTransfer.paint` takes them.

    Raises UserError for what is absent, of another size, or no person.
    """
    image = _array(given.get("image"), (*size, 3), "image")
    regions = _array(given.get("regions"), size, "regions")
    regions_lib.check_labels(regions, "regions")
    return image, regions, joints_of(given.get("joints"), "joints")


def large_of(given: Given, size: Size, times: int) -> np.ndarray | None:
    """The large frame uint8 (kH, kW, 3), k = `times`, or None. Raises UserError for one of another size."""
    large = given.get("large")
    return None if large is None else _array(large, (times * size[0], times * size[1], 3), "large")


def style_of(given: Given, size: Size, times: int) -> dict[str, np.ndarray | None] | None:
    """What `PhotoTransfer.paint` takes as a style: another person, and how far each region is taken from there.

    Raises UserError for shares outside 0..1, and as `person_of` and `large_of`.
    """
    style = given.get("style")
    if style is None:
        return None
    share = style.get("share") if isinstance(style, dict) else None
    whole = isinstance(share, list) and len(share) == _REGIONS
    if not whole or not all(type(part) in (int, float) and 0 <= part <= 1 for part in share):
        raise UserError(f"style share: give {_REGIONS} numbers from 0 to 1")
    image, regions, joints = person_of(style, size)
    person = {"image": image, "large": large_of(style, size, times), "parsing": regions, "joints": joints}
    return {**person, "share": np.array(share, np.float32)}


def joints_of(value: Any, where: str) -> np.ndarray:
    """One pose (18, 2). Raises UserError naming `where` for what is none."""
    return poses.check(poses.from_content({"joints": value}, where)[0], where)


def poses_of(given: Given) -> list[np.ndarray] | None:
    """The first poses of a file, each (18, 2), or None when the request holds no file. Raises UserError."""
    return list(poses.from_content(given["file"], "the pose file")[:_KEY_POSES]) if "file" in given else None


def film_formats() -> list[str]:
    """Those of `video.FORMATS` that can be written here."""
    found = []
    for suffix in video.FORMATS:
        with contextlib.suppress(UserError):
            video.check(suffix, video.FPS, "the film")
            found.append(suffix)
    return found


def film_of(given: Given, onto: np.ndarray, size: Size, limits: Limits) -> tuple[np.ndarray, str, int]:
    """The target poses (frames, 18, 2) of a film for the person with joints `onto`, its suffix, pictures a second.

    Raises UserError for an unknown film, a format or pace that cannot be written, for no poses, and for more frames
    than the limit.
    """
    frames, suffix, fps = given.get("frames", video.FRAMES), f".{given.get('format')}", given.get("fps", video.FPS)
    if type(frames) is not int or not 2 <= frames <= limits.frames:
        raise UserError(f"frames: {frames!r}; give a whole number from 2 to {limits.frames}")
    if suffix not in video.FORMATS:
        raise UserError(f"format: {suffix[1:]!r}; choose one of {', '.join(name[1:] for name in video.FORMATS)}")
    if type(fps) is not int:
        raise UserError(f"fps: {fps!r}; give a whole number")
    video.check(suffix, fps, "the film")
    if isinstance(name := given.get("film"), str):
        if name not in poses.film_names():
            raise UserError(f"film: {name!r}; choose one of {', '.join(poses.film_names())}")
        return video.targets(name, onto, size, frames), suffix, fps
    listed = given.get("poses")
    if not isinstance(listed, list) or not 2 <= len(listed) <= _KEY_POSES:
        raise UserError(f"poses: give a list of 2 to {_KEY_POSES} poses, or the name of a film")
    keys = np.stack([joints_of(pose, f"pose {index}") for index, pose in enumerate(listed)])
    return in_between.in_between(keys, frames, closed=given.get("loop") is True), suffix, fps


def _array(text: Any, shape: tuple[int, ...], where: str) -> np.ndarray:
    try:
        data = base64.b64decode(text, validate=True)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: is no base64 text; reload the page") from error
    if len(data) != np.prod(shape):
        raise UserError(f"{where}: holds {len(data)} bytes, expected {np.prod(shape)} of {shape}; reload the page")
    return np.frombuffer(data, np.uint8).reshape(shape)


def text_of(array: np.ndarray) -> str:
    """The bytes of an array as base64, the way requests and answers hold pictures and maps."""
    return base64.b64encode(np.ascontiguousarray(array, np.uint8)).decode()

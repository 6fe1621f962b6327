"""The page: drop a photo, choose or drag a pose, see the person in it. `--mode serve`; the extra `web`.

The server keeps nothing: every request brings the person (frame, regions, joints) with it, and answers go nowhere else.
It listens on the loopback interface, answers to the names of this machine only, and refuses what other sites send.
"""

import asyncio
import contextlib
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from importlib import resources
from typing import Any

import numpy as np
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from scrn_jax.errors import UserError, first_line
from scrn_jax.inference import poses, video
from scrn_jax.inference.page import web_requests
from scrn_jax.inference.page.guard import Guard, is_loopback
from scrn_jax.inference.page.web_requests import Limits, Refused, text_of
from scrn_jax.inference.photo import PhotoTransfer, encode_png
from scrn_jax.inference.transfer import LARGE
from scrn_jax.person import joints as joints_lib
from scrn_jax.person import regions as regions_lib

log = logging.getLogger(__name__)

_TYPES = {
    ".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml", ".jpg": "image/jpeg",
}  # fmt: skip
_NAMES = (
    "index.html", "page.css", "icon.svg", "example.jpg", "page.js", "person.js", "skeleton.js", "painter.js",
    "clothes.js", "film.js", "server.js",
)  # fmt: skip
FILES = {name: _TYPES[name[name.rindex(".") :]] for name in _NAMES}
FILM_TYPES = {
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".png": "image/apng",
    ".mp4": "video/mp4",
}


class Service:
    """What the page asks for, one thing at a time in a thread of its own."""

    def __init__(self, transfer: PhotoTransfer, limits: Limits):
        self.transfer, self.limits = transfer, limits
        self.ready, self.problem = False, None
        self._worker, self._behind = ThreadPoolExecutor(1, "paint"), ThreadPoolExecutor(1, "warm")
        self._places, self._closed = threading.Semaphore(limits.waiting), threading.Event()

    async def do(self, request: Request, function: Callable[[threading.Event], Any], mend: str = "try again") -> Any:
        """The function's result. It is given an event that is set once nobody waits for it any more.

        Raises Refused when too many wait or it takes too long, saying how to `mend` that, ClientDisconnect when the
        client hangs up, and UserError as the function does.
        """
        if not self._places.acquire(blocking=False):
            raise Refused(503, "too many requests are waiting; try again in a moment")
        stop = threading.Event()
        job = self._worker.submit(function, stop)
        job.add_done_callback(lambda _: self._places.release())
        answer, gone = asyncio.wrap_future(job), asyncio.ensure_future(_hung_up(request))
        try:
            seconds = self.limits.answer_seconds
            await asyncio.wait((answer, gone), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            if gone.done():
                raise ClientDisconnect
            raise Refused(504, f"took longer than {seconds:g} seconds; {mend}")
        finally:
            stop.set()
            answer.cancel()  # and the job, if it still waits
            gone.cancel()

    def warm_up(self) -> None:
        """Begin, in the background, to compile and load all that a visitor will use, on the example's picture.

        Ready as soon as a picture can be painted; clothes and films follow in a thread of their own, so that nobody
        waits for what is compiled meanwhile.
        """
        self._worker.submit(self._warm_up, time.monotonic())

    def _warm_up(self, started: float) -> None:
        try:
            person = self.transfer.estimate(page_file("example.jpg"))
            parts = person.image, person.regions_HxW, person.joints_Jx2
            self.paint(parts, person.joints_Jx2[None], None, person.large, self._closed)
        except UserError as error:
            self.problem = str(error)
            log.error("the page cannot be used: %s", error)
        except Exception as error:  # whatever an estimator or a model of somebody's own raises
            self.problem = f"the page cannot be used ({first_line(error)}); see the server's log"
            log.exception("the page cannot be used")
        self.ready = True
        log.info("ready after %.1f s", time.monotonic() - started)
        if self.problem is None:
            style = {"image": parts[0], "parsing": parts[1], "joints": parts[2], "share": np.zeros(8, np.float32)}
            for pictures, worn in ((1, style), (LARGE, None), (LARGE, style)):
                targets = np.repeat(person.joints_Jx2[None], pictures, 0)
                with contextlib.suppress(RuntimeError):  # it is being closed
                    self._behind.submit(self.paint, parts, targets, worn, None, self._closed)

    def paint(
        self, person: tuple[np.ndarray, ...], targets: np.ndarray, style, large, stop: threading.Event
    ) -> np.ndarray:
        """`PhotoTransfer.paint` by a few pictures at a time, given up with a CancelledError once `stop` is set.

        It has two programs for any number of pictures: `warm_up` compiles both.
        """
        painted = []
        for at in range(0, len(targets), LARGE):
            painted.append(self.transfer.paint(*person, targets[at : at + LARGE], style, large))
            if stop.is_set():
                raise CancelledError
        return np.concatenate(painted)

    def close(self) -> None:
        """Give the threads back."""
        self._closed.set()
        for threads in (self._worker, self._behind):
            threads.shutdown(wait=False, cancel_futures=True)


async def _hung_up(request: Request) -> None:
    """Comes back when the client of a request that has been read is gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def page_file(name: str) -> bytes:
    """The bytes of one of FILES."""
    return (resources.files("scrn_jax.inference") / "page" / name).read_bytes()


def make_app(
    transfer: PhotoTransfer, *, hosts: tuple[str, ...] = (), limits: Limits | None = None, warm: bool = True
) -> Starlette:
    """The page as an ASGI application for one model.

    Args:
      transfer: model and estimator.
      hosts: names, beside those of the loopback interface, under which it may be asked for.
      warm: whether to compile everything at the start, in the background.
    """
    service = Service(transfer, limits or Limits())

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        service.ready = not warm
        if warm:
            service.warm_up()
        yield
        service.close()

    def static(name: str) -> Route:
        content = page_file(name)

        async def serve(_: Request) -> Response:
            return Response(content, media_type=FILES[name])

        return Route("/" if name == "index.html" else f"/{name}", serve)

    def answered(path: str, handler: Callable) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                return await handler(service, request)
            except UserError as error:
                return JSONResponse({"error": str(error)}, 400)
            except Refused as error:
                return JSONResponse({"error": str(error)}, error.status)
            except ClientDisconnect:
                return Response(status_code=400)

        return Route(path, endpoint, methods=["GET" if handler in (_model, _ready) else "POST"])

    handlers = {"model": _model, "ready": _ready, "person": _person, "fit": _fit, "paint": _paint, "film": _film}
    routes = [static(name) for name in FILES] + [answered(f"/api/{name}", each) for name, each in handlers.items()]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.add_middleware(Guard, hosts=hosts)
    app.state.service = service
    return app


def serve(transfer: PhotoTransfer, host: str, port: int, hosts: tuple[str, ...] = ()) -> None:
    """Serve the page at an address until it is interrupted; port 0 takes a free one.

    Raises:
      UserError: an address or port that cannot be listened on.
    """
    import uvicorn

    if not is_loopback(host):
        log.warning("%s can be reached from other machines, and whoever reaches it can use it", host)
    named = () if host in ("0.0.0.0", "::") else (host,)
    listener = _listen(host, port)
    address = f"[{host}]" if ":" in host else host
    log.info("open http://%s:%d (Ctrl-C ends it)", address, listener.getsockname()[1])
    config = uvicorn.Config(
        make_app(transfer, hosts=(*hosts, *named)), log_level="warning", access_log=False, server_header=False,
        limit_concurrency=64, timeout_keep_alive=10, timeout_graceful_shutdown=3, lifespan="on", ws="none",
    )  # fmt: skip
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise UserError(
            f"--host {host} --port {port}: cannot be listened on ({error.strerror}); take another"
        ) from error


async def _model(service: Service, _: Request) -> Response:
    """What the page must know of the model and of people."""
    height, width = service.transfer.size
    colours = regions_lib.COLOURS.tolist()
    return JSONResponse({
        "size": [height, width],
        "times": service.transfer.times,
        "joints": joints_lib.NAMES,
        "limbs": joints_lib.LIMBS,
        "mirror": joints_lib.MIRROR.tolist(),
        "regions": [{"name": n, "colour": c} for n, c in zip(regions_lib.NAMES, colours, strict=True)],
        "gallery": [{"name": name, "joints": poses.named(name).tolist()} for name in poses.names()],
        "films": poses.film_names(),
        "formats": [suffix[1:] for suffix in web_requests.film_formats()],
        "photo_bytes": service.limits.photo_bytes,
    })  # fmt: skip


async def _ready(service: Service, _: Request) -> Response:
    return JSONResponse({"ready": service.ready, "error": service.problem})


async def _person(service: Service, request: Request) -> Response:
    """A photo's bytes to the person in the model's frame, `room` times as large as the person needs."""
    room = web_requests.room_of(request)
    data = await web_requests.read_photo(request, service.limits)
    found = await service.do(request, lambda _: service.transfer.estimate(data).with_room(room))
    return JSONResponse({
        "image": text_of(found.image), "large": text_of(found.large), "regions": text_of(found.regions_HxW),
        "joints": found.joints_Jx2.tolist(), "notes": found.notes,
    })  # fmt: skip


async def _fit(service: Service, request: Request) -> Response:
    """Poses of a file, as `poses.from_file` knows them, or the gallery, fitted to a person's joints, and the room that
    each needs for its arms."""
    size = service.transfer.size
    given = await web_requests.read_json(request, size, service.limits)
    onto, found, names = web_requests.joints_of(given.get("onto"), "onto"), web_requests.poses_of(given), None
    if found is None:
        names = poses.names()
        found = [poses.named(name) for name in names]
    # Each for itself: the poses of a file need not be of one film.
    fitted = [poses.retarget(pose, onto, size).tolist() for pose in found]
    rooms = [poses.room_for(pose, onto, size) for pose in found]
    return JSONResponse({"poses": fitted, "rooms": rooms, "names": names})


async def _paint(service: Service, request: Request) -> Response:
    """A person and a target pose to a PNG, as large as the person's large frame if that is given."""
    size, times = service.transfer.size, service.transfer.times
    given = await web_requests.read_json(request, size, service.limits, times)
    person, style = web_requests.person_of(given, size), web_requests.style_of(given, size, times)
    large = web_requests.large_of(given, size, times)
    target = web_requests.joints_of(given.get("target"), "target")
    picture = await service.do(request, lambda stop: service.paint(person, target[None], style, large, stop)[0])
    return Response(encode_png(picture), media_type="image/png")


def _for_film(large: np.ndarray | None, times: int) -> np.ndarray | None:
    """A large frame as films have it, no more than `video.TIMES` the model's."""
    return (
        large
        if large is None or times <= video.TIMES
        else np.asarray(Image.fromarray(large).reduce(times // video.TIMES))
    )


async def _film(service: Service, request: Request) -> Response:
    """A person and a film of the gallery, or a list of target poses, to the film."""
    size, times = service.transfer.size, service.transfer.times
    given = await web_requests.read_json(request, size, service.limits, times)
    person, style = web_requests.person_of(given, size), web_requests.style_of(given, size, times)
    large = web_requests.large_of(given, size, times)
    large = _for_film(large, times)
    if style is not None:
        style["large"] = _for_film(style["large"], times)
    targets, suffix, fps = web_requests.film_of(given, person[2], size, service.limits)

    def make(stop: threading.Event) -> bytes:
        return video.encode(service.paint(person, targets, style, large, stop), suffix, fps)

    made = await service.do(request, make, "take fewer pictures")
    return Response(made, media_type=FILM_TYPES[suffix])

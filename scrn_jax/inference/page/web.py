"""The page: drop a photo, choose or drag a pose, see the person in it. `--mode serve`; the extra `web`.

The server keeps nothing: every request brings the person (frame, regions, joints) with it, and answers go nowhere else.
It listens on the loopback interface, answers to the names of this machine only, and refuses what other sites send.
"""

import contextlib
import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable
from importlib import resources

import numpy as np
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from scrn_jax.errors import UserError
from scrn_jax.inference import poses, video
from scrn_jax.inference.page import web_requests
from scrn_jax.inference.page.guard import Guard, is_loopback
from scrn_jax.inference.page.service import Service
from scrn_jax.inference.page.web_requests import Limits, Refused, text_of
from scrn_jax.inference.photo import PhotoTransfer, encode_png
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
    service = Service(transfer, limits or Limits(), page_file("example.jpg"))

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

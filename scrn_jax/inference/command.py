"""--mode transfer: photos and poses in, pictures or a film out. --mode serve: the page.

Importing this file imports nothing that computes.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

from absl import flags

from scrn_jax.errors import UserError

log = logging.getLogger(__name__)

_FLAGS = flags.FLAGS
MODE, SERVE = "transfer", "serve"
_OWN = ("image", "pose", "model", "sheet", "style", "whole", "enlarge", "poses", "frames", "fps")
_OF_SERVE = ("host", "port", "hosts")


def define_flags() -> None:
    """The flags of --mode transfer; --output is shared with others."""
    flags.DEFINE_list("image", None, "Photos, JPEG or PNG, of one person each.")
    flags.DEFINE_list(
        "pose", None, "Target poses: names of the gallery (`--pose list` lists them), JSON files, or other photos."
    )
    flags.DEFINE_string("model", None, "Folder of an exported model; the one that comes with the package by default.")
    flags.DEFINE_boolean("sheet", False, "One picture of all: each photo, its joints and regions, and its poses.")
    flags.DEFINE_list(
        "style", None,
        "Regions taken from another photo, and how far: upper_clothes=other.jpg or upper_clothes=other.jpg:0.5.",
    )  # fmt: skip
    flags.DEFINE_string(
        "poses", None,
        "A film instead of pictures: walk, turn-around, names of the gallery, a JSON file or a folder of them; "
        "--output film.webp, .gif, .avif, .png or .mp4.",
    )  # fmt: skip
    flags.DEFINE_integer("frames", 32, "Pictures of a film.", lower_bound=1)
    flags.DEFINE_integer("fps", 12, "Pictures of a film in a second.", lower_bound=1)
    flags.DEFINE_string("host", "127.0.0.1", "--mode serve: the address to listen on; the default is this machine's.")
    flags.DEFINE_integer("port", 8765, "--mode serve: the port.", lower_bound=0, upper_bound=65535)
    flags.DEFINE_list("hosts", [], "--mode serve: names, beside this machine's own, by which the page is asked for.")
    flags.DEFINE_integer(
        "enlarge", None,
        "How many times as large as the model's frame pictures are, with the photo's own detail; 1 leaves them as they "
        "are painted. By default pictures have 512 rows, and films twice the model's frame.",
        lower_bound=1, upper_bound=8,
    )  # fmt: skip
    flags.DEFINE_boolean("whole", False, "Put the person back into the photo, with its size.")


def is_asked_for() -> bool:
    """Whether --mode transfer or serve is. Raises UserError for their flags in another mode."""
    for_page = [name for name in _OF_SERVE if _FLAGS[name].present]
    if for_page and _FLAGS.mode != SERVE:
        raise UserError(f"--{for_page[0]} belongs to --mode serve; give --mode serve with it")
    if _FLAGS.mode == MODE:
        return True
    given = [name for name in _OWN if _FLAGS[name].present]
    if _FLAGS.mode == SERVE and not set(given) - {"model"}:
        return True
    if given and not (given == ["model"] and _FLAGS.mode == "export"):
        raise UserError(f"--{given[0]} belongs to --mode transfer; give --mode transfer with it")
    return False


def run() -> None:
    """Makes the pictures that the flags ask for, and logs a line for each; or serves the page. Raises UserError."""
    if _FLAGS.mode == SERVE:
        return serve()
    if _FLAGS.pose == ["list"]:
        from scrn_jax.inference import poses

        print("\n".join(poses.names()))
        return
    if not _FLAGS.image:
        raise UserError("--image is not set; give a photo, e.g. --image me.jpg")
    if _FLAGS.poses is not None:
        return film()
    if not _FLAGS.pose:
        raise UserError("--pose is not set; give a pose, e.g. --pose walking (--pose list lists them)")
    if _FLAGS.output is None:
        raise UserError("--output is not set; give a PNG, or a folder for several pictures")
    styles = parse_styles(_FLAGS.style or [])
    output = Path(_FLAGS.output).expanduser()
    images = [str(Path(image).expanduser()) for image in _FLAGS.image]
    is_single = _FLAGS.sheet or (len(images) == 1 and len(_FLAGS.pose) == 1 and output.suffix)
    if is_single and output.suffix.lower() != ".png":
        raise UserError(f"--output {output}: pictures are written as PNG; name it so")
    if not is_single and output.suffix:
        raise UserError(f"--output {output}: several pictures need a folder; or give --sheet for one picture of all")
    from scrn_jax.inference.photo import PhotoTransfer
    from scrn_jax.inference.transfer import SINGLES
    from scrn_jax.runtime import devices

    _look_first(images, styles)
    devices.keep_programs(devices.AUTO, least_seconds=0.3)
    transfer = PhotoTransfer.load(_FLAGS.model, times=_FLAGS.enlarge)
    if not styles and len(_FLAGS.pose) <= SINGLES:
        transfer.begin()
    written = sheets(transfer, images, styles, output) if _FLAGS.sheet else pictures(transfer, images, styles, output)
    for path in written:
        log.info("%s", path)


def _look_first(images: list[str], styles: dict[str, tuple[str, float]]) -> None:
    """Raises UserError for what can be seen to be wrong without a model, before one is loaded."""
    from scrn_jax.inference import photo, poses

    for image in [*images, *(other for other, _ in styles.values())]:
        photo.open_photo(image)
    for region, (_, share) in styles.items():
        photo.check_share(photo.region_named(region), share)
    for wanted in _FLAGS.pose:
        poses.read(str(Path(wanted).expanduser()), photo.open_photo)


def film() -> None:
    """Makes the film that --poses asks for. Raises UserError."""
    if len(_FLAGS.image) > 1 or _FLAGS.pose or _FLAGS.sheet or _FLAGS.whole:
        raise UserError("--poses makes one film of one --image; leave out --pose, --sheet, --whole and other photos")
    if _FLAGS.output is None:
        raise UserError("--output is not set; give the film's name, e.g. --output walk.webp")
    from scrn_jax.inference import video
    from scrn_jax.inference.photo import PhotoTransfer
    from scrn_jax.runtime import devices

    styles, output = parse_styles(_FLAGS.style or []), Path(_FLAGS.output).expanduser()
    video.check(output.suffix.lower(), _FLAGS.fps, f"--output {output}")
    devices.keep_programs(devices.AUTO, least_seconds=0.3)
    transfer = PhotoTransfer.load(_FLAGS.model, times=_FLAGS.enlarge or video.TIMES)
    framed = _estimated(transfer, str(Path(_FLAGS.image[0]).expanduser()))
    pictures = video.film(transfer, framed, _FLAGS.poses, _FLAGS.frames, transfer.style(framed, styles))
    video.write(pictures, output, _FLAGS.fps)
    log.info("%s: %d pictures", output, len(pictures))


def serve() -> None:
    """Serves the page until it is interrupted. Raises UserError."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise UserError(f"the page needs the extra `web` ({error}); pip install 'scrn-jax[web]'") from error
    from scrn_jax.inference import web
    from scrn_jax.inference.photo import PhotoTransfer
    from scrn_jax.runtime import devices

    devices.keep_programs(devices.AUTO, least_seconds=0.3)
    web.serve(PhotoTransfer.load(_FLAGS.model), _FLAGS.host, _FLAGS.port, tuple(_FLAGS.hosts))


def parse_styles(entries: list[str]) -> dict[str, tuple[str, float]]:
    """Region -> (photo, share) of entries REGION=PHOTO or REGION=PHOTO:SHARE. Raises UserError for another form."""
    styles: dict[str, tuple[str, float]] = {}
    for entry in entries:
        region, equals, rest = entry.partition("=")
        photo, colon, amount = rest.rpartition(":")
        try:
            share = float(amount) if colon else 1.0
        except ValueError:
            photo, share = rest, 1.0
        photo = photo if colon and photo else rest
        if not equals or not region or not photo:
            raise UserError(
                f"--style {entry!r}: write REGION=PHOTO or REGION=PHOTO:SHARE, e.g. upper_clothes=other.jpg:0.5"
            )
        if region in styles:
            raise UserError(f"--style names {region} twice; give it once")
        styles[region] = photo, share
    return styles


def pictures(transfer, images: list[str], styles, output: Path) -> Iterator[Path]:
    """Writes a picture for every photo and pose: `output` itself, or PHOTO_POSE.png in it."""
    from scrn_jax.inference import photo

    for image in images:
        framed = _estimated(transfer, image)
        names, wanted = _named_poses(transfer)
        painted = transfer.paint_poses(framed, wanted, transfer.style(framed, styles), _FLAGS.whole)
        for name, picture in zip(names, painted, strict=True):
            path = output if output.suffix else output / f"{Path(image).stem}_{name}.png"
            _write(path, photo.encode_png(picture))
            yield path


def sheets(transfer, images: list[str], styles, output: Path) -> Iterator[Path]:
    """Writes one picture: a row a photo, with what is found on it, then a picture a pose."""
    import numpy as np

    from scrn_jax.inference import photo
    from scrn_jax.person import draw
    from scrn_jax.person import joints as joints_lib

    rows = []
    for image in images:
        framed = _estimated(transfer, image)
        _, wanted = _named_poses(transfer)
        painted, times = transfer.paint_poses(framed, wanted, transfer.style(framed, styles)), transfer.times
        labels = framed.regions_HxW.repeat(times, 0).repeat(times, 1)
        joints, box = joints_lib.move(framed.joints_Jx2, (times, times)), framed.face_box * times
        rows.append(np.concatenate([framed.large, draw.overlay(framed.large, joints, labels, box), *painted], axis=1))
    _write(output, photo.encode_png(np.concatenate(rows)))
    yield output


def _estimated(transfer, image: str):
    framed = transfer.estimate(image)
    for note in framed.notes:
        log.info("%s: %s", image, note)
    return framed


def _named_poses(transfer):
    """Names for files and the poses; a file with several poses has its number in the name."""
    names, poses = [], []
    for wanted in _FLAGS.pose:
        found = transfer.read(str(Path(wanted).expanduser()))
        names += [f"{Path(wanted).stem}{f'_{k}' if len(found) > 1 else ''}" for k in range(len(found))]
        poses += found
    return names, poses


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise UserError(f"--output {path}: cannot be written ({error.strerror}); give another place") from error

"""--mode transfer: photos and poses in, pictures or a film out. --mode serve: the page.

Importing this file imports nothing that computes.
"""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from absl import flags

from scrn_jax.errors import UserError
from scrn_jax.runtime import console, files

log = logging.getLogger(__name__)

_FLAGS = flags.FLAGS
MODE, SERVE = "transfer", "serve"
_OWN = ("image", "pose", "model", "sheet", "style", "whole", "enlarge", "poses", "frames", "fps")
_OF_SERVE = ("host", "port", "hosts")
_OF_FILMS = ("frames", "fps")


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
    """Whether --mode transfer or serve is.

    Raises:
      UserError: their flags in another mode, or another mode's with them.
    """
    mode, given = _FLAGS.mode, console.given_flags()
    if mode in (MODE, SERVE):
        used = {"mode", "output", *_OWN} if mode == MODE else {"mode", "model", *_OF_SERVE}
        _refuse_unused(sorted(given - used), mode)
        return True
    own = [name for name in (*_OF_SERVE, *_OWN) if name in given and (name, mode) != ("model", "export")]
    if own:
        wanted = SERVE if own[0] in _OF_SERVE else MODE
        raise UserError(f"--{own[0]} belongs to --mode {wanted}; give --mode {wanted} with it")
    return False


def _refuse_unused(unused: list[str], mode: str) -> None:
    if unused and unused[0] in ("config", "workdir"):
        mend = "export a run (--mode export --workdir RUN --output MODEL) and give --model MODEL"
        raise UserError(f"--{unused[0]} is not read by --mode {mode}: {mend}")
    if unused:
        raise UserError(f"--{unused[0]} says nothing to --mode {mode}; leave it out")


def run() -> None:
    """Makes the pictures that the flags ask for, and logs a line for each; or serves the page. Raises UserError."""
    if _FLAGS.model == "":
        raise UserError("--model is empty; give the folder of an exported model, or leave it out")
    if _FLAGS.mode == SERVE:
        return serve()
    if _FLAGS.pose == ["list"]:
        from scrn_jax.inference import poses

        print("\n".join(poses.names()))
        return
    if not _FLAGS.image:
        raise UserError("--image is not set; give a photo, e.g. --image me.jpg")
    return stills() if _FLAGS.poses is None else film()


def stills() -> None:
    """Makes the pictures of --image and --pose. Raises UserError."""
    if of_films := [name for name in _OF_FILMS if _FLAGS[name].present]:
        raise UserError(f"--{of_films[0]} is of films; give --poses with it, or leave it out")
    if not _FLAGS.pose:
        raise UserError("--pose is not set; give a pose, e.g. --pose walking (--pose list lists them)")
    if _FLAGS.output is None:
        raise UserError("--output is not set; give a PNG, or a folder for several pictures")
    if _FLAGS.sheet and _FLAGS.whole:
        raise UserError("--sheet shows the model's frames, --whole puts them back into the photo; give one of them")
    styles, output = parse_styles(_FLAGS.style or []), _path(_FLAGS.output)
    if (_FLAGS.sheet or output.suffix) and output.suffix.lower() != ".png":
        raise UserError(f"--output {output}: pictures are written as PNG; name it so")
    images = [str(_path(image)) for image in _FLAGS.image]
    if twice := [image for image in images if images.count(image) > 1]:
        raise UserError(f"--image names {twice[0]} twice; give it once")
    _look_at_photos(images, styles)
    names = _pose_names()
    paths = _paths(images, names, output)
    from scrn_jax.inference.photo import PhotoTransfer
    from scrn_jax.inference.transfer import SINGLES
    from scrn_jax.runtime import devices

    devices.keep_programs(devices.AUTO, least_seconds=0.3)
    transfer = PhotoTransfer.load(_FLAGS.model, times=_FLAGS.enlarge)
    if not styles and len(names) <= SINGLES:
        transfer.begin()
    wanted = [pose for name in _FLAGS.pose for pose in transfer.read(str(_path(name)))]
    written = sheets if _FLAGS.sheet else pictures
    for path in written(transfer, paths, wanted, styles):
        log.info("%s", path)


def _path(given: str) -> Path:
    """A path with ~ for somebody's home; Path's own way there raises RuntimeError for somebody unknown."""
    return Path(os.path.expanduser(given))


def _look_at_photos(images: list[str], styles: dict[str, tuple[str, float]]) -> None:
    """Raises UserError for what can be seen to be wrong without a model, before one is loaded."""
    from scrn_jax.inference import photo

    for image in [*images, *(other for other, _ in styles.values())]:
        photo.open_photo(image)
    for region, (_, share) in styles.items():
        photo.check_share(photo.region_named(region), share)


def _pose_names() -> list[str]:
    """A name for each pose of --pose; those of a file with several have their number in it. Raises UserError."""
    from scrn_jax.inference import photo, poses

    names = []
    for wanted in _FLAGS.pose:
        count = len(poses.read(str(_path(wanted)), photo.open_photo))
        names += [Path(wanted).stem + (f"_{number}" if count > 1 else "") for number in range(count)]
    return names


def _paths(images: list[str], poses: list[str], output: Path) -> dict[str, list[Path]]:
    """Where each photo's pictures go: `output` itself, or PHOTO_POSE.png in it, one a pose; of a sheet all the same.

    Raises UserError for several pictures of one name, and for a place that cannot be written.
    """
    if _FLAGS.sheet or output.suffix:
        if not _FLAGS.sheet and len(images) * len(poses) > 1:
            raise UserError(
                f"--output {output}: several pictures need a folder; or give --sheet for one picture of all"
            )
        paths = {image: [output] * len(poses) for image in images}
    else:
        paths = {image: [output / f"{Path(image).stem}_{pose}.png" for pose in poses] for image in images}
        every = [path for some in paths.values() for path in some]
        if twice := [path for path in every if every.count(path) > 1]:
            raise UserError(f"--output {output}: two pictures would be {twice[0]}; rename a photo or a pose")
    files.check_writable(next(iter(paths.values()))[0])
    return paths


def film() -> None:
    """Makes the film that --poses asks for. Raises UserError."""
    if len(_FLAGS.image) > 1 or _FLAGS.pose or _FLAGS.sheet or _FLAGS.whole:
        raise UserError("--poses makes one film of one --image; leave out --pose, --sheet, --whole and other photos")
    if _FLAGS.output is None:
        raise UserError("--output is not set; give the film's name, e.g. --output walk.webp")
    from scrn_jax.inference import video
    from scrn_jax.inference.photo import PhotoTransfer
    from scrn_jax.runtime import devices

    styles, output = parse_styles(_FLAGS.style or []), _path(_FLAGS.output)
    image = str(_path(_FLAGS.image[0]))
    video.check(output.suffix.lower(), _FLAGS.fps, f"--output {output}")
    video.sequence(_FLAGS.poses)
    files.check_writable(output)
    _look_at_photos([image], styles)
    devices.keep_programs(devices.AUTO, least_seconds=0.3)
    transfer = PhotoTransfer.load(_FLAGS.model, times=_FLAGS.enlarge or video.TIMES)
    framed = _estimated(transfer, image)
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
    from scrn_jax.inference.page import web
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


def pictures(transfer, paths: dict[str, list[Path]], wanted, styles) -> Iterator[Path]:
    """Writes a picture for every photo and each pose (18, 2) of `wanted`, and says where.

    Raises UserError, of several photos after the last: one in which nobody is found does not keep others waiting.
    """
    refused = []
    for image, places in paths.items():
        try:
            framed = _estimated(transfer, image)
            painted = transfer.paint_poses(framed, wanted, transfer.style(framed, styles), _FLAGS.whole)
        except UserError as error:
            refused.append(error)
            continue
        for path, picture in zip(places, painted, strict=True):
            _write(path, picture)
            yield path
    if refused:
        of_several = f"{len(refused)} of {len(paths)} photos give no picture: " if len(paths) > 1 else ""
        raise UserError(of_several + "; ".join(map(str, refused)))


def sheets(transfer, paths: dict[str, list[Path]], wanted, styles) -> Iterator[Path]:
    """Writes one picture: a row a photo, with what is found on it, then a picture a pose."""
    import numpy as np

    from scrn_jax.person import draw
    from scrn_jax.person import joints as joints_lib

    rows = []
    for image in paths:
        framed = _estimated(transfer, image)
        painted, times = transfer.paint_poses(framed, wanted, transfer.style(framed, styles)), transfer.times
        labels = framed.regions_HxW.repeat(times, 0).repeat(times, 1)
        joints, box = joints_lib.move(framed.joints_Jx2, (times, times)), framed.face_box * times
        rows.append(np.concatenate([framed.large, draw.overlay(framed.large, joints, labels, box), *painted], axis=1))
    path = next(iter(paths.values()))[0]
    _write(path, np.concatenate(rows))
    yield path


def _estimated(transfer, image: str):
    framed = transfer.estimate(image)
    for note in framed.notes:
        log.info("%s: %s", image, note)
    return framed


def _write(path: Path, picture) -> None:
    from scrn_jax.inference import photo

    with files.written_whole(path) as temporary:
        temporary.write_bytes(photo.encode_png(picture))

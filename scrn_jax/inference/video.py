"""A person along a sequence of poses, as a film: GIF, WebP, AVIF, animated PNG, or MP4 with the extra `video`."""

import io
import os
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image, features

from scrn_jax.errors import UserError
from scrn_jax.inference import poses
from scrn_jax.inference.framed import Framed
from scrn_jax.inference.in_between import in_between
from scrn_jax.inference.photo import PhotoTransfer
from scrn_jax.runtime.files import read_json

FORMATS = (".gif", ".webp", ".avif", ".png", ".mp4")
FRAMES, FPS = 32, 12
TIMES = 2  # the model's frame: larger films take long to encode
MOST_FPS = 60
# GIF counts hundredths of a second, in milliseconds here; what stays for less than two, browsers show for ten.
_GIF_UNIT, _GIF_MOST_FPS = 10, 50
# Longer sequences are no key poses any more; and every file costs a look.
_MOST_FILES = 4096
_MP4_SECONDS = 300


def sequence(source: str | Path) -> tuple[np.ndarray, bool]:
    """Key poses float32 (K, 18, 2) in one unit, and whether they are a loop.

    Args:
      source: a film of the gallery (`walk`, `turn-around`); names of its poses, separated by commas; a JSON file of
        poses (`poses.from_file`); or a folder of such files, in the order of their names, hidden ones aside.

    Raises:
      UserError: none of these, or nothing in it.
    """
    name = str(source)
    if name in poses.film_names():
        return poses.film(name), True
    parts = [part.strip() for part in name.split(",")]
    if all(part in poses.names() for part in parts):
        return np.stack([poses.named(part) for part in parts]), False
    path = Path(os.path.expanduser(source))  # Path's methods raise for unknown users and names that no file can have
    if os.path.isdir(path):
        files = sorted(file for file in path.glob("*.json") if not file.name.startswith("."))
        if not files:
            raise UserError(f"--poses {path}: holds no .json; give one file of joints per pose, named in their order")
        if len(files) > _MOST_FILES:
            raise UserError(f"--poses {path}: {len(files)} files, at most {_MOST_FILES} are read; take fewer")
        return np.concatenate([poses.from_file(file) for file in files]), False
    if not os.path.exists(path):
        films = ", ".join(poses.film_names())
        raise UserError(f"--poses {name}: no such folder or file, and no film of the gallery ({films}); check the path")
    return poses.from_file(path), _says_loop(path)


def _says_loop(path: Path) -> bool:
    """Whether a file of poses says that the last leads to the first: {"poses": [...], "loop": true}."""
    content = read_json(path)
    return isinstance(content, dict) and content.get("loop") is True


def film(transfer: PhotoTransfer, person: Framed, source: str | Path, frames: int = FRAMES, style=None) -> np.ndarray:
    """The person along a `sequence`: uint8 (frames, kH, kW, 3), `transfer.times` the frame. Raises UserError.

    `style` as `PhotoTransfer.paint` takes it.
    """
    person = person.with_room(poses.room_for(sequence(source)[0], person.joints_Jx2, transfer.size))
    along = targets(source, person.joints_Jx2, transfer.size, frames)
    return transfer.paint_framed(person, along, style)


def targets(source: str | Path, onto: np.ndarray, size: tuple[int, int], frames: int = FRAMES) -> np.ndarray:
    """The poses of a film, float32 (frames, 18, 2), fitted to the person with joints `onto` in a frame of `size`.

    Raises UserError as `sequence` and `in_between`.
    """
    keys, closed = sequence(source)
    # In between first: what leaves the frame becomes missing when it is fitted.
    return poses.retarget(in_between(keys, frames, closed), onto, size)


def flicker(pictures_NxHxWx3: np.ndarray) -> float:
    """Mean absolute difference of neighbouring pictures, of 255. Motion is part of it: compare with a true film's."""
    pictures = np.asarray(pictures_NxHxWx3, np.float32)
    return float(np.abs(np.diff(pictures, axis=0)).mean()) if len(pictures) > 1 else 0.0


def write(pictures_NxHxWx3: np.ndarray, path: Path, fps: int = FPS) -> None:
    """Write pictures uint8 as the film `path`, whole or not at all; its suffix says the format.

    Raises:
      UserError: another suffix, a library that lacks the format, or a place that cannot be written.
    """
    data = encode(pictures_NxHxWx3, path.suffix.lower(), fps, str(path))
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(data)
        os.replace(unfinished, path)
    except OSError as error:
        raise UserError(f"--output {path} cannot be written ({error.strerror}); give another place") from error
    finally:
        unfinished.unlink(missing_ok=True)


def encode(pictures_NxHxWx3: np.ndarray, suffix: str, fps: int = FPS, where: str = "the film") -> bytes:
    """The bytes of a film that repeats, from pictures uint8 (N, H, W, 3), in one of FORMATS.

    GIF counts hundredths of a second, which keep the pace on the whole, and shares 256 colours among all pictures. MP4
    is H.264, which does not repeat by itself. Raises UserError naming `where` as `write` does.
    """
    check(suffix, fps, where)
    pictures = np.ascontiguousarray(pictures_NxHxWx3)
    if suffix == ".mp4":
        return _mp4(pictures, fps, where)
    images = [Image.fromarray(picture) for picture in pictures]
    options = {
        ".webp": {"quality": 90, "method": 4}, ".avif": {"quality": 80}, ".gif": {"disposal": 1, "optimize": False},
    }  # fmt: skip
    if suffix == ".gif":
        images = _with_one_palette(images, pictures)
    stream = io.BytesIO()
    images[0].save(
        stream, suffix[1:], save_all=True, append_images=images[1:], loop=0,
        duration=_durations(len(images), fps, _GIF_UNIT if suffix == ".gif" else 1), **options.get(suffix, {}),
    )  # fmt: skip
    return stream.getvalue()


def _durations(count: int, fps: int, unit: int) -> list[int]:
    """How long each of so many pictures stays, in milliseconds, whole units each: their sum keeps up with the pace."""
    ends = unit * np.rint(np.arange(count + 1) * 1000 / (fps * unit)).astype(int)
    return np.diff(ends).tolist()


def check(suffix: str, fps: int, where: str) -> None:
    """Raises UserError naming `where` unless films of this suffix and pace can be written here: before any is made."""
    if suffix not in FORMATS:
        raise UserError(f"{where}: a film is one of {', '.join(FORMATS)}, not {suffix or 'a name without a suffix'}")
    if not 1 <= fps <= MOST_FPS:
        raise UserError(f"{where}: {fps} pictures a second; give 1 to {MOST_FPS}")
    if suffix == ".gif" and fps > _GIF_MOST_FPS:
        most = f"GIF shows {_GIF_MOST_FPS} at most"
        raise UserError(f"{where}: {fps} pictures a second, {most}; give fewer, or take .webp or .mp4")
    name = suffix[1:]
    if name in ("webp", "avif") and not features.check(name):
        raise UserError(f"{where}: Pillow was built without {name.upper()} here; take .gif or .png, or install it anew")
    if suffix == ".mp4":
        _ffmpeg(where)


def _ffmpeg(where: str) -> str:
    """The program. Raises UserError naming `where` when it is not there."""
    try:
        import imageio_ffmpeg

        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:  # the latter of a wheel without the program
        raise UserError(
            f"{where}: MP4 needs the extra `video` (pip install 'scrn-jax[video]'); or take .webp"
        ) from error


def _with_one_palette(images: list[Image.Image], pictures: np.ndarray) -> list[Image.Image]:
    """All pictures in the same 256 colours: palettes of their own would flicker on even ground."""
    tall = Image.fromarray(pictures.reshape(-1, *pictures.shape[2:]))
    palette = tall.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    return [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]


def _mp4(pictures: np.ndarray, fps: int, where: str) -> bytes:
    """Through pipes, so that nothing of a film touches the disk; in fragments, as a pipe cannot be gone back in."""
    # H.264's colours have half the resolution, so that its sides are even.
    rows, columns = (side % 2 for side in pictures.shape[1:3])
    pictures = np.pad(pictures, ((0, 0), (0, rows), (0, columns), (0, 0)), "edge")
    height, width = pictures.shape[1:3]
    command = [
        _ffmpeg(where), "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24",
        "-s", f"{width}x{height}", "-r", str(fps), "-i", "pipe:0", "-c:v", "libx264", "-crf", "16",
        "-pix_fmt", "yuv420p",
        "-movflags", "frag_keyframe+empty_moov", "-f", "mp4", "pipe:1",
    ]  # fmt: skip
    try:
        # close_fds=False lets Python spawn it without a fork, which JAX's threads do not go with.
        done = subprocess.run(
            command, input=pictures.tobytes(), capture_output=True, timeout=_MP4_SECONDS, close_fds=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"{where}: ffmpeg could not write MP4 ({error}); take .webp") from error
    if done.returncode or not done.stdout:
        reason = (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"])[-1][:200]
        raise UserError(f"{where}: ffmpeg could not write MP4 ({reason}); take .webp")
    return done.stdout

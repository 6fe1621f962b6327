"""A photo of a person to pictures of that person in other poses.

pictures = PhotoTransfer.load()("me.jpg", ["walking", "arms-up"])
"""

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from scrn_jax.errors import UserError
from scrn_jax.inference import estimators, framing, poses
from scrn_jax.inference.estimators import Estimator, Person
from scrn_jax.person import joints as joints_lib
from scrn_jax.person.image_files import DAMAGE, in_turn, open_image
from scrn_jax.runtime.files import read_bytes
from scrn_jax.transfer import PoseTransfer

# A photo with fewer pixels a side shows nobody; estimators see photos of at most so many.
LEAST_SIDE, SEEN_SIDE = 32, 1024
_PICTURES = (".jpg", ".jpeg", ".png")

Photo = str | Path | bytes | np.ndarray | Image.Image
Pose = str | Path | np.ndarray


@dataclasses.dataclass(frozen=True)
class Framed(Person):
    """A person in the model's frame: the fields of `Person` there, and where the frame comes from.

    image: uint8 (H, W, 3), the frame; window: its place in the photo; photo: the whole photo, uint8 (rows, columns, 3).
    """

    image: np.ndarray = dataclasses.field(kw_only=True)
    window: framing.Window = dataclasses.field(kw_only=True)
    photo: np.ndarray = dataclasses.field(kw_only=True, repr=False)


def open_photo(photo: Photo, where: str | None = None) -> np.ndarray:
    """A photo as uint8 RGB (H, W, 3): a JPEG or PNG file or its bytes, a Pillow picture, or an array.

    Files are turned as their EXIF says; transparent pixels become white; grey, palettes, CMYK and 16 bits become RGB of
    8. Arrays are uint8, or floating point in 0..1 or -1..1, grey (H, W) or with 1, 3 or 4 channels. `where` names the
    photo in errors.

    Raises:
      UserError: no such file, none of these kinds, damaged, an animation, too large or too small.
    """
    if isinstance(photo, np.ndarray):
        picture, where = _from_array(photo, where or "the photo"), where or "the photo"
    elif isinstance(photo, Image.Image):
        picture, where = photo, where or "the photo"
    else:
        data = photo if isinstance(photo, bytes) else read_bytes(photo, mend="give the path of a JPEG or PNG")
        where = where or ("the photo" if isinstance(photo, bytes) else str(photo))
        header, opened = open_image(data, where)
        with in_turn(header):
            picture = _decoded(opened, where)
    picture = _rgb(picture)
    if min(picture.size) < LEAST_SIDE:
        raise UserError(
            f"{where}: {picture.width} x {picture.height} pixels, at least {LEAST_SIDE} a side show a person"
        )
    return np.asarray(picture)


def _decoded(picture: Image.Image, where: str) -> Image.Image:
    """The pixels, upright."""
    try:
        picture.load()
        return ImageOps.exif_transpose(picture)
    except DAMAGE as error:
        raise UserError(f"{where}: truncated or damaged ({error}); replace the file") from error


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I") or picture.mode == "F":
        # 16 bits of grey; Pillow's own conversion clips at 255.
        picture = Image.fromarray((np.clip(np.asarray(picture, np.float64), 0, 65535) / 257).round().astype(np.uint8))
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _from_array(array: np.ndarray, where: str) -> Image.Image:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or not array.size:
        raise UserError(f"{where}: has the shape {array.shape}; a photo is (H, W, 3), (H, W, 4) or (H, W)")
    if array.dtype.kind == "f":
        low, high = array.min(), array.max()
        if not (low >= -1 and high <= 1):  # NaN fails, too
            raise UserError(f"{where}: has values from {low} to {high}; give uint8, or numbers in 0..1 or -1..1")
        array = np.round(255 * array if low >= 0 else 127.5 * (array + 1)).astype(np.uint8)
    if array.dtype != np.uint8:
        raise UserError(f"{where}: holds {array.dtype}; give uint8, or floating point in 0..1 or -1..1")
    return Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array)


class PhotoTransfer:
    """A model and an estimator: photos in, people in other poses out.

    Attributes:
      size: (height, width) of the model's frame, in which pictures come.
    """

    def __init__(self, transfer: PoseTransfer, estimator: Estimator | None = None):
        self._transfer, self._estimator = transfer, estimator
        self.size = transfer.size

    @classmethod
    def load(cls, folder: str | Path | None = None, estimator: Estimator | None = None) -> "PhotoTransfer":
        """The model of an exported folder, or the one that comes with the package. UserError as `PoseTransfer.load`."""
        return cls(PoseTransfer.load(folder) if folder else PoseTransfer.load(), estimator)

    def estimate(self, photo: Photo) -> Framed:
        """The person of a photo, in the model's frame. Raises UserError naming the photo when nobody is found."""
        where = str(photo) if isinstance(photo, str | Path) else "the photo"
        pixels = open_photo(photo)
        seen = _reduced(pixels)
        if self._estimator is None:
            self._estimator = estimators.load()
        try:
            person = self._estimator(seen)
        except UserError as error:
            raise UserError(f"{where}: {error}") from error
        return frame_person(pixels, person, self.size)

    def paint(self, image: np.ndarray, regions: np.ndarray, joints: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """The person in every target pose: uint8 (N, H, W, 3).

        Args:
          image, regions, joints: of a `Framed`, (H, W, 3), (H, W) and (18, 2); mended by hand if need be.
          targets: (N, 18, 2) in the frame's pixels, see `poses.retarget`.
        """
        targets = np.asarray(targets, np.float32)
        many = [np.broadcast_to(array, (len(targets), *np.shape(array))) for array in (image, regions, joints)]
        return self._transfer(*many, targets)

    def targets(self, framed: Framed, wanted: Pose | Sequence[Pose]) -> np.ndarray:
        """Target joints (N, 18, 2) in the frame for one pose or several, fitted to the person.

        A pose is a name of the gallery, a JSON file, another photo, or joints (18, 2) in any unit. Raises UserError.
        """
        single = isinstance(wanted, str | Path) or (isinstance(wanted, np.ndarray) and wanted.ndim == 2)
        found = [pose for one in ([wanted] if single else wanted) for pose in self._poses(one)]
        if not found:
            raise UserError("no pose is given; name one of the gallery (--pose list), or give a file")
        return np.stack([poses.retarget(pose, framed.joints_Jx2, self.size) for pose in found])

    def __call__(self, photo: Photo, pose: Pose | Sequence[Pose]) -> np.ndarray:
        """The person of a photo in one pose, (H, W, 3), or in several, (N, H, W, 3): uint8 in the model's frame."""
        framed = self.estimate(photo)
        pictures = self.paint(framed.image, framed.regions_HxW, framed.joints_Jx2, self.targets(framed, pose))
        single = isinstance(pose, str | Path) or (isinstance(pose, np.ndarray) and pose.ndim == 2)
        return pictures[0] if single and len(pictures) == 1 else pictures

    def _poses(self, wanted: Pose) -> list[np.ndarray]:
        if isinstance(wanted, np.ndarray):
            return [poses.check(wanted, "the target pose")]
        if str(wanted) in poses.names():
            return [poses.named(str(wanted))]
        suffix = Path(wanted).suffix.lower()
        if suffix in _PICTURES:
            return [self.estimate(wanted).joints_Jx2]
        if suffix == ".json" or Path(wanted).exists():
            return list(poses.from_file(wanted))
        return [poses.named(str(wanted))]


def _reduced(pixels: np.ndarray) -> np.ndarray:
    """The photo with at most SEEN_SIDE pixels a side."""
    longest = max(pixels.shape[:2])
    if longest <= SEEN_SIDE:
        return pixels
    size = [max(1, round(side * SEEN_SIDE / longest)) for side in pixels.shape[1::-1]]
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def frame_person(pixels: np.ndarray, person: Person, size: framing.Size) -> Framed:
    """The person found in a photo, or in a smaller copy of it, in a model's frame of `size`."""
    seen = person.mask_HxW.shape
    window = framing.window_around(framing.body_box(person.joints_Jx2, person.mask_HxW), seen, size[1] / size[0])
    down, across = pixels.shape[0] / seen[0], pixels.shape[1] / seen[1]
    whole = framing.Window(window.top * down, window.left * across, window.height * down, window.width * across)
    joints = window.joints_into(person.joints_Jx2, size)
    return Framed(
        joints,
        window.cut(person.mask_HxW.astype(np.float32), size),
        window.cut(person.regions_HxW, size, labels=True),
        joints_lib.face_box_from_joints(joints, *size),
        person.notes,
        image=whole.cut(pixels, size),
        window=whole,
        photo=pixels,
    )


def put_back(framed: Framed, picture: np.ndarray) -> np.ndarray:
    """The photo with a picture of the model's frame in place of what was there: uint8, of the photo's size.

    The frame's edges fade into the photo, so that a person on even ground stays in the picture.
    """
    height, width = picture.shape[:2]
    y, x = (np.minimum(np.arange(n) + 0.5, n - np.arange(n) - 0.5) for n in (height, width))
    fade = np.clip(np.minimum(y[:, None] / height, x[None] / width) / 0.06, 0, 1).astype(np.float32)
    size = framed.photo.shape[:2]
    weight = framed.window.paste(fade, size)[..., None]
    painted = np.stack([framed.window.paste(picture[..., c].astype(np.float32), size) for c in range(3)], -1)
    return np.round(framed.photo * (1 - weight) + painted * weight).astype(np.uint8)


def encode_png(picture: np.ndarray) -> bytes:
    """A picture uint8 (H, W, 3) as the bytes of a PNG."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "png")
    return stream.getvalue()

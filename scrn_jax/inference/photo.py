"""A photo of a person to pictures of that person in other poses.

pictures = PhotoTransfer.load()("me.jpg", ["walking", "arms-up"])
"""

import contextlib
import dataclasses
import io
import numbers
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from scrn_jax.errors import UserError
from scrn_jax.inference import checks, poses
from scrn_jax.inference.finding import estimators, garments
from scrn_jax.inference.finding.estimators import Estimator
from scrn_jax.inference.finishing import compositing, detail
from scrn_jax.inference.framed import Framed, frame_person
from scrn_jax.inference.photo_files import Photo, open_photo, within_bars
from scrn_jax.inference.transfer import PoseTransfer
from scrn_jax.person import joints as joints_lib
from scrn_jax.person import regions as regions_lib
from scrn_jax.runtime import workers

# Estimators see photos of at most so many pixels a side.
SEEN_SIDE = 1024


class PhotoTransfer:
    """A model and an estimator: photos in, people in other poses out.

    Attributes:
      size: (height, width) of the model's frame.
      times: how many times as large pictures are, with the photo's own detail (`finishing.detail`, which says how many
        by default); 1: as the model paints them.
    """

    def __init__(self, transfer: PoseTransfer, estimator: Estimator | None = None, times: int | None = None):
        self._transfer, self._estimator = transfer, estimator
        self.size, self.times = transfer.size, times or detail.times_of(transfer.size[0])
        self._beginning: threading.Thread | None = None

    @classmethod
    def load(
        cls, folder: str | Path | None = None, estimator: Estimator | None = None, times: int | None = None
    ) -> "PhotoTransfer":
        """The model of an exported folder, or the one that comes with the package. UserError as `PoseTransfer.load`."""
        return cls(PoseTransfer.load(folder) if folder else PoseTransfer.load(), estimator, times)

    def begin(self) -> None:
        """Gets the program that paints a picture ready, behind, while a person is found: both take a second or two."""
        self._beginning = threading.Thread(target=self._begin)
        self._beginning.start()

    def _begin(self) -> None:
        image, regions = np.zeros((*self.size, 3), np.uint8), np.zeros(self.size, np.uint8)
        diagonal = np.linspace(1, np.subtract(self.size, 2), joints_lib.NUM_JOINTS, dtype=np.float32)
        with contextlib.suppress(Exception):  # whoever paints meets it again
            self._transfer.paint(image, regions, diagonal, diagonal)

    def estimate(self, photo: Photo) -> Framed:
        """The person of a photo, in the model's frame. Raises UserError naming the photo when nobody is found."""
        where = str(photo) if isinstance(photo, str | Path) else "the photo"
        pixels = open_photo(photo)
        inside = within_bars(pixels)
        seen = _reduced(pixels[inside])
        if self._estimator is None:
            self._estimator = estimators.load()
        try:
            person = self._estimator(seen)
        except UserError as error:
            raise UserError(f"{where}: {error}") from error
        framed = frame_person(pixels[inside], person, self.size, self.times)
        return dataclasses.replace(framed, photo=pixels, inside=inside)

    def paint(
        self, image: np.ndarray, regions: np.ndarray, joints: np.ndarray, targets: np.ndarray, style=None,
        large: np.ndarray | None = None,
    ) -> np.ndarray:  # fmt: skip
        """The person in every target pose: uint8 (N, H, W, 3).

        Args:
          image, regions, joints: of a `Framed`, (H, W, 3), (H, W) and (18, 2); mended by hand if need be.
          targets: (N, 18, 2) in the frame's pixels, see `poses.retarget`.
          style: None, or what `style` gives; without its `large`, the other photo's pattern is the model's.
          large: the frame in k times as many rows and columns; then pictures are as large, with its detail.

        The background stays the source's own, see `compositing`; where the source hid it, it is the model's, if that
        fills it, or else spanned from what lies around.

        Raises:
          UserError: other shapes, types or values.
        """
        targets = checks.pose("targets", targets, None, self.size)
        image, regions = checks.pixels(image, self.size, "image"), checks.parsing(regions, 1, self.size, "regions")[0]
        joints = checks.pose("joints", joints, 1, self.size)[0]
        large = None if large is None else checks.large(large, self.size)
        people = self._people(image, regions, joints, targets, style, large)
        background, hole = compositing.without_person(image, regions)
        if large is not None:
            background = compositing.enlarged(background, hole, large)
        return np.stack([compositing.in_front(*person, background) for person in people])

    def paint_framed(self, framed: Framed, targets: np.ndarray, style=None) -> np.ndarray:
        """`paint` of a photo's person, `times` as large as the frame: uint8 (N, kH, kW, 3)."""
        large = self._large(framed)
        return self.paint(framed.image, framed.regions_HxW, framed.joints_Jx2, targets, style, large)

    def paint_whole(self, framed: Framed, targets: np.ndarray, style=None) -> np.ndarray:
        """`paint_framed` put back into the photo, with its size: uint8 (N, rows, columns, 3)."""
        given = framed.image, framed.regions_HxW
        targets = checks.pose("targets", targets, None, self.size)
        people = self._people(*given, framed.joints_Jx2, targets, style, self._large(framed))
        pictures = np.repeat(framed.photo[None], len(people), axis=0)
        for picture, person in zip(pictures, people, strict=True):
            inside = picture[framed.inside]
            inside[:] = compositing.put_back(inside, framed.window, *given, *person)
        return pictures

    def paint_poses(
        self, framed: Framed, wanted: Sequence[np.ndarray], style=None, whole: bool = False
    ) -> list[np.ndarray]:
        """The person in each of several poses (18, 2) in any unit, see `read`: `paint_framed`, or `paint_whole`.

        Somebody whom the photo cuts off is framed with room for the arms, see `poses.room_for`, pose by pose, by what
        the estimator found: joints and regions mended by hand are for `paint_framed`.
        """
        rooms = [poses.room_for(pose, framed.joints_Jx2, self.size) for pose in wanted]
        pictures: dict[int, np.ndarray] = {}
        for room in sorted(set(rooms)):
            chosen = [index for index, needed in enumerate(rooms) if needed == room]
            stage = framed.with_room(room)
            targets = np.stack([poses.retarget(wanted[index], stage.joints_Jx2, self.size) for index in chosen])
            painted = (self.paint_whole if whole else self.paint_framed)(stage, targets, style)
            pictures.update(zip(chosen, painted, strict=True))
        return [pictures[index] for index in range(len(wanted))]

    def _large(self, framed: Framed) -> np.ndarray | None:
        return framed.large if self.times > 1 else None

    def _people(self, image, regions, joints, targets, style, large) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each target what the model paints, (H, W, 3) up to 255, and how far each pixel is taken, (H, W).

        Both in the size of `large`, if it is given. Taken is the person and what the source hid, if the model fills it.
        """
        targets = np.stack([poses.with_ears(target, joints, regions) for target in targets])
        if self._beginning is not None:
            self._beginning.join()
        regions = garments.with_rims_of_arms(regions, joints)
        hole = compositing.hidden_by(regions) & self._transfer.fills_background
        with ThreadPoolExecutor(workers.cores()) as pool:  # NumPy, Pillow and JAX let go of Python's lock
            source = other = None
            if large is not None:
                source = pool.submit(detail.Source, large, regions, joints)
                if style is not None and style.get("large") is not None:
                    lent = checks.pixels(style["large"], large.shape[:2], "style large")
                    other = pool.submit(detail.Source, lent, style["parsing"], style["joints"])
            painted = self._transfer.paint(image[None], regions[None], joints[None], targets, style)
            source, other = (None if found is None else found.result() for found in (source, other))
            dressed = None if style is None else style["share"]

            def finished(found):
                picture, labels, target = found
                kept = compositing.without_islands(labels, target)
                if source is None:
                    share = compositing.share_of(kept)
                else:
                    picture, share = detail.enlarge(source, picture, kept, target, dressed, other)
                return picture, compositing.with_hidden(share, hole, labels)

            return list(pool.map(finished, zip(*painted, targets, strict=True)))

    def style(self, framed: Framed, styles: Mapping[str, tuple[Photo, float]]) -> Mapping[str, np.ndarray] | None:
        """What `paint` takes, of regions by name, each with a photo and how far it is taken from there, 0 to 1.

        "upper_clothes" and "upper clothes" are one region. All regions come from one photo in one call.

        Raises:
          UserError: an unknown region, one that either photo does not show, several photos, no share from 0 to 1.
        """
        if not styles:
            return None
        for name, chosen in styles.items():
            if not isinstance(chosen, tuple | list) or len(chosen) != 2:
                raise UserError(f"style {name}: is {type(chosen).__name__}; give a photo and a share, (photo, 0.5)")
            check_share(region_named(name), chosen[1])
        if len({str(photo) if isinstance(photo, str | Path) else id(photo) for photo, _ in styles.values()}) > 1:
            raise UserError("styles come from several photos; take one photo a call, and style its result by the next")
        other = self.estimate(next(iter(styles.values()))[0])
        share = np.zeros(regions_lib.NUM_REGIONS, np.float32)
        for name, (photo, amount) in styles.items():
            region = region_named(name)
            for who, shown in (("the photo", framed), (f"{photo}" if isinstance(photo, str | Path) else "it", other)):
                if not (shown.regions_HxW == region).any():
                    raise UserError(f"style {name}: {who} shows no {regions_lib.NAMES[region]}; choose another region")
            share[region] = amount
        lent = {"image": other.image, "large": other.large, "parsing": other.regions_HxW, "joints": other.joints_Jx2}
        return {**lent, "share": share}

    def targets(self, framed: Framed, wanted: poses.Pose | Sequence[poses.Pose]) -> np.ndarray:
        """Target joints (N, 18, 2) in the frame for one pose or several, fitted to the person.

        A pose is a name of the gallery, a JSON file, another photo, or joints (18, 2) in any unit. Raises UserError.
        """
        return np.stack([poses.retarget(pose, framed.joints_Jx2, self.size) for pose in self.read(wanted)])

    def read(self, wanted: poses.Pose | Sequence[poses.Pose]) -> list[np.ndarray]:
        """The poses (18, 2), in units of their own, that one pose or several mean, see `targets`. Raises UserError."""
        found = [pose for one in ([wanted] if _is_single(wanted) else wanted) for pose in poses.read(one, self._joints)]
        if not found:
            raise UserError("no pose is given; name one of the gallery (--pose list), or give a file")
        return found

    def _joints(self, photo: Photo) -> np.ndarray:
        return self.estimate(photo).joints_Jx2

    def __call__(
        self,
        photo: Photo,
        pose: poses.Pose | Sequence[poses.Pose],
        *,
        styles: Mapping[str, tuple[Photo, float]] | None = None,
        whole: bool = False,
    ) -> np.ndarray:
        """The person of a photo in one pose, (kH, kW, 3), or in several, (N, kH, kW, 3): uint8, k = `times`.

        styles: see `style`. whole: put back into the photo, with its size.
        """
        framed = self.estimate(photo)
        wanted, style = self.read(pose), self.style(framed, styles or {})
        pictures = self.paint_poses(framed, wanted, style, whole)
        return pictures[0] if _is_single(pose) and len(pictures) == 1 else np.stack(pictures)


def _is_single(pose: poses.Pose | Sequence[poses.Pose]) -> bool:
    return isinstance(pose, str | Path) or (isinstance(pose, np.ndarray) and pose.ndim == 2)


def check_share(region: int, amount: float) -> None:
    """Raises UserError unless `amount`, how far a region is taken from another photo, is from 0 to 1."""
    if not (isinstance(amount, numbers.Real) and 0 <= amount <= 1):
        raise UserError(f"style {regions_lib.NAMES[region]}: {amount} is no share; give a number from 0 to 1")


def _reduced(pixels: np.ndarray) -> np.ndarray:
    """The photo with at most SEEN_SIDE pixels a side."""
    longest = max(pixels.shape[:2])
    if longest <= SEEN_SIDE:
        return pixels
    size = [max(1, round(side * SEEN_SIDE / longest)) for side in pixels.shape[1::-1]]
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def region_named(name: str) -> int:
    """The number of a region of a person, "upper_clothes" or "upper clothes". Raises UserError for another name."""
    plain = name.strip().lower().replace("_", " ").replace("-", " ")
    if plain not in regions_lib.NAMES[1:]:
        known = ", ".join(known.replace(" ", "_") for known in regions_lib.NAMES[1:])
        raise UserError(f"no region is called {name!r}; choose one of {known}")
    return regions_lib.NAMES.index(plain)


def encode_png(picture: np.ndarray) -> bytes:
    """A picture uint8 (H, W, 3) as the bytes of a PNG."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "png")
    return stream.getvalue()

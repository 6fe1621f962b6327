"""A trained model as a function of arrays: load an exported folder once, call it on any number of people."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.errors import FlaxError

from scrn_jax.errors import UserError, first_line
from scrn_jax.inference import checks, model_folder
from scrn_jax.models import base
from scrn_jax.models.base import DTYPES
from scrn_jax.person import regions
from scrn_jax.runtime import devices as devices_lib

SHIPPED = Path(__file__).parent / "assets" / "people"
# Pictures a device at a time, of which each is a program to compile: what is left of many goes one by one when it is no
# more than SINGLES times the small number, and is padded to the large one otherwise.
SMALL, LARGE, SINGLES = 1, 8, 3
_OF_STYLE = ("image", "parsing", "joints", "share")
MIN_COMPILE_SECONDS = 0.5  # programs that take longer are kept: the small model's takes 3


class PoseTransfer:
    """Paints people in other poses: `PoseTransfer.load(folder)(images, parsing, source_joints, target_joints)`.

    Attributes:
      size: (height, width) in pixels of the images, maps and joints that it takes.
      fills_background: whether what it paints where the source stood continues the source's own background.
    """

    def __init__(self, model: base.TrainableModel, params: Any, mesh: jax.sharding.Mesh):
        replicated, data = devices_lib.replicated(mesh), devices_lib.data(mesh)
        self.size, self.fills_background = model.size, model.fills_background
        self._params, self._mesh, self._photos = params, mesh, None

        def paint(params, batch):
            painted = model.generate(params, batch)
            image = painted["image"]
            # A model that predicts no regions may paint the person anywhere: all of it counts as clothes.
            anywhere = jnp.full(image.shape[:3], regions.NAMES.index("upper clothes"))
            parsing = painted["parsing"].argmax(-1) if "parsing" in painted else anywhere
            return base.to_uint8(image), parsing.astype(jnp.uint8)

        self._paint = jax.jit(paint, in_shardings=(replicated, data), out_shardings=replicated)

    @classmethod
    def load(
        cls,
        folder: str | Path | None = None,
        *,
        dtype: str | None = None,
        devices=None,
        programs: str = devices_lib.AUTO,
    ) -> "PoseTransfer":
        """Load an exported model.

        Args:
          folder: the --output of --mode export; the model that comes with the package by default.
          dtype: "float32" or "bfloat16", what convolutions compute in; the run's own by default.
          devices: JAX devices that share each batch; the first one by default.
          programs: the folder in which compiled programs are kept, so that the next process need not compile them;
            "auto" and "" as in `devices.keep_programs`, which sets it for all that this process computes with JAX.

        Raises:
          UserError: no exported model there, a damaged one, one of another layout, an unknown dtype.
        """
        folder = SHIPPED if folder is None else Path(folder).expanduser()
        if folder == SHIPPED and not model_folder.is_exported(folder):
            raise UserError("no model comes with this version; give the folder of an exported one (--model DIR)")
        settings = model_folder.read_settings(folder)
        if dtype is not None:
            if dtype not in DTYPES:
                raise UserError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
            settings = dataclasses.replace(settings, model=dataclasses.replace(settings.model, dtype=dtype))
        devices_lib.keep_programs(programs, MIN_COMPILE_SECONDS)
        mesh = devices_lib.make_mesh(jax.local_devices()[:1] if devices is None else devices)
        model = base.make(settings)
        return cls(model, model_folder.read_params(folder, model, devices_lib.replicated(mesh), trusting=True), mesh)

    def __call__(self, source_image, source_parsing, source_joints, target_joints) -> np.ndarray:
        """The people of `source_image` in the poses `target_joints`: uint8 (B, H, W, 3).

        Args:
          source_image: (B, H, W, 3), uint8, or floating point in 0..1 (nothing negative) or [-1, 1]; H and W as in
            `size`. Without channels it is grey. A single one may be the path of a JPEG or PNG of that size.
          source_parsing: (B, H, W) whole numbers, regions 0 to 7 of `person.regions.NAMES`; or the path of a PNG.
          source_joints, target_joints: (B, 18, 2), (y, x) in pixels, missing ones (-1, -1) or not a number; those
            outside the frame count as missing.

        All four may come without the B: then the picture does, too. One source takes any number of targets.

        Raises:
          UserError: other shapes, types or values.
        """
        return self.paint(source_image, source_parsing, source_joints, target_joints)[0]

    def paint(self, source_image, source_parsing, source_joints, target_joints, style=None):
        """As a call, with the generated regions: uint8 (B, H, W, 3) and uint8 (B, H, W).

        `style` dresses regions as another person's are: a mapping with that person's `image`, `parsing` and `joints`,
        as one source, and `share`, (8,) in [0, 1]: how far each region is taken from there.
        """
        image, is_single = checks.picture(source_image, self.size)
        is_single = is_single and np.ndim(target_joints) < 3
        count = len(image)
        target = checks.pose("target_joints", target_joints, None if count == 1 else count, self.size)
        batch = {
            "source_image": image,
            "source_parsing": checks.parsing(source_parsing, count, self.size),
            "source_pose": checks.pose("source_joints", source_joints, count, self.size),
        }
        if count == 1 and len(target) > 1:
            count = len(target)
            batch = {key: np.repeat(array, count, axis=0) for key, array in batch.items()}
        batch["target_pose"] = target
        if style is not None:
            batch.update(self._style(style, count))
        painted = [
            self._run({key: array[at:end] for key, array in batch.items()}, padded)
            for at, end, padded in pieces(count, self._mesh.size)
        ]
        pictures, maps = (np.concatenate(parts) for parts in zip(*painted, strict=True))
        return (pictures[0], maps[0]) if is_single else (pictures, maps)

    def _style(self, style: Mapping[str, Any], count: int) -> dict[str, np.ndarray]:
        absent = [key for key in _OF_STYLE if not isinstance(style, Mapping) or key not in style]
        if absent:
            raise UserError(f"style has no {absent[0]}; give a mapping of {', '.join(_OF_STYLE)}")
        share = checks.array_of(style["share"], "style share", np.float32)
        checks.shape("style share", share, (regions.NUM_REGIONS,))
        if not np.all((share >= 0) & (share <= 1)):
            raise UserError(f"style share has values outside 0..1: {share.tolist()}; give numbers from 0 to 1")
        image, _ = checks.picture(style["image"], self.size, "style image")
        arrays = {
            "style_image": image,
            "style_parsing": checks.parsing(style["parsing"], 1, self.size, "style parsing"),
            "style_pose": checks.pose("style joints", style["joints"], 1, self.size),
            "style_share": share[None],
        }
        return {key: np.repeat(array, count, axis=0) for key, array in arrays.items()}

    def photo(self, photo, pose, **options):
        """The person of any photo in the pose or poses: `inference.photo.PhotoTransfer`, with this model."""
        from scrn_jax.inference.photo import PhotoTransfer

        if self._photos is None:
            self._photos = PhotoTransfer(self)
        return self._photos(photo, pose, **options)

    def fit(self, photo, parsing, source_joints):
        """Photo, map and joints of the photo's pixels, framed for the model: the first three arguments of a call.

        Args:
          photo: as `inference.photo_files.open_photo` takes it, of any size.
          parsing: (rows, columns) regions of the photo, or the path of a PNG.
          source_joints: (18, 2), (y, x) in the photo's pixels.

        Raises:
          UserError: a map of another size, or no person in it.
        """
        from scrn_jax.inference.framed import fit

        return fit(photo, parsing, source_joints, self.size)

    def _run(self, batch: dict[str, np.ndarray], padded: int) -> tuple[np.ndarray, np.ndarray]:
        """One call of the compiled function, on a batch padded by repeating its last sample."""
        count = len(batch["source_image"])
        rows = np.minimum(np.arange(padded), count - 1)
        arrays = devices_lib.put_batch({key: array[rows] for key, array in batch.items()}, self._mesh)
        try:
            pictures, maps = self._paint(self._params, arrays)
        except FlaxError as error:  # while it is traced, see `model_folder.read_params`
            raise UserError(
                f"the parameters are of another model than model.json's ({first_line(error)}); export the run anew"
            ) from error
        return np.asarray(pictures)[:count], np.asarray(maps)[:count]


def pieces(count: int, devices: int) -> list[tuple[int, int, int]]:
    """(first, end, size to pad it to) of each piece that so many pictures are worked on in; sizes are one of two."""
    small, large = SMALL * devices, LARGE * devices
    found, at = [], 0
    while at < count:
        size = small if count - at <= SINGLES * small else large
        found.append((at, min(at + size, count), size))
        at += size
    return found

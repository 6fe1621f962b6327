"""A trained model as a function of arrays: load an exported folder once, call it on any number of people."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from scrn_jax import exported, networks, sharding
from scrn_jax.errors import UserError
from scrn_jax.inference import checks
from scrn_jax.person import regions
from scrn_jax.settings import DTYPES, Settings

SHIPPED = Path(__file__).parent / "inference" / "assets" / "people"
STYLE = ("image", "pose", "parsing", "share")
SIZES = (1, 2, 4, 8, 16)  # pictures a device at a time; other numbers are padded to the next or cut into pieces


class PoseTransfer:
    """Paints people in other poses: `PoseTransfer.load(folder)(images, parsing, source_joints, target_joints)`.

    Attributes:
      size: (height, width) in pixels of the images, maps and joints that it takes.
    """

    def __init__(self, settings: Settings, params: Any, mesh: jax.sharding.Mesh):
        replicated, data = sharding.replicated(mesh), sharding.data(mesh)
        generator = networks.make_generator(settings.model)
        self.size = settings.size
        self._params, self._mesh, self._photos = params, mesh, None

        def paint(params, batch):
            given = {key: _to_float(batch[key]) for key in networks.INPUTS}
            style = {key: _to_float(batch[f"style_{key}"]) for key in STYLE if f"style_{key}" in batch}
            painted = generator.apply({"params": params}, **given, style=style or None)
            return networks.to_uint8(painted["image"]), painted["parsing"].argmax(-1).astype(jnp.uint8)

        self._paint = jax.jit(paint, in_shardings=(replicated, data), out_shardings=replicated)

    @classmethod
    def load(cls, folder: str | Path | None = None, *, dtype: str | None = None, devices=None) -> "PoseTransfer":
        """Load an exported model.

        Args:
          folder: the --output of --mode export; the model that comes with the package by default.
          dtype: "float32" or "bfloat16", what convolutions compute in; the run's own by default.
          devices: JAX devices that share each batch; the first one by default.

        Raises:
          UserError: no exported model there, a damaged one, one of another layout, an unknown dtype.
        """
        folder = SHIPPED if folder is None else Path(folder).expanduser()
        if folder == SHIPPED and not exported.is_exported(folder):
            raise UserError("no model comes with this version; give the folder of an exported one (--model DIR)")
        settings = exported.read_settings(folder)
        if dtype is not None:
            if dtype not in DTYPES:
                raise UserError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
            settings = dataclasses.replace(settings, model=dataclasses.replace(settings.model, dtype=dtype))
        mesh = sharding.make_mesh(jax.local_devices()[:1] if devices is None else devices)
        return cls(settings, exported.read_params(folder, settings, sharding.replicated(mesh)), mesh)

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
        pieces = [
            self._run({key: array[at : at + self._largest] for key, array in batch.items()})
            for at in range(0, count, self._largest)
        ]
        pictures, maps = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
        return (pictures[0], maps[0]) if is_single else (pictures, maps)

    def _style(self, style: Mapping[str, Any], count: int) -> dict[str, np.ndarray]:
        share = np.asarray(style["share"], np.float32)
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
        from scrn_jax.inference.photo import fit

        return fit(photo, parsing, source_joints, self.size)

    @property
    def _largest(self) -> int:
        return SIZES[-1] * self._mesh.size

    def _run(self, batch: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """One call of the compiled function, on a batch padded by repeating its last sample."""
        count = len(batch["source_image"])
        padded = next(size * self._mesh.size for size in SIZES if size * self._mesh.size >= count)
        rows = np.minimum(np.arange(padded), count - 1)
        arrays = sharding.put_batch({key: array[rows] for key, array in batch.items()}, self._mesh)
        pictures, maps = self._paint(self._params, arrays)
        return np.asarray(pictures)[:count], np.asarray(maps)[:count]


def _to_float(array):
    """Pictures of bytes as the generator takes them; all else as it is."""
    return networks.to_float(array) if array.dtype == jnp.uint8 and array.ndim == 4 else array

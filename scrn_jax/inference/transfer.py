"""A trained model as a function of arrays: load an exported folder once, call it on any number of people."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np

from scrn_jax.errors import UserError
from scrn_jax.inference import model_folder
from scrn_jax.models import base
from scrn_jax.models.base import DTYPES
from scrn_jax.person import joints, regions
from scrn_jax.runtime import devices as devices_lib
from scrn_jax.settings import Settings

# Pictures a device at a time, of which each is a program to compile: what is left of many goes one by one when it is no
# more than SINGLES times the small number, and is padded to the large one otherwise.
SMALL, LARGE, SINGLES = 1, 8, 3
MIN_COMPILE_SECONDS = 0.5  # programs that take longer are kept: the small model's takes 3


class PoseTransfer:
    """Paints people in other poses: `PoseTransfer.load(folder)(images, parsing, source_joints, target_joints)`.

    Attributes:
      size: (height, width) in pixels of the images, maps and joints that it takes.
    """

    def __init__(self, settings: Settings, params: Any, mesh: jax.sharding.Mesh):
        replicated, data = devices_lib.replicated(mesh), devices_lib.data(mesh)
        model = base.make(settings)
        self.size = settings.size
        self._params, self._mesh = params, mesh

        def paint(params, batch):
            return base.to_uint8(model.generate(params, batch)["image"])

        self._paint = jax.jit(paint, in_shardings=(replicated, data), out_shardings=replicated)

    @classmethod
    def load(
        cls, folder: str | Path, *, dtype: str | None = None, devices=None, programs: str = devices_lib.AUTO
    ) -> "PoseTransfer":
        """Load an exported model.

        Args:
          folder: the --output of --mode export.
          dtype: "float32" or "bfloat16", what convolutions compute in; the run's own by default.
          devices: JAX devices that share each batch; the first one by default.
          programs: the folder in which compiled programs are kept, so that the next process need not compile them;
            "auto" and "" as in `devices.keep_programs`, which sets it for all that this process computes with JAX.

        Raises:
          UserError: no exported model there, a damaged one, one of another layout, an unknown dtype.
        """
        folder = Path(folder).expanduser()
        settings = model_folder.read_settings(folder)
        if dtype is not None:
            if dtype not in DTYPES:
                raise UserError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
            settings = dataclasses.replace(settings, model=dataclasses.replace(settings.model, dtype=dtype))
        devices_lib.keep_programs(programs, MIN_COMPILE_SECONDS)
        mesh = devices_lib.make_mesh(jax.local_devices()[:1] if devices is None else devices)
        return cls(settings, model_folder.read_params(folder, settings, devices_lib.replicated(mesh)), mesh)

    def __call__(self, source_image, source_parsing, source_joints, target_joints) -> np.ndarray:
        """The people of `source_image` in the poses `target_joints`: uint8 (B, H, W, 3).

        Args:
          source_image: (B, H, W, 3), uint8, or floating point in [-1, 1]; H and W as in `size`.
          source_parsing: (B, H, W) whole numbers, regions 0 to 7 of `person.regions.NAMES`.
          source_joints, target_joints: (B, 18, 2), (y, x) in pixels, missing ones (-1, -1) or not a number; those
            outside the picture count as missing, as in training.

        All four may come without the B: then the picture does, too.

        Raises:
          UserError: other shapes, types or values.
        """
        given = source_image, source_parsing, source_joints, target_joints
        arrays = [np.asarray(array) for array in given]
        single = arrays[0].ndim == 3
        batch = self._checked(*(array[None] for array in arrays) if single else arrays)
        pictures = [
            self._run({key: array[at:end] for key, array in batch.items()}, padded)
            for at, end, padded in pieces(len(batch["source_image"]), self._mesh.size)
        ]
        return pictures[0][0] if single else np.concatenate(pictures)

    def _run(self, batch: dict[str, np.ndarray], padded: int) -> np.ndarray:
        """One call of the compiled function, on a batch padded by repeating its last sample."""
        count = len(batch["source_image"])
        rows = np.minimum(np.arange(padded), count - 1)
        arrays = devices_lib.put_batch({key: array[rows] for key, array in batch.items()}, self._mesh)
        return np.asarray(self._paint(self._params, arrays))[:count]

    def _checked(self, image, parsing, source_joints, target_joints) -> dict[str, np.ndarray]:
        """The generator's inputs from what a caller gave, or a UserError that says what does not fit."""
        count = len(image) if image.ndim else 0
        if not count:
            raise UserError("source_image holds no picture; give at least one")
        _check_shape("source_image", image, (count, *self.size, 3))
        _check_shape("source_parsing", parsing, (count, *self.size))
        image = _checked_image(image)
        if parsing.dtype.kind not in "iu":
            raise UserError(f"source_parsing holds {parsing.dtype}; give labels as whole numbers")
        if parsing.min() < 0:
            raise UserError(f"source_parsing: label {parsing.min()}; labels are 0 to {regions.NUM_REGIONS - 1}")
        regions.check_labels(parsing, "source_parsing")
        return {
            "source_image": image,
            "source_parsing": parsing.astype(np.uint8),
            "source_pose": _checked_joints("source_joints", source_joints, count, self.size),
            "target_pose": _checked_joints("target_joints", target_joints, count, self.size),
        }


def pieces(count: int, devices: int) -> list[tuple[int, int, int]]:
    """(first, end, size to pad it to) of each piece that so many pictures are worked on in; sizes are one of two."""
    small, large = SMALL * devices, LARGE * devices
    found, at = [], 0
    while at < count:
        size = small if count - at <= SINGLES * small else large
        found.append((at, min(at + size, count), size))
        at += size
    return found


def _check_shape(name: str, array: np.ndarray, expected: tuple[int, ...]) -> None:
    if array.shape != expected:
        raise UserError(f"{name} has shape {array.shape}, expected {expected}; resize and batch it as the model needs")


def _checked_image(image: np.ndarray) -> np.ndarray:
    if image.dtype == np.uint8:
        return image
    if image.dtype.kind != "f":
        raise UserError(f"source_image holds {image.dtype}; give uint8, or floating point in [-1, 1]")
    # Not `abs(...).max() > 1`, which NaN would pass.
    if not np.all(np.abs(image) <= 1):
        raise UserError("source_image has values outside [-1, 1] or not a number; give uint8, or scale it to [-1, 1]")
    return image.astype(np.float32)


def _checked_joints(name: str, array: np.ndarray, count: int, size: tuple[int, int]) -> np.ndarray:
    if array.ndim == 3 and array.shape[1] == 17:
        raise UserError(
            f"{name} has 17 joints, as COCO has; the model takes OpenPose's 18: order them as "
            "scrn_jax.person.joints.NAMES, with the middle of the shoulders as the neck"
        )
    _check_shape(name, array, (count, joints.NUM_JOINTS, 2))
    if array.dtype.kind not in "fiu":
        raise UserError(f"{name} holds {array.dtype}; give numbers, (y, x) in pixels")
    found = np.where(joints.present(array)[..., None], array, joints.MISSING)
    return joints.clip_to_frame(found, *size)

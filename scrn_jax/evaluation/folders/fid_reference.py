"""What FID compares the generated images with: the references, the training images, or statistics of these.

Statistics are kept in the user's cache folder: references stay while methods and checkpoints change, and Inception's
pass over them is nearly half of the time. A key covers whatever they depend on: the files' contents, the network's
weights, the frame, versions.
"""

import dataclasses
import logging
from pathlib import Path
from typing import Any

from scrn_jax.errors import UserError
from scrn_jax.evaluation.folders import images as images_lib
from scrn_jax.evaluation.folders import matching
from scrn_jax.evaluation.folders.passes import Item, Passes
from scrn_jax.metrics import fid
from scrn_jax.metrics.fid import Gaussian, Moments, Origin
from scrn_jax.runtime import arrays
from scrn_jax.runtime.files import cache_folder

log = logging.getLogger(__name__)

STATISTICS = "fid_training.npz"

FOLDER = "statistics"
MOST = 8  # sets; each takes 34 MB


class Absent(Exception):
    """There is no FID; the message says why."""


class FidReference:
    """The images that a protocol's FID compares with; each set is passed over once, for all methods and evaluations.

    Attributes:
      record: for the report, what the last `distance` compared with; None before.
    """

    def __init__(self, passes: Passes, reference: Path, training: Path | None, output: Path):
        self.record: dict[str, Any] | None = None
        self._passes, self._reference, self._training, self._output = passes, reference, training, output
        self._gaussians: dict[str, Gaussian] = {}

    def distance(self, name: str, moments: Moments, reference_names: list[str]) -> float:
        """FID of a method's `moments`.

        Args:
          name: of the method.
          reference_names: its pairs' references, each once.

        Raises:
          Absent: fewer than two images on a side, or training images that the protocol asks for and nobody gave.
          UserError: unreadable images or statistics.
        """
        if moments.count < 2:
            raise Absent(f"FID needs at least two generated images, found {moments.count}")
        return fid.frechet_distance(moments.gaussian(name), self._gaussian(reference_names))

    def _gaussian(self, reference_names: list[str]) -> Gaussian:
        protocol = self._passes.protocol
        if self._training is not None and self._training.suffix.lower() == ".npz":
            gaussian = fid.load(self._training)
            fid.check_origin(self._training, gaussian, self._passes.origin)
            self.record = {"images": "train", "file": self._training.name, "sha256": arrays.sha256(self._training)}
            return gaussian
        if self._training is not None:
            names = list(matching.list_images(self._training, "training").files.values())
            gaussian = self._of_folder("training images", self._training, names, "train")
            fid.save(self._output / STATISTICS, gaussian)
            return gaussian
        if protocol.fid_reference == "test":
            return self._of_folder("references", self._reference, reference_names, "test")
        raise Absent(
            f"the protocol {protocol.name} compares with the training images: give their folder or their statistics"
            " (.npz) with --training_images"
        )

    def _of_folder(self, title: str, root: Path, names: list[str], images: str) -> Gaussian:
        if len(names) < 2:
            raise Absent(f"FID needs at least two {title}, found {len(names)}")
        seen = images_lib.survey(f"looking at {title}", root, names, self._passes.protocol.frame)
        self.record = {"images": images, **seen.as_json()}
        if seen.sha256 not in self._gaussians:
            facts = {"images": seen.sha256}
            key = None if self._passes.has_random_features else self._passes.fingerprint(facts)
            gaussian = kept(key, self._passes.origin) if key else None
            if gaussian is None:
                gaussian = self._measured(title, root, names, facts)
                if key:
                    keep(key, gaussian)
            self._gaussians[seen.sha256] = gaussian
        return self._gaussians[seen.sha256]

    def _measured(self, title: str, root: Path, names: list[str], facts: dict[str, str]) -> Gaussian:
        def read(name: str) -> Item:
            return {"images": self._passes.pixels(root / name)}

        gaussian = self._passes.run(f"FID: {title}", names, read, facts).moments.gaussian(title)
        return dataclasses.replace(gaussian, origin=self._passes.origin)


def kept(key: str, origin: Origin) -> Gaussian | None:
    """The statistics under that key; None when there are none, when they say another origin, or are damaged."""
    path = _path(key)
    if not path.is_file():
        return None
    try:
        gaussian = fid.load(path)
        if gaussian.origin != origin:
            return None
        path.touch()  # the most recently used stay
    except (UserError, OSError):
        return None
    log.info("statistics of this set are kept from an earlier evaluation: %s", path)
    return gaussian


def keep(key: str, gaussian: Gaussian) -> None:
    """Keep statistics, and of all sets the `MOST` that were used last. A folder that cannot be written is a warning."""
    path = _path(key)
    try:
        fid.save(path, gaussian)
        for old in sorted(path.parent.glob("*.npz"), key=lambda each: each.stat().st_mtime)[:-MOST]:
            old.unlink(missing_ok=True)
    except (UserError, OSError) as error:
        log.warning("statistics are not kept for the next evaluation: %s", error)


def _path(key: str) -> Path:
    return cache_folder() / FOLDER / f"{key[:32]}.npz"

"""Frechet Inception Distance (Heusel et al., 2017): streaming moments in float64 and the distance of two Gaussians."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from scrn_jax.errors import UserError
from scrn_jax.runtime import arrays as arrays_lib
from scrn_jax.runtime import files

log = logging.getLogger(__name__)

REMAKE = "make it anew: evaluate once with --training_images FOLDER, which writes fid_training.npz"
_ORIGIN = "origin_"  # before the names of its arrays


@dataclass(frozen=True)
class Origin:
    """What features depend on beside the images: the frame (height, width) in pixels that these were brought into, the
    network, and the SHA-256 of its weights. Distances between features of different origins mean nothing."""

    frame: tuple[int, int]
    network: str
    weights: str


@dataclass(frozen=True)
class Gaussian:
    """The mean (D,) and the covariance (D, D) of a set's features, float64; their origin, None when that is unknown."""

    mean: np.ndarray
    covariance: np.ndarray
    origin: Origin | None = None


@dataclass(frozen=True)
class Moments:
    """The count, the mean (D,) and the scatter (D, D), the sum of outer products of deviations, of a set's features.

    All a set leaves behind: its size does not grow with the number of images, and parts of a set merge exactly.
    """

    count: int
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def of(cls, features_NxD: np.ndarray) -> "Moments":
        """The moments of a batch, which may be empty."""
        features = np.asarray(features_NxD, np.float64)
        if not len(features):
            return cls.empty(features.shape[1])
        mean = features.mean(0)
        deviations = features - mean
        return cls(len(features), mean, deviations.T @ deviations)

    @classmethod
    def empty(cls, dimensions: int) -> "Moments":
        """The moments of no image, from which a loop over batches starts."""
        return cls(0, np.zeros(dimensions), np.zeros((dimensions, dimensions)))

    def merge(self, other: "Moments") -> "Moments":
        """The moments of both sets together (Chan, Golub and LeVeque, 1979), in any order of merging."""
        count = self.count + other.count
        if not other.count or not self.count:
            return self if self.count else other
        delta = other.mean - self.mean
        mean = self.mean + delta * (other.count / count)
        between = np.outer(delta, delta) * (self.count * other.count / count)
        return Moments(count, mean, self.scatter + other.scatter + between)

    def add(self, features_NxD: np.ndarray, mask_N: np.ndarray | None = None) -> "Moments":
        """The moments with a batch more, of which only the rows where `mask` is true count."""
        features = np.asarray(features_NxD)
        return self.merge(Moments.of(features if mask_N is None else features[np.asarray(mask_N, bool)]))

    def gaussian(self, name: str) -> Gaussian:
        """The Gaussian with the sample covariance (over N - 1).

        Raises:
          UserError: fewer than two images, which have no covariance; the message names the set by `name`.
        """
        if self.count < 2:
            raise UserError(f"{name}: FID needs at least two images, found {self.count}; give more, or leave FID out")
        return Gaussian(self.mean, self.scatter / (self.count - 1))


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """|mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)) of two Gaussians with covariances A and B; at least 0.

    The trace of (A B)^(1/2) is that of (A^(1/2) B A^(1/2))^(1/2), which is symmetric: eigenvalues suffice, and
    covariances of fewer images than dimensions do no harm.

    Raises:
      UserError: features of different lengths, or not finite.
    """
    if a.mean.shape != b.mean.shape:
        raise UserError(
            f"features of {a.mean.size} and {b.mean.size} numbers have no Frechet distance;"
            " make both sets of statistics with the same network"
        )
    if not all(np.isfinite(array).all() for array in (a.mean, a.covariance, b.mean, b.covariance)):
        raise UserError("the features hold numbers that are not finite; check the network's weights")
    values, vectors = np.linalg.eigh(a.covariance)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ b.covariance @ root).clip(0)).sum()
    difference = a.mean - b.mean
    distance = difference @ difference + np.trace(a.covariance) + np.trace(b.covariance) - 2 * cross
    return max(float(distance), 0.0)


def save(path: Path, gaussian: Gaussian) -> None:
    """Writes statistics as pytorch-fid does (mu and sigma in an .npz) with their origin, whole or not at all."""
    origin = {} if gaussian.origin is None else {_ORIGIN + key: value for key, value in asdict(gaussian.origin).items()}
    with files.written_whole(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, mu=gaussian.mean, sigma=gaussian.covariance, **origin)


def load(path: Path) -> Gaussian:
    """Reads statistics that `save` or pytorch-fid wrote. Raises UserError for a missing or broken file.

    Whether they fit, `check_origin` tells.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such statistics file; give an .npz with mu and sigma, or a folder of images")
    arrays = arrays_lib.read_npz(path)
    mean, covariance = arrays.get("mu"), arrays.get("sigma")
    numbers = mean is not None and covariance is not None and {mean.dtype.kind, covariance.dtype.kind} <= set("fiu")
    if not numbers or mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
        raise UserError(f"{path}: holds no mu (D,) with sigma (D, D); write it with pytorch-fid --save-stats or anew")
    return Gaussian(mean.astype(np.float64), covariance.astype(np.float64), _origin(arrays, path))


def _origin(arrays: dict[str, np.ndarray], path: Path) -> Origin | None:
    """The origin among a file's arrays; None when it has none, as those of pytorch-fid and of earlier versions."""
    found = {key.removeprefix(_ORIGIN): array for key, array in arrays.items() if key.startswith(_ORIGIN)}
    if not found:
        return None
    try:
        height, width = (int(side) for side in found["frame"])
        return Origin((height, width), str(found["network"]), str(found["weights"]))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: its origin is no frame, network and weights ({error}); {REMAKE}") from error


def check_origin(path: Path, gaussian: Gaussian, expected: Origin) -> None:
    """Raises UserError naming what differs when statistics from `path` are of features of another origin.

    When they do not say it, that is a warning.
    """
    if gaussian.origin is None:
        log.warning("%s does not say of which frame, network and weights it is, and is believed; %s", path, REMAKE)
        return
    found, wanted = asdict(gaussian.origin), asdict(expected)
    differences = [f"{key} {found[key]}, here {wanted[key]}" for key in wanted if found[key] != wanted[key]]
    if differences:
        raise UserError(f"{path}: statistics of other features ({'; '.join(differences)}); {REMAKE}")

"""The crowd that the region network and the joints' calibration learn from: rendered, looked at by BlazePose, framed.

A shard is an .npz of 20 people's pictures; what BlazePose finds in them lies beside it. All of it is NumPy's, for
workers to import.
"""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from input_pipeline.mannequins.people import Person
from scrn_jax.inference.finding import calibration, framing
from scrn_jax.inference.finding.blazepose import BlazePose, Body
from scrn_jax.inference.finding.estimators import openpose_joints
from scrn_jax.inference.finding.region_network import FRAME
from scrn_jax.person import joints as joints_lib

SHARD = 20
# How much larger than the network's frame a framed picture is, so that samples can be framed a little differently.
ROOM = 1.25
ROOMY = (round(ROOM * FRAME[0]), round(ROOM * FRAME[1]))


def render(seed: int, first: int, views: int, size: tuple[int, int], before_body: float) -> dict[str, np.ndarray]:
    """The arrays of the shard that starts with person `first`; a function of its arguments."""
    numbers = range(first, first + SHARD)
    people = [Person.sample(seed, identity, varied=True, before_body=before_body) for identity in numbers]
    seen = [person.view(index, *size) for person in people for index in range(views)]
    return {name: np.stack([getattr(view, name) for view in seen]) for name in ("image", "labels", "joints")}


def write(first: int, folder: Path, seed: int, views: int, size: tuple[int, int], before_body: float) -> int:
    """Renders a shard into a folder, under another name until it is whole; `first`."""
    part = folder / f"{first:05d}.part"
    with part.open("wb") as stream:
        np.savez(stream, **render(seed, first, views, size, before_body))
    os.replace(part, part.with_suffix(".npz"))
    return first


def find_people(shard: Path, look: BlazePose) -> dict[str, np.ndarray]:
    """The shard's arrays with what BlazePose finds; kept in a file beside it.

    `found` (N, 18, 2) are its joints before calibration, `points` (N, 33, 2) and `visibility` (N, 33) its own,
    `mask` is (N, H, W) uint8. Pictures in which it finds nobody are left out.
    """
    kept = shard.with_suffix(".body")
    arrays = dict(np.load(shard))
    if not kept.exists():
        size = arrays["image"].shape[1:3]
        found = np.full((len(arrays["image"]), 18, 2), joints_lib.MISSING, np.float32)
        points, visibility = (np.zeros((len(found), calibration.POINTS, *rest), np.float32) for rest in ((2,), ()))
        masks = np.zeros(arrays["labels"].shape, np.uint8)
        for index, image in enumerate(arrays["image"]):
            body = look(Image.fromarray(image))
            if body is not None:
                found[index] = openpose_joints(body, size)
                points[index], visibility[index] = body.points, body.visibility
                masks[index] = np.rint(255 * body.mask)
        with kept.with_suffix(".part").open("wb") as stream:
            np.savez_compressed(stream, found=found, points=points, visibility=visibility, mask=masks)
        os.replace(kept.with_suffix(".part"), kept)
    arrays.update(np.load(kept))
    there = joints_lib.present(arrays["found"]).sum(1) >= 4
    return {name: array[there] for name, array in arrays.items()}


def people_of(folder: Path, look: BlazePose) -> list[dict[str, np.ndarray]]:
    """All pictures of a folder of shards that is whole."""
    return [person for shard in sorted(folder.glob("*.npz")) for person in each(find_people(shard, look))]


def each(arrays: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """Picture by picture, with joints as the estimator gives them."""
    people = [{name: array[i] for name, array in arrays.items()} for i in range(len(arrays["image"]))]
    return [person | {"found": calibrated_of(person)} for person in people]


def calibrated_of(person: dict[str, np.ndarray], params=None) -> np.ndarray:
    """The joints (18, 2) of a picture of `find_people` after calibration, by `params` or by what the package has."""
    body = Body(person["points"], np.zeros(calibration.POINTS), person["visibility"], person["mask"], people=1)
    return calibration.calibrated(person["found"], body, params)


def framed(shard: Path | None) -> dict[str, np.ndarray]:
    """The shard's pictures in frames of ROOMY: image, labels and mask uint8, joints in their pixels, float32.

    Nothing where BlazePose finds nobody, or of no shard.
    """
    if shard is None:
        return {}
    samples = [_framed(person) for person in each(find_people(shard, BlazePose(1)))]
    return {name: np.stack([sample[name] for sample in samples]) for name in samples[0]} if samples else {}


def _framed(person: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    mask = person["mask"].astype(np.float32) / 255
    box = framing.body_box(person["found"], mask)
    window = framing.window_around(box, mask.shape, FRAME[1] / FRAME[0]).grown(ROOM)
    return {
        "image": window.cut(person["image"], ROOMY), "labels": window.cut(person["labels"], ROOMY, labels=True),
        "mask": window.cut(person["mask"], ROOMY), "joints": window.joints_into(person["found"], ROOMY),
    }  # fmt: skip

"""Rendered people in memory and on a device, for training where there is no TensorFlow."""

import io
import threading
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from input_pipeline import annotation_noise
from input_pipeline.mannequins.people import PersonTask, render_people
from scrn_jax.person import face, joints

VIEWS = 5


class People:
    """Rendered people in memory: uint8 pictures and labels, joints and face boxes, each indexed [person, view].

    `count` of them are there; the others' arrays are empty as yet. `failure` is what ended their rendering, or None.

    Image (P, V, H, W, 3), parsing (P, V, H, W) in 0..7, pose (P, V, 18, 2) as (y, x), box (P, V, 4).
    """

    def __init__(self, arrays: dict[str, np.ndarray], count: int | None = None):
        self.arrays, self.count = arrays, len(arrays["image"]) if count is None else count
        self._news, self.failure = threading.Condition(), None

    @classmethod
    def render(cls, identities: Sequence[int], size: tuple[int, int], seed: int, varied: bool, processes: int):
        """People who are drawn behind, in order, each a function of (seed, identity) alone, as in the configs' data."""
        shape = (len(identities), VIEWS)
        people = cls({
            "image": np.zeros((*shape, *size, 3), np.uint8), "parsing": np.zeros((*shape, *size), np.uint8),
            "pose": np.zeros((*shape, len(joints.NAMES), 2), np.float32), "box": np.zeros((*shape, 4), np.float32),
        }, 0)  # fmt: skip
        tasks = [PersonTask(seed, identity, VIEWS, *size, varied) for identity in identities]
        threading.Thread(target=people._fill, args=(tasks, processes), daemon=True).start()
        return people

    def _fill(self, tasks: Sequence[PersonTask], processes: int) -> None:
        try:
            for index, person in enumerate(render_people(tasks, min(processes, len(tasks)))):
                for number, view in enumerate(person):
                    at = index, number
                    self.arrays["image"][at] = Image.open(io.BytesIO(view.image)).convert("RGB")
                    self.arrays["parsing"][at] = Image.open(io.BytesIO(view.labels))
                    self.arrays["pose"][at], self.arrays["box"][at] = view.joints, view.face_box
                with self._news:
                    self.count = index + 1
                    self._news.notify_all()
        except Exception as error:  # noqa: BLE001  raised where somebody waits
            with self._news:
                self.failure = error
                self._news.notify_all()

    def wait(self, count: int) -> "People":
        """Returns when so many are there; raises what rendering raised."""
        with self._news:
            self._news.wait_for(lambda: self.count >= count or self.failure)
        if self.failure:
            raise self.failure
        return self

    def batch(self, who, source, target) -> dict[str, np.ndarray]:
        """The pairs (who[i], source[i] -> target[i]) as the training step takes them."""
        sides = {"source": (who, source), "target": (who, target)}
        names = ("image", "parsing", "pose")
        pairs = {f"{side}_{name}": self.arrays[name][at] for side, at in sides.items() for name in names}
        return {**pairs, "face_box": self.arrays["box"][who, target]}


class OnDevice:
    """The people's arrays on a device, as `draw` takes them; room for all, filled in pieces as they are rendered.

    `piece` people are taken over at a time, so that one program serves all; before the first nobody is there.
    Joints and boxes are also those of mirrored pictures, last: (person, view, 2, ...).
    """

    def __init__(self, people: People, piece: int):
        self._people, everybody = people, len(people.arrays["image"])
        self._piece = min(piece, everybody)
        shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct((everybody, *x.shape[1:]), x.dtype), self._slice(0))
        arrays = jax.jit(lambda: jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes))()
        self.arrays = {**arrays, "count": np.int32(0)}
        self._put = jax.jit(
            lambda arrays, piece, start: jax.tree.map(
                lambda whole, part: jax.lax.dynamic_update_slice_in_dim(whole, part, start, 0), arrays, piece
            ),
            donate_argnums=0,
        )

    @property
    def count(self) -> int:
        """How many people are on the device."""
        return int(self.arrays["count"])

    def _slice(self, start: int) -> dict[str, np.ndarray]:
        place, arrays = slice(start, start + self._piece), self._people.arrays
        width, pose, box = arrays["image"].shape[3], arrays["pose"][place], arrays["box"][place]
        return {
            "image": arrays["image"][place], "parsing": arrays["parsing"][place],
            "pose": np.stack([pose, joints.flip(pose, width)], 2).astype(np.float32),
            "box": np.stack([box, face.flip_box(box, width)], 2).astype(np.float32),
        }  # fmt: skip

    def update(self) -> "OnDevice":
        """Takes over who has been rendered since, in whole pieces, and the last ones when all are there."""
        there, everybody = self._people.count, len(self._people.arrays["image"])
        while (end := min(self.count + self._piece, everybody)) <= there and end > self.count:
            start = end - self._piece
            arrays = {name: array for name, array in self.arrays.items() if name != "count"}
            self.arrays = {**self._put(arrays, self._slice(start), start), "count": np.int32(end)}
        return self


def displaced(labels_HxW, pose_Jx2, spread: float, key):
    """`input_pipeline.annotation_noise.displaced` on a device; the same law, other random numbers."""
    height, width = labels_HxW.shape
    of_amount, of_field, of_joints = jax.random.split(key, 3)
    amount = spread * jax.random.uniform(of_amount, maxval=2.0)
    cell = annotation_noise.cell(height)
    field = jax.random.normal(of_field, (height // cell + 2, width // cell + 2, 2))
    field = jnp.rint(amount * jax.image.resize(field, (height, width, 2), "linear")).astype(jnp.int32)
    rows, columns = jnp.mgrid[:height, :width]
    rows, columns = (rows + field[..., 0]).clip(0, height - 1), (columns + field[..., 1]).clip(0, width - 1)
    moved = pose_Jx2 + 0.5 * amount * jax.random.normal(of_joints, pose_Jx2.shape)
    moved = moved.clip(0, jnp.array([height - 1, width - 1]))
    present = (pose_Jx2 >= 0).all(-1, keepdims=True)
    return labels_HxW[rows, columns], jnp.where(present, moved, joints.MISSING)


def draw(people: dict[str, jax.Array], key, size: int, flip: bool, noise: float) -> dict[str, jax.Array]:
    """A batch of `size` random pairs of different views, half of them mirrored with `flip`; pure."""

    def pair(key):
        of_person, of_source, of_target, of_coin, of_noise = jax.random.split(key, 5)
        views = people["image"].shape[1]
        who, source = jax.random.randint(of_person, (), 0, people["count"]), jax.random.randint(of_source, (), 0, views)
        target = (source + jax.random.randint(of_target, (), 1, views)) % views
        mirrored = (jax.random.bernoulli(of_coin) & flip).astype(jnp.int32)
        found = {"face_box": people["box"][who, target, mirrored]}
        for side, view in (("source", source), ("target", target)):
            for name in ("image", "parsing"):
                picture = people[name][who, view]
                found[f"{side}_{name}"] = jnp.where(mirrored, picture[:, ::-1], picture)
            found[f"{side}_pose"] = people["pose"][who, view, mirrored]
        if noise:
            moved = displaced(found["source_parsing"], found["source_pose"], noise, of_noise)
            found["source_parsing"], found["source_pose"] = moved
        return found

    return jax.vmap(pair)(jax.random.split(key, size))

"""What the region network learns from, on a device: a crowd that may still be rendered, samples of it, made foreign."""

import threading
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from crowd import ROOM, ROOMY, framed

from scrn_jax.inference.finding.region_network import FRAME
from scrn_jax.person import joints as joints_lib
from scrn_jax.person.regions import NUM_REGIONS
from scrn_jax.runtime.workers import ordered_map

CLOTHES = np.array([2, 3, 4])
PIECE = 80  # pictures that reach the device together: a shard's


class Crowd:
    """A folder of shards on a device, as `sample` takes it: room for `room` pictures, filled as shards come.

    `processes` look at them and frame them.
    """

    def __init__(self, folder: Path, room: int, processes: int):
        shapes = {"image": (*ROOMY, 3), "labels": ROOMY, "mask": ROOMY, "joints": (joints_lib.NUM_JOINTS, 2)}
        kinds = {"joints": jnp.float32}
        self.count, self._room, self._folder, self.failure = 0, room, folder, None
        self._arrays = {name: jnp.zeros((room, *shape), kinds.get(name, jnp.uint8)) for name, shape in shapes.items()}
        self._put = jax.jit(
            lambda arrays, piece, start: jax.tree.map(
                lambda whole, part: jax.lax.dynamic_update_slice_in_dim(whole, part, start, 0), arrays, piece
            ),
            donate_argnums=0,
        )
        self._framed, self._news = [], threading.Condition()
        threading.Thread(target=self._read, args=(processes,), daemon=True).start()

    def _read(self, processes: int) -> None:
        try:
            for arrays in ordered_map(framed, self._shards(), processes):
                with self._news:
                    self._framed.append(arrays)
                    self._news.notify_all()
        except Exception as error:  # noqa: BLE001  raised where the crowd is used
            with self._news:
                self.failure = error
                self._news.notify_all()

    def _shards(self):
        """Paths of shards, those that are still rendered, too; without end, None where there is no new one."""
        seen = set()
        while True:
            new = [path for path in sorted(self._folder.glob("*.npz")) if path not in seen]
            seen.update(new)
            yield from new
            if not new:
                time.sleep(0.2)
                yield None

    def refresh(self, least: int = 0) -> dict[str, jax.Array]:
        """The arrays and `count`, the new shards among them; waits for `least` pictures.

        Raises what reading a shard raised, and ValueError when there is no room for so many.
        """
        if least > self._room - PIECE:
            raise ValueError(f"{least} pictures do not fit into room for {self._room}; give --room more")
        while True:
            with self._news:
                self._news.wait_for(lambda: self._framed or self.failure or self.count >= least)
                if self.failure:
                    raise self.failure
                arrived, self._framed = self._framed, []
            for arrays in filter(None, arrived):
                self._take(arrays)
            if self.count >= least:
                return {**self._arrays, "count": np.int32(self.count)}

    def _take(self, arrays: dict[str, np.ndarray]) -> None:
        """Puts a shard's pictures on the device, in pieces of one size for one program, as far as there is room.

        A last piece that has too few is filled up with the same pictures once more, which do not count.
        """
        for start in range(0, len(arrays["image"]), PIECE):
            if self.count + PIECE > self._room:
                return
            part = {name: array[start : start + PIECE] for name, array in arrays.items()}
            piece = {name: np.resize(array, (PIECE, *array.shape[1:])) for name, array in part.items()}
            self._arrays = self._put(self._arrays, piece, self.count)
            self.count += len(part["image"])


def sample(crowd: dict[str, jax.Array], key, count: int) -> dict[str, jax.Array]:
    """A batch: image in [0, 1], labels one-hot and mask in [0, 1], joints, each framed a little differently, half of
    them mirrored."""

    def one(key):
        of_picture, of_size, of_place, of_coin = jax.random.split(key, 4)
        index = jax.random.randint(of_picture, (), 0, crowd["count"])
        grown = jnp.exp(0.06 * jax.random.normal(of_size))
        shift = 0.02 * jax.random.normal(of_place, (2,))
        mirrored = jax.random.bernoulli(of_coin)
        picture = jnp.concatenate(
            [
                crowd["image"][index] / 255.0, crowd["mask"][index][..., None] / 255.0,
                jax.nn.one_hot(crowd["labels"][index], NUM_REGIONS),
            ], -1,
        )  # fmt: skip
        # The window's start in the roomy frame, in its pixels; a pixel of the window is `grown` of them.
        start = jnp.array([(ROOM - grown) / 2 * size for size in FRAME]) + shift * jnp.array(FRAME)
        down, across = (_reader(start[axis], grown, FRAME[axis], ROOMY[axis]) for axis in (0, 1))
        across = jnp.where(mirrored, across[::-1], across)
        picture = jnp.einsum("ir,rsc,js->ijc", down, picture, across)
        joints = (crowd["joints"][index] - start + 0.5) / grown - 0.5
        inside = (joints >= -0.5).all(-1) & (joints <= jnp.array(FRAME) - 0.5).all(-1)
        there = (joints_lib.present(crowd["joints"][index]) & inside)[:, None]
        other = jnp.stack([joints[:, 0], FRAME[1] - 1 - joints[:, 1]], -1)[joints_lib.MIRROR]
        joints = jnp.where(mirrored, other, joints)
        joints = jnp.where(jnp.where(mirrored, there[joints_lib.MIRROR], there), joints, joints_lib.MISSING)
        return {"image": picture[..., :3], "mask": picture[..., 3], "labels": picture[..., 4:], "joints": joints}

    return jax.vmap(one)(jax.random.split(key, count))


def _reader(start, step, count: int, size: int):
    """A matrix (count, size) that reads a row of `size` pixels linearly at `count` places from `start` on."""
    places = start + (jnp.arange(count) + 0.5) * step - 0.5
    return jnp.clip(1 - jnp.abs(places.clip(0, size - 1)[:, None] - jnp.arange(size)), 0, 1)


def foreign(key, batch):
    """Images, masks and joints of a batch with other colours, light, blur, noise and backgrounds, and less sure."""
    keys = iter(jax.random.split(key, 32))
    image, labels = batch["image"], batch["labels"]
    count = len(image)

    def normal(*shape):
        return jax.random.normal(next(keys), (count, *shape))

    def some(share):
        return jax.random.bernoulli(next(keys), share, (count, 1, 1, 1))

    # Every region its own gain and shift; the three of skin share theirs.
    gain, shift = 1 + 0.3 * normal(NUM_REGIONS, 3), 0.1 * normal(NUM_REGIONS, 3)
    skin = jnp.isin(jnp.arange(NUM_REGIONS), jnp.array([5, 6, 7]))[:, None]
    gain, shift = (jnp.where(skin, a[:, 5:6] * 0.5 + one * 0.5, a) for a, one in ((gain, 1.0), (shift, 0.0)))
    dyed = image * jnp.einsum("bhwr,brc->bhwc", labels, gain) + jnp.einsum("bhwr,brc->bhwc", labels, shift)
    image = jnp.where(some(0.7), dyed, image)
    # Cloth with blots of any colour, as flowers have them, or with the texture of another picture.
    cloth = labels[..., CLOTHES].sum(-1, keepdims=True)
    blots = jnp.where(some(0.5), _blots(next(keys), count, 12), _blots(next(keys), count, 40))
    image = image + cloth * blots * some(0.25) * (jax.random.uniform(next(keys), (count, 1, 1, 3)) - image)
    texture = jnp.roll(image, 2, 0)[:, :, ::-1]
    image = image + cloth * some(0.15) * jax.random.uniform(next(keys), (count, 1, 1, 1)) * (texture - image)
    # Another picture of the batch, upside down, as a background full of things.
    other = jnp.roll(image, 1, 0)[:, ::-1]
    image = image + labels[..., :1] * some(0.2) * (other - image)
    # A plain, light wall, as fashion photos have it, with a trace of what was there.
    wall = 1 - 0.5 * jax.random.uniform(next(keys), (count, 1, 1, 1)) ** 2 + 0.03 * normal(1, 1, 3)
    image = image + labels[..., :1] * some(0.25) * (0.9 * wall + 0.1 * image - image)
    image = image * (1 + 0.2 * normal(1, 1, 1)) * (1 + 0.08 * normal(1, 1, 3)) + 0.05 * normal(1, 1, 3)
    image = jnp.clip(image, 1e-3, 1) ** jnp.exp(0.25 * normal(1, 1, 1))
    image = jnp.where(some(0.05), image.mean(-1, keepdims=True), image)
    padded = jnp.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)), "edge")
    blurred = sum(padded[:, i : i + FRAME[0], j : j + FRAME[1]] for i in range(3) for j in range(3)) / 9
    share = jax.random.uniform(next(keys), (count, 1, 1, 1)) * some(0.4)
    image = image + share * (blurred - image)
    image = image + 0.03 * jnp.abs(normal(1, 1, 1)) * normal(*FRAME, 3)
    joints = batch["joints"]
    there = joints_lib.present(joints)[..., None] & ~jax.random.bernoulli(next(keys), 0.03, (count, 18, 1))
    joints = jnp.where(there, jnp.maximum(joints + 0.7 * normal(18, 2), 0), joints_lib.MISSING)
    # As BlazePose finds it, or nearer to the truth, as the second look has it.
    nearer = (jax.random.uniform(next(keys), (count, 1, 1, 1)) * some(0.4))[..., 0]
    mask = batch["mask"] + nearer * (1 - labels[..., 0] - batch["mask"])
    mask = jnp.clip(mask + 0.05 * normal(1, 1), 0, 1)
    return jnp.clip(image, 0, 1) * 2 - 1, mask, joints


def _blots(key, count: int, cells: int):
    """Where blots are, (count, H, W, 1) in [0, 1]: some `cells` in the frame's height, of which a fifth is one."""
    field = jax.random.normal(key, (count, cells, cells * FRAME[1] // FRAME[0], 1))
    return jax.nn.sigmoid(12 * (jax.image.resize(field, (count, *FRAME, 1), "cubic") - 0.7))

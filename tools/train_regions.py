"""Trains the region network (scrn_jax/inference/region_network.py) on a rendered crowd, and resumes where it stopped.

    python tools/render_crowd.py --output data/crowd --people 2000 --seed 11
    python tools/render_crowd.py --output data/crowd_rule --people 400 --seed 12
    python tools/render_crowd.py --output data/crowd_test --people 40 --seed 90011
    python tools/train_regions.py --crowd data/crowd --rule data/crowd_rule --test data/crowd_test --workdir runs/reg

Joints and the first mask of every picture are BlazePose's own, found once: what the network will be given later on.
Every --save-every steps it writes the averaged weights, WORKDIR/regions.npz (float16, what ships), and what it resumes
from, and measures the IoU of every region on the test crowd. The rule that tells a dress is fitted on people whom the
network did not learn from: of those it has learned from it is surer than it will be of anybody in a photo.
"""

import argparse
import functools
import json
import os
import pickle
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from PIL import Image

from scrn_jax.inference import calibration, framing
from scrn_jax.inference.blazepose import BlazePose, Body
from scrn_jax.inference.estimators import openpose_joints
from scrn_jax.inference.packing import pack
from scrn_jax.inference.region_network import (
    DRESS,
    FRAME,
    RULE,
    RegionNetwork,
    RegionUNet,
    inputs,
    shapes,
    unpack,
)
from scrn_jax.person import joints as joints_lib
from scrn_jax.person.regions import NAMES, NUM_REGIONS

AVERAGE = 0.998
DRESSES = 1 / 4  # of the people in photos, as a guess: more than in the crowd, where they are a seventh


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


class Crowd:
    """Framed samples of a folder of shards, which may still grow."""

    def __init__(self, folder: Path):
        self._folder, self._look, self._read, self._people = folder, BlazePose(1), set(), []

    def refresh(self) -> int:
        """Reads the shards that are new, one at a time; the number of pictures."""
        for shard in sorted(self._folder.glob("*.npz")):
            if shard not in self._read:
                self._read.add(shard)
                arrays = find_people(shard, self._look)
                self._people += _each(arrays)
                break
        return len(self._people)

    def sample(self, rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
        """A batch as `framed` gives it, each framed a little differently, half of them mirrored."""
        chosen = rng.integers(len(self._people), size=count)
        batch = [framed(self._people[index], rng) for index in chosen]
        return {name: np.stack([sample[name] for sample in batch]) for name in batch[0]}


def framed(person: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """One picture in the network's frame: image, labels, mask and joints."""
    size = person["labels"].shape
    mask = person["mask"].astype(np.float32) / 255
    window = framing.window_around(framing.body_box(person["found"], mask), size, FRAME[1] / FRAME[0])
    grow = np.exp(0.06 * rng.standard_normal())
    shift = 0.02 * rng.standard_normal(2) + 0.5 * (1 - grow)
    window = framing.Window(
        window.top + shift[0] * window.height, window.left + shift[1] * window.width, window.height * grow,
        window.width * grow,
    )  # fmt: skip
    joints = window.joints_into(person["found"], FRAME)
    sample = {
        "image": window.cut(person["image"], FRAME),
        "labels": window.cut(person["labels"], FRAME, labels=True),
        "mask": window.cut(mask, FRAME),
        "joints": joints,
    }
    if rng.random() < 0.5:
        sample = {name: array[:, ::-1] for name, array in sample.items() if name != "joints"}
        sample["joints"] = joints_lib.flip(joints, FRAME[1])
    return sample


def foreign(key, batch):
    """Images, masks and joints of a batch with other colours, light, blur, noise and backgrounds, and less sure."""
    keys = iter(jax.random.split(key, 16))
    image, labels = batch["image"].astype(jnp.float32) / 255, batch["labels"]
    count = len(image)

    def normal(*shape):
        return jax.random.normal(next(keys), (count, *shape))

    def some(share):
        return jax.random.bernoulli(next(keys), share, (count, 1, 1, 1))

    # Every region its own gain and shift; the three of skin share theirs.
    gain, shift = 1 + 0.3 * normal(NUM_REGIONS, 3), 0.1 * normal(NUM_REGIONS, 3)
    skin = jnp.isin(jnp.arange(NUM_REGIONS), jnp.array([5, 6, 7]))[:, None]
    gain, shift = (jnp.where(skin, a[:, 5:6] * 0.5 + one * 0.5, a) for a, one in ((gain, 1.0), (shift, 0.0)))
    dyed = image * jax.vmap(jnp.take, (0, 0, None))(gain, labels, 0) + jax.vmap(jnp.take, (0, 0, None))(
        shift, labels, 0
    )
    image = jnp.where(some(0.7), dyed, image)
    # Another picture of the batch, upside down, as a background full of things.
    other = jnp.roll(image, 1, 0)[:, ::-1]
    image = jnp.where((labels == 0)[..., None] & some(0.2), other, image)
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
    mask = jnp.clip(batch["mask"] + 0.05 * normal(1, 1), 0, 1)
    return jnp.clip(image, 0, 1) * 2 - 1, mask, joints


def loss_of(params, seen, truth):
    """Cross-entropy and one minus the soft Dice score, both means, of what is seen and one-hot labels."""
    logits = RegionUNet().apply({"params": params}, seen)
    entropy, shares = optax.softmax_cross_entropy(logits, truth).mean(), jax.nn.softmax(logits)
    common, both = (shares * truth).sum((0, 1, 2)), (shares + truth).sum((0, 1, 2))
    return entropy + (1 - (2 * common + 1) / (both + 1)).mean()


def optimizer(args) -> optax.GradientTransformation:
    """AdamW with a short warm-up and a cosine down to a twentieth."""
    steps = max(2, args.steps)
    schedule = optax.warmup_cosine_decay_schedule(0.0, args.rate, min(100, steps // 2), steps, args.rate / 20)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=1e-3))


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def train_step(tx, state, batch):
    """(params, average, optimiser's state, step) after one batch, and the loss."""
    params, average, opt, step = state
    seen = inputs(*foreign(jax.random.fold_in(jax.random.key(5), step), batch))
    loss, gradients = jax.value_and_grad(loss_of)(params, seen, jax.nn.one_hot(batch["labels"], NUM_REGIONS))
    updates, opt = tx.update(gradients, opt, params)
    params = optax.apply_updates(params, updates)
    decay = jnp.minimum(AVERAGE, (1 + step) / (10 + step))
    average = jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, average, params)
    return (params, average, opt, step + 1), loss


def people_of(folder: Path, look: BlazePose) -> list[dict[str, np.ndarray]]:
    """All pictures of a folder of shards that is whole."""
    return [person for shard in sorted(folder.glob("*.npz")) for person in _each(find_people(shard, look))]


def fit_rule(params, people: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The rule that tells a dress: logistic regression over the `dress_cues` of people, by Newton's steps.

    Dresses count as DRESSES of all, whatever their share in the crowd is. A small penalty on the weights of the
    standardised cues keeps them finite where the cues tell all apart.
    """
    network = RegionNetwork(params)
    cues, truth = [], []
    for person in people:
        seen = network.cues(person["image"], person["found"], person["mask"].astype(np.float32) / 255)
        if seen is not None:
            cues.append(seen)
            truth.append((person["labels"] == DRESS).any())
    cues, truth = np.array(cues, np.float64), np.array(truth, np.float64)
    mean, spread = cues.mean(0), cues.std(0) + 1e-6
    rows, weights = np.column_stack([(cues - mean) / spread, np.ones(len(cues))]), np.zeros(cues.shape[1] + 1)
    counts = np.where(truth > 0, DRESSES / max(truth.mean(), 1e-6), (1 - DRESSES) / max(1 - truth.mean(), 1e-6))
    for _ in range(30):
        share = 1 / (1 + np.exp(-rows @ weights))
        slope = rows.T @ (counts * (share - truth)) + 0.1 * weights
        bend = (rows.T * (counts * share * (1 - share))) @ rows + 0.1 * np.eye(len(weights))
        weights -= np.linalg.solve(bend, slope)
    kernel = weights[:-1] / spread
    return {"kernel": np.float32(kernel), "bias": np.float32(weights[-1] - kernel @ mean)}


def measure(params, rule, people: list[dict[str, np.ndarray]]) -> dict:
    """IoU of every region and of the mask on pictures of the test crowd, as `estimators.load()` finds them."""
    network = RegionNetwork(params, rule)
    confusion = np.zeros((NUM_REGIONS, NUM_REGIONS), np.int64)
    masks = []
    for person in people:
        mask, labels = network(person["image"], person["found"], person["mask"].astype(np.float32) / 255)
        confusion += np.bincount(person["labels"].ravel() * 8 + labels.ravel(), minlength=64).reshape(8, 8)
        ours, true = mask > 0.5, person["labels"] > 0
        masks.append((ours & true).sum() / (ours | true).sum())
    iou = np.diag(confusion) / (confusion.sum(0) + confusion.sum(1) - np.diag(confusion))
    named = {name: round(float(value), 4) for name, value in zip(NAMES, iou, strict=True)}
    return {"pictures": len(people), "mean_iou": round(float(iou.mean()), 4), "iou": named,
            "mask_iou": round(float(np.mean(masks)), 4)}  # fmt: skip


def _each(arrays: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """Picture by picture, with joints as the estimator gives them."""
    people = [{name: array[i] for name, array in arrays.items()} for i in range(len(arrays["image"]))]
    return [person | {"found": calibrated_of(person)} for person in people]


def calibrated_of(person: dict[str, np.ndarray], params=None) -> np.ndarray:
    """The joints (18, 2) of a picture of `find_people` after calibration, by `params` or by what the package has."""
    body = Body(person["points"], np.zeros(calibration.POINTS), person["visibility"], person["mask"], people=1)
    return calibration.calibrated(person["found"], body, params)


def save(workdir: Path, name: str, data: bytes) -> None:
    """Whole or not at all."""
    part = workdir / f".{name}.part"
    part.write_bytes(data)
    os.replace(part, workdir / name)


def initial():
    """Kernels by He's rule, scales 1, biases 0; drawn by NumPy, which compiles nothing."""
    rng = np.random.default_rng(0)

    def leaf(path, like):
        kind = path[-1].key
        if kind == "kernel":
            spread = np.sqrt(2 / np.prod(like.shape[:-1]))
            return jnp.asarray(spread * rng.standard_normal(like.shape), jnp.float32)
        return jnp.full(like.shape, float(kind == "scale"), jnp.float32)

    return jax.tree_util.tree_map_with_path(leaf, shapes())


def start(args, tx):
    """The state in the workdir, or a new one."""
    kept = args.workdir / "state.pickle"
    if kept.exists():
        return jax.tree.map(jnp.asarray, pickle.loads(kept.read_bytes()))  # written by this script
    params = jax.tree.map(jnp.asarray, unpack(args.start.read_bytes())) if args.start else initial()
    return params, jax.tree.map(jnp.copy, params), tx.init(params), jnp.zeros((), jnp.int32)


def main() -> None:
    """Trains for --steps in all, or until --minutes are over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crowd", type=Path, required=True)
    parser.add_argument("--rule", type=Path, required=True, help="people that are not in --crowd, to fit the rule on")
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="weights (.npz) to start from")
    parser.add_argument("--steps", type=int, default=8000, help="0: fit the rule and measure, no more")
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--save-every", type=int, default=200)
    parser.add_argument("--measured", type=int, default=160, help="test pictures")
    args = parser.parse_args()
    args.workdir.mkdir(parents=True, exist_ok=True)
    tx, crowd, begun, losses = optimizer(args), Crowd(args.crowd), time.monotonic(), []
    look = BlazePose(1)
    unseen, test = people_of(args.rule, look), people_of(args.test, look)[: args.measured]
    state = start(args, tx)
    first = int(state[3])

    def keep() -> None:
        """Writes weights, state and report of now."""
        save(args.workdir, "state.pickle", pickle.dumps(jax.device_get(state)))
        params = jax.device_get(state[1])
        rule = fit_rule(params, unseen)
        save(args.workdir, "regions.npz", pack({**params, RULE: rule}))
        report = measure(params, rule, test)
        report.update(step=int(state[3]), batch=args.batch)
        save(args.workdir, "report.json", json.dumps(report, indent=2).encode())
        print(json.dumps(report), flush=True)

    if first >= args.steps:
        keep()
    for step in range(first, args.steps):
        if step % 10 == 0 or step == first:
            pictures = crowd.refresh()
        state, loss = train_step(tx, state, crowd.sample(np.random.default_rng([3, step]), args.batch))
        losses.append(float(loss))
        if step % 20 == 0:
            print(f"step {step} loss {np.mean(losses[-20:]):.4f} pictures {pictures} "
                  f"minutes {(time.monotonic() - begun) / 60:.1f}", flush=True)  # fmt: skip
        over = time.monotonic() - begun > 60 * args.minutes or step + 1 == args.steps
        if (step + 1) % args.save_every == 0 or over:
            keep()
        if over:
            break


if __name__ == "__main__":
    main()

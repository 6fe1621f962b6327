"""Trains the region network (`inference.finding.region_network`) on a rendered crowd, and resumes where it stopped.

    python tools/render_crowd.py --output data/crowd --people 6000 --seed 11 --before_body 0.3 --processes 16
    python tools/render_crowd.py --output data/crowd_rule --people 400 --seed 12
    python tools/render_crowd.py --output data/crowd_test --people 40 --seed 90011
    python tools/train_regions.py --crowd data/crowd --workdir runs/regions --minutes 7 --processes 12
    python tools/train_regions.py --rule data/crowd_rule --test data/crowd_test --workdir runs/regions --steps 0

Joints and the first mask of every picture are BlazePose's own, found once: what the network will be given later on. The
crowd lies on the device, framed with some room; it may still be rendered meanwhile, and joins as it comes. Samples are
framed, mirrored and made foreign there. The learning rate follows the steps or the clock, whichever is further.

Every --save_every seconds it writes the averaged weights, WORKDIR/regions.npz (float16, what ships), and what it
resumes from. Given --rule and --test it fits, at the end, the rule that tells a dress on people whom the network did
not learn from (of those it has learned from it is surer than it will be of anybody in a photo), and measures the IoU of
every region on the test crowd: WORKDIR/report.json.
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
from crowd import people_of
from region_samples import Crowd, foreign, sample

from scrn_jax.inference.finding.blazepose import BlazePose
from scrn_jax.inference.finding.garments import DRESS
from scrn_jax.inference.finding.region_network import RULE, RegionNetwork, RegionUNet, inputs, shapes, unpack
from scrn_jax.inference.packing import pack
from scrn_jax.person.regions import NAMES, NUM_REGIONS

AVERAGE = 0.998
DRESSES = 1 / 4  # of the people in photos, as a guess: more than in the crowd, where they are a seventh
WARM_UP = 100  # steps
LOOK = 20  # steps between two lines of loss


def loss_of(params, seen, truth):
    """Cross-entropy and one minus the soft Dice score, both means, of what is seen and one-hot labels."""
    logits = RegionUNet().apply({"params": params}, seen)
    entropy, shares = optax.softmax_cross_entropy(logits, truth).mean(), jax.nn.softmax(logits)
    common, both = (shares * truth).sum((0, 1, 2)), (shares + truth).sum((0, 1, 2))
    return entropy + (1 - (2 * common + 1) / (both + 1)).mean()


def optimizer() -> optax.GradientTransformation:
    """AdamW for a rate of 1: `train_step` knows the rate."""
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1.0, weight_decay=1e-3))


def rate_at(step: int, share: float, highest: float) -> float:
    """The learning rate after a `share` of the training: a short warm-up, and a cosine down to a twentieth."""
    return highest * min(1.0, (step + 1) / WARM_UP) * (0.05 + 0.95 * (1 + np.cos(np.pi * min(1.0, share))) / 2)


@functools.partial(jax.jit, static_argnums=(0, 3), donate_argnums=1)
def train_step(tx, state, crowd, count: int, rate):
    """(params, average, optimiser's state, step) after one batch of `count` of the crowd, and the loss."""
    params, average, opt, step = state
    of_sample, of_look = jax.random.split(jax.random.fold_in(jax.random.key(5), step))
    batch = sample(crowd, of_sample, count)
    seen = inputs(*foreign(of_look, batch))
    loss, gradients = jax.value_and_grad(loss_of)(params, seen, batch["labels"])
    updates, opt = tx.update(gradients, opt, params)
    params = optax.apply_updates(params, jax.tree.map(lambda update: rate * update, updates))
    decay = jnp.minimum(AVERAGE, (1 + step) / (10 + step))
    average = jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, average, params)
    return (params, average, opt, step + 1), loss


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


def start(workdir: Path, weights: Path | None):
    """The state in the workdir, or a new one, with the layers of `weights`."""
    kept = workdir / "state.pickle"
    if kept.exists():
        return jax.tree.map(jnp.asarray, pickle.loads(kept.read_bytes()))  # written by this script
    params = jax.tree.map(jnp.asarray, unpack(weights.read_bytes())) if weights else initial()
    return params, jax.tree.map(jnp.copy, params), optimizer().init(params), jnp.zeros((), jnp.int32)


def keep(state, workdir: Path) -> None:
    """Writes weights and state of now."""
    state = jax.device_get(state)
    save(workdir, "state.pickle", pickle.dumps(state))
    save(workdir, "regions.npz", pack(state[1]))


def train(args) -> None:
    """Trains until --steps are made or --minutes are over, and keeps what it has."""
    tx, begun, last_kept, losses = optimizer(), time.monotonic(), time.monotonic(), []
    crowd, state = Crowd(args.crowd, args.room, args.processes), start(args.workdir, args.start)
    print(f"waiting for {args.enough} pictures of {args.crowd}", flush=True)
    arrays, step = crowd.refresh(args.enough), int(state[3])
    while (gone := (time.monotonic() - begun) / 60) < args.minutes and step < args.steps:
        rate = rate_at(step, max(step / args.steps, gone / args.minutes), args.rate)
        state, loss = train_step(tx, state, arrays, args.batch, jnp.float32(rate))
        losses.append(loss)
        step += 1
        if len(losses) == LOOK:
            mean = float(np.mean(jax.device_get(losses)))  # waits for the steps, so that few of them are under way
            print(f"step {step} loss {mean:.4f} rate {rate:.2g} pictures {crowd.count} minutes {gone:.2f}", flush=True)
            losses, arrays = [], crowd.refresh()
        if time.monotonic() - last_kept > args.save_every:
            keep(state, args.workdir)
            last_kept = time.monotonic()
    keep(state, args.workdir)


def main() -> None:
    """Trains, fits the rule and measures, as far as it is told to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crowd", type=Path, help="to train on")
    parser.add_argument("--rule", type=Path, help="people that are not in --crowd, to fit the rule on")
    parser.add_argument("--test", type=Path)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="weights (.npz) to start from")
    parser.add_argument("--steps", type=int, default=8000, help="in all; 0: fit the rule and measure, no more")
    parser.add_argument("--minutes", type=float, default=1e9, help="of this run")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--save_every", type=float, default=60, help="seconds")
    parser.add_argument("--room", type=int, default=40_000, help="for so many pictures on the device, 350 kB each")
    parser.add_argument("--enough", type=int, default=1000, help="pictures to begin with")
    parser.add_argument("--processes", type=int, default=1, help="that look at the crowd")
    parser.add_argument("--measured", type=int, default=160, help="test pictures")
    args = parser.parse_args()
    args.workdir.mkdir(parents=True, exist_ok=True)
    if args.steps:
        if not args.crowd:
            parser.error("--crowd: whom to learn from?")
        train(args)
    if args.rule and args.test:
        weights, look = args.workdir / "regions.npz", BlazePose(1)
        params = unpack(weights.read_bytes())
        params.pop(RULE, None)
        rule = fit_rule(params, people_of(args.rule, look))
        save(args.workdir, "regions.npz", pack({**params, RULE: rule}))
        report = measure(params, rule, people_of(args.test, look)[: args.measured])
        save(args.workdir, "report.json", json.dumps(report, indent=2).encode())
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()

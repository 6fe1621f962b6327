"""Trains the network of `inference.finding.calibration` on a rendered crowd, and measures joints on test crowds.

    python tools/fit_joints.py --crowd data/crowd --test data/crowd_test --output joints.npz

Reads the shards of tools/render_crowd.py and tools/crowd_from_records.py with what BlazePose finds in them
(`.body` files, made here when they are not there: 30 ms of a core a picture). 10,000 steps take 15 s. Prints
the errors on every test crowd before and after, in pixels of its pictures.
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from crowd import calibrated_of, find_people

from scrn_jax.inference.finding import calibration
from scrn_jax.inference.finding.blazepose import BlazePose
from scrn_jax.inference.packing import pack, unpack
from scrn_jax.person.joints import MIRROR, NAMES, NUM_JOINTS, present

BATCH, WIDTH, RATE, DECAY = 256, 128, 2e-3, 3e-2
# Errors beyond a quarter of the trunk are mistakes, left for right or another place: they pull a tenth as much.
MISTAKE, PULL = 0.25, 0.1
NOISE = 0.01  # of the inputs, so that the network does not lean on a pixel


def read(folder: Path) -> dict[str, np.ndarray]:
    """All shards of a folder as one, see `find_people`, but for pictures and maps."""
    look = BlazePose(1)
    shards = [find_people(shard, look) for shard in sorted(folder.glob("*.npz"))]
    names = ("joints", "found", "points", "visibility", "mask")
    return {name: np.concatenate([shard[name] for shard in shards]) for name in names}


def samples(people: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, wanted moves and which of them are known, of all people and of their mirror images."""
    seen = calibration.inputs(people["points"], people["visibility"])
    _, axes, length = calibration.body_frames(people["points"])
    known = present(people["found"]) & present(people["joints"])
    error = np.einsum("nij,nkj->nki", axes, people["joints"] - people["found"]) / length[:, None, None]
    wanted = np.where(known[..., None], error, 0).astype(np.float32)
    pairs = (
        (seen, calibration.mirrored(seen)), (wanted, wanted[:, MIRROR] * np.float32([1, -1])), (known, known[:, MIRROR])
    )  # fmt: skip
    return tuple(np.concatenate(pair) for pair in pairs)


def initial(key) -> dict[str, jax.Array]:
    """Parameters of `calibration.moves` that move nothing by much."""
    sizes = (calibration.POINTS * calibration.INPUTS, WIDTH, WIDTH, 2 * NUM_JOINTS)
    params = {}
    for layer, (inside, outside) in enumerate(zip(sizes, sizes[1:], strict=False)):
        spread = (0.01 if layer == 2 else 1.0) / np.sqrt(inside)
        params[f"kernel_{layer}"] = spread * jax.random.normal(jax.random.fold_in(key, layer), (inside, outside))
        params[f"bias_{layer}"] = jnp.zeros(outside)
    return params


def loss(params, seen, wanted, known, key):
    """The mean distance from the wanted places, in trunks, mistakes counting little."""
    noise = NOISE * jax.random.normal(key, seen.shape)
    far = jnp.sqrt(((calibration.moves(params, seen + noise) - wanted) ** 2).sum(-1) + 1e-5)
    far = jnp.minimum(far, MISTAKE + PULL * (far - MISTAKE))
    return (far * known).sum() / known.sum()


def train(people: dict[str, np.ndarray], steps: int) -> dict[str, jax.Array]:
    """The parameters after so many steps."""
    arrays, key, rng = samples(people), jax.random.key(0), np.random.default_rng(0)
    tx = optax.adamw(optax.cosine_decay_schedule(RATE, steps), weight_decay=DECAY)
    params = initial(key)
    state = tx.init(params)

    @jax.jit
    def step(params, state, batch, number):
        gradient = jax.grad(loss)(params, *batch, jax.random.fold_in(key, number))
        updates, state = tx.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    for number in range(steps):
        chosen = rng.integers(len(arrays[0]), size=BATCH)
        params, state = step(params, state, [array[chosen] for array in arrays], number)
    return params


def report(name: str, true: np.ndarray, found: np.ndarray) -> None:
    """Prints the errors of joints that are both there and found, and how many are missed or made up."""
    both = present(true) & present(found)
    error = np.hypot(*np.moveaxis(true - found, -1, 0))
    print(f"{name}: median {np.median(error[both]):.2f} px, within 10 {(error[both] <= 10).mean():.1%}, of "
          f"{both.sum()} joints in {len(true)} pictures; missed {(present(true) & ~both).sum()}, made up "
          f"{(present(found) & ~both).sum()}")  # fmt: skip
    for joint, label in enumerate(NAMES):
        ours = error[both[:, joint], joint]
        print(f"  {label:15s} median {np.median(ours):.2f}  within 10 {(ours <= 10).mean():.1%}")


def main() -> None:
    """Trains, writes, measures what was written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crowd", type=Path, required=True)
    parser.add_argument("--test", type=Path, nargs="+", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=10_000)
    args = parser.parse_args()
    args.output.write_bytes(pack(train(read(args.crowd), args.steps)))
    params = unpack(args.output.read_bytes())
    for folder in args.test:
        people = read(folder)
        each = [{name: array[i] for name, array in people.items()} for i in range(len(people["found"]))]
        report(f"{folder.name}, as found", people["joints"], people["found"])
        report(f"{folder.name}, calibrated", people["joints"], np.stack([calibrated_of(one, params) for one in each]))


if __name__ == "__main__":
    main()

"""One step in float64, whole and in parts, for test_accumulation.py: python double_precision.py CONFIG.json PARTS.

Prints {network: relative difference of the two gradients} as JSON. Whatever the code calls float32 is float64 here, so
that a difference in the maths shows and rounding does not.
"""

import json
import sys
from pathlib import Path

import jax

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_enable_x64", True)
jax.numpy.float32 = jax.numpy.float64  # before flax and the models take it for their defaults

import numpy as np  # noqa: E402

from scrn_jax import settings, state, train_step  # noqa: E402
from scrn_jax.features import weights  # noqa: E402
from scrn_jax.restore import QUICK_COMPILE  # noqa: E402


def make_batch(chosen: settings.Settings) -> dict[str, np.ndarray]:
    """Random people, each with a face: the face loss averages over those that have one."""
    rng, count, size = np.random.default_rng(0), chosen.train.batch_size, chosen.size
    batch = {"face_box": np.tile(np.float64([4, 4, 12, 12]), (count, 1))}
    for side in ("source", "target"):
        batch[f"{side}_image"] = rng.integers(0, 256, (count, *size, 3), dtype=np.uint8)
        batch[f"{side}_parsing"] = rng.integers(0, 8, (count, *size), dtype=np.uint8)
        batch[f"{side}_pose"] = rng.uniform(0, min(size) - 1, (count, 18, 2))
    return batch


def gradients(config: dict, parts: int, first, frozen, batch) -> dict[str, np.ndarray]:
    """Each network's gradient as one vector; Adam's running mean is a tenth of it after one step."""
    chosen = settings.from_config({**config, "train": {**config["train"], "accumulate": parts}})
    moved, _ = jax.jit(train_step.make_train_step(chosen), compiler_options=QUICK_COMPILE)(first, frozen, batch)
    found = {}
    for network in ("generator", "discriminator"):
        adam = getattr(moved, f"{network}_optimizer")[1]
        found[network] = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(adam.mu)])
        assert found[network].dtype == np.float64
    return found


def main() -> None:
    config, parts = json.loads(Path(sys.argv[1]).read_text()), int(sys.argv[2])
    chosen = settings.from_config(config)
    first = jax.jit(lambda: state.init_state(chosen), compiler_options=QUICK_COMPILE)()
    loaded = {"vgg": weights.load("vgg16", "random"), "alexnet": weights.load("alexnet", "random")}
    frozen = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), loaded)
    whole, in_parts = (gradients(config, each, first, frozen, make_batch(chosen)) for each in (1, parts))
    print(json.dumps({
        network: float(np.linalg.norm(in_parts[network] - whole[network]) / np.linalg.norm(whole[network]))
        for network in whole
    }))  # fmt: skip


if __name__ == "__main__":
    main()

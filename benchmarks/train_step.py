"""How long does a training step take, beside the same step in PyTorch?

    python -m benchmarks.train_step                     # the demo's model
    python -m benchmarks.train_step --preset full       # the paper's model at 256x176, batch 2: minutes
    python -m benchmarks.train_step --preset patn_small # configs/methods.py: pona_small, pise_small, patn ...

Both sides start from the same weights and take the same batch; they run in turn in one process. Prints a table and
writes benchmarks/results/train_step_PRESET-MACHINE.json.
"""

from benchmarks import compare, torch_training, workload


def ours(ours: workload.Ours):
    """Our side."""
    return ours.training_step()


def theirs(mirror: torch_training.Training, batch):
    """The mirror's side."""
    return lambda: mirror.step(batch)


if __name__ == "__main__":
    compare.main("train_step", __doc__, ours, theirs)

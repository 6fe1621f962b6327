"""How long does painting a batch of people take, beside the same generator in PyTorch?

    python -m benchmarks.inference                      # the demo's model
    python -m benchmarks.inference --preset full        # the paper's model at 256x176

Both sides have the same weights and take the same batch; they run in turn in one process. Prints a table and writes
benchmarks/results/inference_PRESET-MACHINE.json.
"""

import torch

from benchmarks import compare, torch_training, workload


def ours(ours: workload.Ours):
    """Our side."""
    return ours.forward()


def theirs(mirror: torch_training.Training, batch):
    """The mirror's side."""

    @torch.inference_mode()
    def run():
        return mirror.outputs(batch)["image"]

    return run


if __name__ == "__main__":
    compare.main("inference", __doc__, ours, theirs)

"""The size of PISE's generator. tests/benchmarks/test_torch_methods.py holds it against PyTorch."""

import jax

from scrn_jax.models import base
from scrn_jax.models.pise.generator import PISE


def test_it_has_as_many_parameters_as_were_published():
    """64.01 M is with all of VGG19's convolutions, and 291 more that nothing uses: a mask's output, two blends."""
    inputs = base.example_inputs((256, 176))
    shapes = jax.eval_shape(lambda: PISE().init(jax.random.key(0), **inputs))["params"]
    count = sum(leaf.size for name, part in shapes.items() if name != "vgg" for leaf in jax.tree.leaves(part))
    assert count == 43_982_875
    assert round((count + 20_024_384 + 291) / 1e6, 2) == 64.01

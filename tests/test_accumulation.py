"""Four parts of two give the gradient of a batch of eight: what is left between them in float32 is rounding."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scrn_jax.settings import to_config

SCRIPT = Path(__file__).with_name("double_precision.py")


@pytest.fixture(scope="module")
def differences(tmp_path_factory, tiny_settings):
    """Relative difference in float64 of each network's gradient, whole and in four parts."""
    config = tmp_path_factory.mktemp("double") / "config.json"
    config.write_text(json.dumps(to_config(tiny_settings(train={"batch_size": 8}, loss={"cor": 0.0, "per": 0.0}))))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(config), "4"], cwd=SCRIPT.parents[1], env=environment, capture_output=True,
        text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(not os.environ.get("WHOLE_RUNS"), reason="WHOLE_RUNS=small asks for the long proofs")
@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_four_parts_of_two_give_the_gradient_of_eight_in_double_precision(network, differences):
    """To 1e-9, where float32 gives some 1e-5 (see test_memory_savers.py): nothing in the maths tells them apart."""
    assert differences[network] < 1e-9

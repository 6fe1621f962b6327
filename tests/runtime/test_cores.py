"""A processor's cores as devices, and its memory; in processes of their own, for which both are set for good."""

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import os, jax
from scrn_jax.runtime import devices
{first}
devices.one_device_each()
print(jax.local_device_count())
"""


def _devices(first: str = "", **environment) -> int:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XLA_"))}
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(first=first)], env=kept | {"JAX_PLATFORMS": "cpu"} | environment,
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    return int(found.stdout)


@pytest.mark.parametrize(("available", "devices"), [(3, 3), (200, 8)])
def test_every_core_is_a_device_up_to_eight(available, devices):
    assert _devices(f"devices.cores = lambda: {available}") == devices


@pytest.mark.parametrize("environment", [
    {"JAX_NUM_CPU_DEVICES": "5"}, {"XLA_FLAGS": "--xla_force_host_platform_device_count=5"},
])  # fmt: skip
def test_a_number_that_somebody_chose_stays(environment):
    assert _devices("devices.cores = lambda: 3", **environment) == 5


def test_devices_that_are_there_stay():
    assert _devices("devices.cores = lambda: 3; jax.devices()") == 1


FREED_AND_TAKEN_AGAIN = """
import ctypes, resource
from scrn_jax.runtime import workers
library, size = ctypes.CDLL(None), 96 * 2**20
library.malloc.restype, library.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]

def page_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    memory = library.malloc(size)
    ctypes.memset(memory, 1, size)
    library.free(memory)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

page_faults()
given_back = page_faults()
print(workers.keep_memory())
page_faults()
print(given_back > 10 * page_faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library of this system is not told")
def test_freed_memory_is_taken_again_without_the_kernel_clearing_it():
    said = subprocess.run([sys.executable, "-c", FREED_AND_TAKEN_AGAIN], check=True, stdout=subprocess.PIPE, text=True)
    assert said.stdout.split() == ["True", "True"]

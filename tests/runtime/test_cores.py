"""A processor's cores as devices, and its memory; in processes of their own, for which both are set for good."""

import os
import platform
import subprocess
import sys

import pytest

from scrn_jax.runtime import workers

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


ASKS = """
import os, sys
from pathlib import Path
from scrn_jax.runtime import workers
workers.ask_for_large_pages(Path(sys.argv[1]))
print(sys.argv[2], os.environ.get("GLIBC_TUNABLES", ""))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
@pytest.mark.parametrize(("kernel", "set_already", "tunables"), [
    ("always [madvise] never", "", "glibc.malloc.hugetlb=1"),
    ("always [madvise] never", "glibc.malloc.check=0", "glibc.malloc.check=0:glibc.malloc.hugetlb=1"),
    ("always [madvise] never", "glibc.malloc.hugetlb=0", "glibc.malloc.hugetlb=0"),
    ("[always] madvise never", "", ""),
])  # fmt: skip
def test_a_program_asks_for_large_pages_where_the_kernel_waits_to_be_asked(tmp_path, kernel, set_already, tunables):
    """It starts anew, once, with the arguments that it had."""
    (tmp_path / "enabled").write_text(kernel)
    command = [sys.executable, "-c", ASKS, tmp_path / "enabled", "an argument"]
    environment = os.environ | {"GLIBC_TUNABLES": set_already}
    said = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True, timeout=120)
    assert said.stdout.strip() == f"an argument {tunables}".strip()


def test_without_the_kernels_word_nothing_is_asked(tmp_path):
    workers.ask_for_large_pages(tmp_path / "absent")


FREES = """
from scrn_jax.runtime import workers

def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS"))

kept = [bytes(2000) for _ in range(100_000)]
last = bytes(2000)  # above all others, so that what is below it stays with the C library
held = resident()
del kept
freed = resident()
workers.return_memory()
print(held, freed, resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_what_is_free_goes_back_to_the_system():
    said = subprocess.run([sys.executable, "-c", FREES], check=True, stdout=subprocess.PIPE, text=True, timeout=120)
    held, freed, returned = map(int, said.stdout.split())
    assert held - freed < 100_000 < held - returned, said.stdout  # kB of 200,000

"""A device for each core, so that a processor measures several images at a time.

XLA spreads a large operation over all cores, but the many small ones of an evaluation use one of them: Inception takes
109 ms an image with one device on two cores of an AMD EPYC, 69 ms with two.
"""

import contextlib
import os

import jax

MOST = 8  # devices: each has a copy of the networks' parameters, about 100 MB


def one_device_each() -> None:
    """Make every core a device, as long as nothing has been computed and nobody has said how many devices to make.

    Says nothing about accelerators: where there are some, they are used as ever.
    """
    if jax.config.jax_num_cpu_devices >= 0 or "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
        return
    with contextlib.suppress(RuntimeError):  # JAX has its devices already
        jax.config.update("jax_num_cpu_devices", min(_cores(), MOST))


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

"""Passes over sets of images under one protocol: what they share, and what their results depend on."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from scrn_jax.folders import reading, survey
from scrn_jax.folders.measuring import run
from scrn_jax.folders.meter import Item, Meter
from scrn_jax.folders.networks import RANDOM, Networks
from scrn_jax.folders.resume import Shelf, State
from scrn_jax.metrics.fid import Origin
from scrn_jax.metrics.protocols import Protocol

_PACKAGES = ("scrn-jax", "jax", "jaxlib", "numpy", "pillow")


class Passes:
    """Runs passes over images with the same devices, networks and shelf.

    Attributes:
      protocol: how to measure.
      origin: of Inception's features of images in the protocol's frame.
      has_random_features: whether Inception's weights are random ones, whose features are worth nothing.
    """

    def __init__(self, protocol: Protocol, networks: Networks, batch_size: int | None, output: Path):
        self.protocol = protocol
        self.has_random_features = networks.weights.get("inception", {}).get("sha256") == RANDOM
        self.origin = Origin(protocol.frame, "inception", networks.weights.get("inception", {}).get("sha256", "none"))
        self._meter = Meter(protocol, networks, batch_size)
        self._shelf = Shelf(output)
        self._grounds = {
            "protocol": asdict(protocol),
            "weights": networks.weights,
            "batch": [self._meter.batch_size, self._meter.devices, jax.default_backend()],
            "versions": [version(name) for name in _PACKAGES],
        }

    def run(self, title: str, items: Sequence[Any], read: Callable[[Any], Item], facts: dict[str, Any]) -> State:
        """One pass (see `measuring.run`); `facts` tell its images from those of other passes."""
        return run(self._meter, title, items, read, self._shelf, self.fingerprint(facts))

    def fingerprint(self, facts: dict[str, Any]) -> str:
        """Of everything that a pass with these facts depends on."""
        return survey.fingerprint({**self._grounds, **facts})

    def pixels(self, path: Path) -> np.ndarray:
        """An image in the protocol's frame, uint8 (H, W, 3)."""
        return reading.decode(reading.read_bytes(path), str(path), self.protocol.frame)

    def mask(self, path: Path) -> np.ndarray:
        """A mask in the protocol's frame, uint8 (H, W) of 0 and 1."""
        return reading.decode_mask(reading.read_bytes(path), str(path), self.protocol.frame)

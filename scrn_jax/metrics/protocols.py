"""The ways in which the field measures, by name: the same images give other numbers under another protocol."""

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from scrn_jax.errors import UserError
from scrn_jax.metrics.lpips import LPIPS
from scrn_jax.metrics.metric import masked
from scrn_jax.metrics.psnr import psnr
from scrn_jax.metrics.ssim import ssim
from scrn_jax.models.ops.convolutions import Compute


@dataclass(frozen=True)
class Ssim:
    """SSIM's parameters (see `ssim.ssim`); a data range of None is each generated image's own maximum - minimum."""

    window: int = 7
    gaussian: bool = False
    sigma: float = 1.5
    sample_covariance: bool = True
    data_range: float | None = 1.0

    def __call__(self, generated_BxHxWx3: jax.Array, reference_BxHxWx3: jax.Array) -> jax.Array:
        """(B,) SSIM of images in [0, 1]."""
        data_range = self.data_range
        if data_range is None:
            data_range = generated_BxHxWx3.max((1, 2, 3)) - generated_BxHxWx3.min((1, 2, 3))
        return ssim(
            generated_BxHxWx3,
            reference_BxHxWx3,
            data_range=data_range,
            window=self.window,
            gaussian=self.gaussian,
            sigma=self.sigma,
            sample_covariance=self.sample_covariance,
        )


@dataclass(frozen=True)
class Protocol:
    """One way to measure.

    Attributes:
      name: what a report calls it.
      frame: height and width that images have when they are compared.
      padding: white columns added on each side for SSIM and PSNR only.
      ssim: SSIM's parameters by the figure's name; the first is the one in the tables.
      lpips: "alex", or None where the protocol has no LPIPS.
      fid_reference: the images that FID compares with, "test" (the targets) or "train", or None without FID.
      tables: the papers whose numbers it belongs to.
      remarks: what is a guess, and what the published code does otherwise.
    """

    name: str
    frame: tuple[int, int]
    padding: int
    ssim: dict[str, Ssim]
    lpips: str | None
    fid_reference: str | None
    tables: str
    remarks: str = ""


_WANG = Ssim(gaussian=True, sample_covariance=False, data_range=None)
_GFLA_SSIM = {"ssim": Ssim(window=51), "ssim_gaussian": _WANG}

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "scrn",
            (256, 176),
            0,
            {"ssim": Ssim(data_range=2.0)},
            "alex",
            "test",
            "SCRN, tables 1 and 2",
            "The paper states the frame only. SSIM's parameters are the best guess: scikit-image's defaults, which"
            " take a data range of 2 for float images in [0, 1]. FID's reference is a guess too, or else 'train'.",
        ),
        Protocol(
            "patn",
            (256, 176),
            40,
            {"ssim": _WANG},
            None,
            None,
            "PATN, ADGAN, PoNA, DiOr",
            "Padding adds 10 log10(256 / 176) = 1.627 dB of PSNR and about 0.09 of SSIM.",
        ),
        Protocol(
            "gfla",
            (256, 256),
            0,
            _GFLA_SSIM,
            "alex",
            "train",
            "GFLA",
            "The images are the high-resolution ones stretched to a square. Its code drops FID's last partial batch.",
        ),
        Protocol(
            "dptn",
            (256, 176),
            40,
            _GFLA_SSIM,
            "alex",
            "train",
            "DPTN",
            "SSIM and PSNR are padded, LPIPS and FID are not.",
        ),
        Protocol(
            "cfld",
            (256, 176),
            0,
            _GFLA_SSIM,
            "alex",
            "train",
            "NTED, PIDM, CFLD",
            "The references are the high-resolution images, resized. CFLD's code takes FID from torchvision's ImageNet"
            " Inception; here it is pytorch-fid's, so that FID does not compare with its table.",
        ),
    )
}
DEFAULT = "scrn"
# GFLA's window of SSIM has 51 pixels.
_LEAST_SIDE, _MOST_SIDE = 51, 4096


def protocol(name: str = DEFAULT) -> Protocol:
    """The protocol of that name; NAME@HEIGHTxWIDTH is the same in another frame, without padding.

    So the figures of Market-1501 (patn@128x64) and of large pictures (cfld@512x352) are measured. Raises UserError for
    an unknown name, and for a frame that is none or smaller than SSIM's window.
    """
    base, at, frame = name.partition("@")
    if base not in PROTOCOLS:
        raise UserError(f"no protocol is called {base}: choose among {', '.join(PROTOCOLS)}")
    if not at:
        return PROTOCOLS[base]
    sides = re.fullmatch(r"([0-9]{2,4})x([0-9]{2,4})", frame)
    if sides is None or not all(_LEAST_SIDE <= int(side) <= _MOST_SIDE for side in sides.groups()):
        raise UserError(
            f"protocol {name}: write its frame as HEIGHTxWIDTH, {_LEAST_SIDE} to {_MOST_SIDE} pixels each, e.g. "
            f"{base}@128x64"
        )
    height, width = map(int, sides.groups())
    return dataclasses.replace(PROTOCOLS[base], name=name, frame=(height, width), padding=0)


def fit(image_HxWx3: np.ndarray, frame: tuple[int, int], origin: str) -> np.ndarray:
    """The image in the protocol's frame: as it is, or without the side bars of a wider one (40 columns of 256 each).

    Raises:
      UserError: not an RGB image of that height with as much too many columns on both sides; it names `origin`.
    """
    height, width = frame
    shape = image_HxWx3.shape
    if len(shape) != 3 or shape[2] != 3:
        raise UserError(f"{origin}: not an RGB image but an array of {shape}; convert it to RGB")
    extra = shape[1] - width
    if shape[0] != height or extra < 0 or extra % 2:
        raise UserError(
            f"{origin}: {shape[0]}x{shape[1]} pixels do not fit the frame {height}x{width}; resize it, or"
            " choose the protocol of its frame"
        )
    return image_HxWx3[:, extra // 2 : extra // 2 + width]


Measure = Callable[..., dict[str, jax.Array]]


def make_similarities(chosen: Protocol) -> Measure:
    """The function that measures what needs no network of a batch of pairs under a protocol: SSIM and PSNR.

    It takes (generated, reference, mask): images (B, H, W, 3) in the protocol's frame, uint8 or float in [0, 1]; a
    person mask (B, H, W), or None. It returns (B,) figures by name: chosen.ssim's names, "psnr", and with a mask
    "mask_ssim".
    """
    main_ssim = next(iter(chosen.ssim.values()))

    def measure(generated: jax.Array, reference: jax.Array, mask: jax.Array | None = None) -> dict[str, jax.Array]:
        padded = tuple(_pad(_unit(images), chosen.padding) for images in (generated, reference))
        figures = {name: parameters(*padded) for name, parameters in chosen.ssim.items()}
        figures["psnr"] = psnr(*padded)
        if mask is not None:
            figures["mask_ssim"] = masked(main_ssim)(*padded, _pad(mask[..., None], chosen.padding, 0)[..., 0])
        return figures

    return measure


def make_distances(chosen: Protocol, convolutions: str = "auto") -> Measure:
    """The function that measures a protocol's LPIPS, if it has one: {} or "lpips_alex", with a mask "mask_lpips_alex".

    It takes what `make_similarities`' takes, with LPIPS's parameters (`lpips.load_params(chosen.lpips)`) before the
    mask. `convolutions`: those of its network, as in `models.ops.convolutions.Compute`.
    """

    def measure(
        generated: jax.Array, reference: jax.Array, lpips_params: Any, mask: jax.Array | None = None
    ) -> dict[str, jax.Array]:
        if not chosen.lpips:
            return {}

        def distance(a: jax.Array, b: jax.Array) -> jax.Array:
            return LPIPS(chosen.lpips, Compute(convolutions=convolutions)).apply({"params": lpips_params}, a, b)

        pair = _unit(generated), _unit(reference)
        figures = {f"lpips_{chosen.lpips}": distance(*pair)}
        if mask is not None:
            figures[f"mask_lpips_{chosen.lpips}"] = masked(distance)(*pair, mask)
        return figures

    return measure


def _unit(images: jax.Array) -> jax.Array:
    """Images as float32 in [0, 1]."""
    return images.astype(jnp.float32) / 255 if images.dtype == jnp.uint8 else images.astype(jnp.float32)


def _pad(images_BxHxWxC: jax.Array, columns: int, value: float = 1.0) -> jax.Array:
    """Adds columns of `value`, white by default, on both sides."""
    return jnp.pad(images_BxHxWxC, ((0, 0), (0, 0), (columns, columns), (0, 0)), constant_values=value)

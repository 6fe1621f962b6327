"""The scripts with which the field measures: scikit-image and PyPI's lpips a pair at a time, then PyPI's pytorch-fid.

They are what benchmarks/evaluate.py times, and what tests/folders compares with.
"""

import importlib.util
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

_STAND_IN = Path(__file__).parents[1] / "tests" / "metrics" / "conftest.py"
_WANG = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


def _spread(image: np.ndarray) -> float:
    return float(image.max() - image.min())


# What each protocol's code calls scikit-image's SSIM with, by the figure's name, given the generated image in [0, 1].
SSIM: dict[str, dict[str, Callable[[np.ndarray], dict[str, Any]]]] = {
    "scrn": {"ssim": lambda image: {"data_range": 2.0}},
    "patn": {"ssim": lambda image: {**_WANG, "data_range": _spread(image)}},
}
for _name in ("gfla", "dptn", "cfld"):
    SSIM[_name] = {
        "ssim": lambda image: {"win_size": 51, "data_range": 1.0},
        "ssim_gaussian": lambda image: {**_WANG, "data_range": _spread(image)},
    }
PADDED = ("patn", "dptn")


def read(path: Path) -> np.ndarray:
    """An image file as uint8 (H, W, 3)."""
    return np.asarray(Image.open(path).convert("RGB"))


def ssim_and_psnr(protocol: str, generated: Sequence[Path], reference: Sequence[Path]) -> list[dict[str, float]]:
    """SSIM by the protocol's parameters, and PSNR, of each pair of files."""
    columns = 40 if protocol in PADDED else 0
    figures = []
    for pair in zip(generated, reference, strict=True):
        images = (np.pad(read(path), ((0, 0), (columns, columns), (0, 0)), constant_values=255) for path in pair)
        a, b = (image / 255 for image in images)
        found = {
            name: float(structural_similarity(b, a, channel_axis=-1, **parameters(a)))
            for name, parameters in SSIM[protocol].items()
        }
        figures.append(found | {"psnr": float(peak_signal_noise_ratio(b, a, data_range=1.0))})
    return figures


def lpips(network: torch.nn.Module, generated: Sequence[Path], reference: Sequence[Path]) -> list[float]:
    """LPIPS of each pair of files, by PyPI's network."""
    with torch.no_grad():
        return [
            network(*(_tensor(read(path))[None] for path in pair), normalize=True).item()
            for pair in zip(generated, reference, strict=True)
        ]


def activations(network: torch.nn.Module, paths: Sequence[Path], batch_size: int = 50) -> np.ndarray:
    """pytorch-fid's features (N, 2048) of the files."""
    from pytorch_fid import fid_score

    return fid_score.get_activations([str(path) for path in paths], network, min(batch_size, len(paths)), num_workers=0)


def fid(network: torch.nn.Module, generated: Sequence[Path], reference: Sequence[Path]) -> float:
    """pytorch-fid's distance of two sets of files."""
    from pytorch_fid import fid_score

    sides = [activations(network, paths) for paths in (generated, reference)]
    moments = [(features.mean(0), np.cov(features, rowvar=False)) for features in sides]
    return float(fid_score.calculate_frechet_distance(*moments[0], *moments[1]))


def lpips_network(params: dict[str, Any]) -> torch.nn.Module:
    """PyPI's LPIPS (AlexNet, v0.1) with its own heads and the trunk of our parameters."""
    import lpips as package

    network = package.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()
    convolutions = [layer for layer in network.net.modules() if isinstance(layer, torch.nn.Conv2d)]
    for layer, leaves in zip(convolutions, params["trunk"].values(), strict=True):
        _set_convolution(layer, leaves["kernel"])
        layer.bias.data = torch.tensor(leaves["bias"])
    return network


def inception_network(params: dict[str, Any]) -> torch.nn.Module:
    """pytorch-fid's Inception with our parameters, whose batch norms are folded: here these do nothing but add."""
    from pytorch_fid import inception

    from scrn_jax.models.pretrained.inception import conv_paths

    kept = inception.load_state_dict_from_url, torch.nn.Module.load_state_dict
    inception.load_state_dict_from_url = lambda *_, **__: {}
    torch.nn.Module.load_state_dict = lambda *_, **__: None
    try:
        blank = inception.fid_inception_v3()
    finally:
        inception.load_state_dict_from_url, torch.nn.Module.load_state_dict = kept
    for path in conv_paths():
        block, leaves = blank.get_submodule(".".join(path)), params
        for step in path:
            leaves = leaves[step]
        _set_convolution(block.conv, leaves["kernel"])
        block.bn.running_var.fill_(1 - block.bn.eps)
        block.bn.bias.data = torch.tensor(leaves["bias"])
    kept_maker, inception.fid_inception_v3 = inception.fid_inception_v3, lambda: blank
    try:
        return inception.InceptionV3().eval()
    finally:
        inception.fid_inception_v3 = kept_maker


def _set_convolution(layer: torch.nn.Conv2d, kernel_HxWxIxO: np.ndarray) -> None:
    layer.weight.data = torch.tensor(np.ascontiguousarray(kernel_HxWxIxO.transpose(3, 2, 0, 1)))


def _tensor(image: Any) -> torch.Tensor:
    """What torchvision's ToTensor does."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def provide_torchvision(set_module: Callable[[str, types.ModuleType], Any] = sys.modules.__setitem__) -> str:
    """Makes `import torchvision` give what lpips and pytorch-fid need of it, also where it is not installed or broken.

    The networks are then those of the tests' stand-in, layer for layer torchvision's.

    Returns:
      Which of both it is.
    """
    spec = importlib.util.spec_from_file_location("torchvision_stand_in", _STAND_IN)
    stand_in = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stand_in)
    names = ("torchvision", "torchvision.models", "torchvision.models.inception", "torchvision.transforms")
    top, models, inception, transforms = (types.ModuleType(name) for name in names)
    top.__version__, top.models, top.transforms, models.inception = "0.28", models, transforms, inception
    models.alexnet, models.vgg16, models.inception_v3 = stand_in._alexnet, stand_in._vgg16, stand_in.Inception3
    for block in (stand_in.InceptionA, stand_in.InceptionC, stand_in.InceptionE):
        setattr(inception, block.__name__, block)
    transforms.ToTensor = lambda: _tensor
    for name, module in zip(names, (top, models, inception, transforms), strict=True):
        set_module(name, module)
    return "the tests' stand-in"

"""Each protocol against the references on the same 8-bit images, in its own frame."""

import jax
import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from scrn_jax.errors import UserError
from scrn_jax.metrics import lpips, protocols
from scrn_jax.metrics.metric import TABLE_1

WANG = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


def _spread(image: np.ndarray) -> float:
    return float(image.max()) - float(image.min())


# What the published code of each protocol calls: the figures of one padded pair, as floats in [0, 1].
REFERENCES = {
    "scrn": {"ssim": lambda image: {"data_range": 2.0}},
    "patn": {"ssim": lambda image: {**WANG, "data_range": _spread(image)}},
    "gfla": {
        "ssim": lambda image: {"win_size": 51, "data_range": 1.0},
        "ssim_gaussian": lambda image: {**WANG, "data_range": _spread(image)},
    },
}
REFERENCES["dptn"] = REFERENCES["cfld"] = REFERENCES["gfla"]
PADDING = {"scrn": 0, "patn": 40, "gfla": 0, "dptn": 40, "cfld": 0}


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    """A generated and a reference batch (1, 256, 256, 3) of 8-bit images: a figure on white, and a moved one."""
    y, x = np.mgrid[:256, :256]
    figure = (np.abs(x - 128) < 40 + 15 * np.sin(y / 30))[..., None]
    pattern = 0.5 + 0.4 * np.sin(np.stack([x / 9, y / 7, (x + y) / 11], -1))
    reference = np.where(figure, pattern, 1.0)
    generated = np.roll(reference, 3, 0) * 0.8 + 0.1 + np.random.default_rng(0).normal(0, 0.03, reference.shape)
    return tuple(np.round(image.clip(0, 1) * 255).astype(np.uint8)[None] for image in (generated, reference))


def _measure_of(chosen):
    """All figures of a protocol, a jitted function of (generated, reference, LPIPS's parameters, mask)."""
    similarities, distances = protocols.make_similarities(chosen), protocols.make_distances(chosen)

    @jax.jit
    def measure(generated, reference, params=None, mask=None):
        figures = similarities(generated, reference, mask)
        return figures | (distances(generated, reference, params, mask) if params is not None else {})

    return measure


def _in_frame(name, pair) -> tuple[np.ndarray, np.ndarray]:
    return tuple(protocols.fit(image[0], protocols.protocol(name).frame, "image")[None] for image in pair)


@pytest.mark.usefixtures("in_double_precision")
@pytest.mark.parametrize("name", list(protocols.PROTOCOLS))
def test_ssim_and_psnr_equal_skimage(name, pair):
    generated, reference = _in_frame(name, pair)
    figures = _measure_of(protocols.protocol(name))(generated, reference)
    pad = ((0, 0), (PADDING[name], PADDING[name]), (0, 0))
    a, b = (np.pad(image[0], pad, constant_values=255) / 255 for image in (generated, reference))
    assert figures.keys() == {*REFERENCES[name], "psnr"}
    for figure, parameters in REFERENCES[name].items():
        expected = structural_similarity(b, a, channel_axis=-1, **parameters(a))
        np.testing.assert_allclose(figures[figure][0], expected, atol=1e-9, err_msg=figure)
    np.testing.assert_allclose(figures["psnr"][0], peak_signal_noise_ratio(b, a, data_range=1.0), atol=1e-9)


@pytest.mark.parametrize("name", ["gfla", "dptn"])
def test_lpips_equals_pypi_lpips_without_padding(name, pair, lpips_reference, as_torch):
    generated, reference = _in_frame(name, pair)
    params = lpips.load_params("alex")
    theirs = lpips_reference("alex", params)
    with torch.no_grad():
        expected = theirs(as_torch(generated / 255), as_torch(reference / 255), normalize=True).item()
    found = _measure_of(protocols.protocol(name))(generated, reference, params)["lpips_alex"]
    np.testing.assert_allclose(found[0], expected, atol=1e-4)


@pytest.mark.usefixtures("in_double_precision")
def test_padding_adds_1_627_decibels_and_lifts_ssim(pair):
    generated, reference = _in_frame("cfld", pair)
    bare, padded = (_measure_of(protocols.protocol(name))(generated, reference) for name in ("cfld", "dptn"))
    np.testing.assert_allclose(padded["psnr"] - bare["psnr"], 10 * np.log10(256 / 176), atol=1e-9)
    assert padded["ssim_gaussian"] > bare["ssim_gaussian"]


def test_a_mask_of_everything_changes_nothing_in_an_unpadded_frame(pair):
    generated, reference = _in_frame("scrn", pair)
    mask = np.ones((1, 256, 176), np.uint8)
    figures = _measure_of(protocols.protocol())(generated, reference, lpips.load_params("alex"), mask)
    assert figures["mask_ssim"] == figures["ssim"] and figures["mask_lpips_alex"] == figures["lpips_alex"]


def test_a_batch_gives_the_figures_of_its_pairs(pair):
    generated, reference = _in_frame("scrn", pair)
    measure = _measure_of(protocols.protocol())
    both = measure(np.concatenate([generated, reference]), np.concatenate([reference, reference]))
    np.testing.assert_allclose(both["ssim"], [measure(generated, reference)["ssim"][0], 1], atol=1e-6)
    assert np.isinf(both["psnr"][1])


def test_a_256_wide_image_loses_40_columns_on_each_side():
    image = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (256, 256, 3))
    fitted = protocols.fit(image, (256, 176), "image")
    assert fitted[0, 0, 0] == 40 and fitted[0, -1, 0] == 215


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((128, 88, 3), "a.png: 128x88 pixels do not fit"),
        ((256, 175, 3), "a.png: 256x175"),
        ((256, 177, 3), "256x177"),
        ((256, 176), "not an RGB image"),
        ((256, 176, 4), "not an RGB image"),
    ],
)
def test_images_of_another_frame_name_the_file(shape, message):
    with pytest.raises(UserError, match=message):
        protocols.fit(np.zeros(shape, np.uint8), (256, 176), "a.png")


def test_unknown_protocols_are_refused():
    with pytest.raises(UserError, match="no protocol is called adgan: choose among scrn, patn"):
        protocols.protocol("adgan")


@pytest.mark.usefixtures("in_double_precision")
def test_four_devices_give_the_figures_of_one(pair):
    if jax.device_count() < 4:
        pytest.skip("needs 4 devices (XLA_FLAGS=--xla_force_host_platform_device_count=4)")
    generated, reference = (np.repeat(image, 4, 0) for image in _in_frame("scrn", pair))
    generated[1:3] //= 2
    measure, params = _measure_of(protocols.protocol()), lpips.load_params("alex")
    mesh = jax.make_mesh((4,), ("data",))
    split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    one = measure(generated, reference, params)
    four = measure(jax.device_put(generated, split), jax.device_put(reference, split), params)
    for name, values in one.items():
        # AlexNet stays in float32, and LPIPS is a smooth function of its features.
        np.testing.assert_allclose(four[name], values, atol=1e-5 if "lpips" in name else 1e-9, err_msg=name)


def test_the_papers_own_row_is_the_best_of_its_table():
    best = {"ssim": max, "psnr": max, "lpips_alex": min}
    for figure, choose in best.items():
        assert choose(TABLE_1, key=lambda method, figure=figure: TABLE_1[method][figure]) == "SCRN"


@pytest.mark.parametrize(("name", "frame"), [("patn@128x64", (128, 64)), ("cfld@512x352", (512, 352))])
def test_a_protocol_may_measure_in_another_frame_without_padding(name, frame):
    chosen, base = protocols.protocol(name), protocols.protocol(name.partition("@")[0])
    assert chosen.frame == frame and chosen.padding == 0 and chosen.name == name and chosen.ssim == base.ssim
    rng = np.random.default_rng(0)
    pair = rng.integers(0, 256, (2, 1, *frame, 3), np.uint8)
    expected = 10 * np.log10(255**2 / np.mean((pair[0].astype(float) - pair[1]) ** 2))
    assert _measure_of(chosen)(*pair)["psnr"][0] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    "name", ["scrn@", "scrn@128", "scrn@128x", "scrn@50x64", "scrn@9999x64", "scrn@-1x64", "x@128x64"]
)
def test_a_frame_that_is_none_is_refused(name):
    with pytest.raises(UserError, match="HEIGHTxWIDTH|no protocol is called x"):
        protocols.protocol(name)

"""ADGAN's generator beside PyTorch's functions put together from the paper's and the code's description."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from scrn_jax.models import base
from scrn_jax.models.adgan.generator import ADGAN, FrameNorm
from scrn_jax.models.adgan.settings import Model
from scrn_jax.person import heatmaps

HEIGHT, WIDTH, CHANNELS, BLOCKS, STYLE = 32, 20, 4, 2, 16
INPUTS = ("source_image", "target_pose", "source_parsing")
POOLED = ("conv2_1", "conv3_1", "conv4_1")


def _tensor(array) -> torch.Tensor:
    return torch.tensor(np.array(array))


class Reference:
    """The network as a function of our parameters; `leaf`: a kernel as a PyTorch leaf (out, in, row, column)."""

    def __init__(self, params, leaf):
        self.params, self.leaf = params, leaf

    def conv(self, p, x, padding, stride=1):
        x = F.pad(x, (padding,) * 4, mode="reflect")
        return F.conv2d(x, self.leaf(p["kernel"]), _tensor(p["bias"]), stride)

    def vgg(self, x):
        """The first ReLU of every stage, of a picture as it is."""
        found = []
        for name in sorted(self.params["vgg"]):
            p = self.params["vgg"][name]
            x = F.max_pool2d(x, 2) if name in POOLED else x
            x = torch.relu(F.conv2d(x, self.leaf(p["kernel"]), _tensor(p["bias"]), padding=1))
            found += [x.detach()] if name.endswith("_1") else []
        return found

    def texture(self, picture):
        p, x = self.params["texture_encoder"], picture
        for i, seen in enumerate(self.vgg(picture)):
            x = self.conv(p[f"Conv_{i}"], x, 3) if i == 0 else self.conv(p[f"Conv_{i}"], x, 1, stride=2)
            x = torch.cat([torch.relu(x), seen], 1)
        x = F.adaptive_avg_pool2d(x, 1).flatten(1)
        return x @ _tensor(p["to_code"]["kernel"]) + _tensor(p["to_code"]["bias"])

    def pose(self, x):
        p = self.params["pose_encoder"]
        for i in range(3):
            x = self.conv(p[f"Conv_{i}"], x, 3) if i == 0 else self.conv(p[f"Conv_{i}"], x, 1, stride=2)
            x = torch.relu(F.instance_norm(x))
        for i in range(BLOCKS):
            inside = p[f"ReflectPair_{i}"]
            y = torch.relu(F.instance_norm(self.conv(inside["Conv_0"], x, 1)))
            x = x + F.instance_norm(self.conv(inside["Conv_1"], y, 1))
        return x

    def norms(self, style):
        """The numbers of each adaptive norm in turn: as many shifts as channels, then as many scales."""
        for name in ("fuse", "norms_1", "norms_2"):
            style = torch.relu(style @ _tensor(self.params[name]["kernel"]) + _tensor(self.params[name]["bias"]))
        numbers = style @ _tensor(self.params["norms_3"]["kernel"]) + _tensor(self.params["norms_3"]["bias"])
        return iter(numbers.split(4 * CHANNELS, dim=1))

    def __call__(self, image, masks, maps):
        style = torch.cat([self.texture(image * masks[:, region, None]) for region in range(8)], dim=1)
        numbers, x, p = self.norms(style), self.pose(maps), self.params["decoder"]

        def adaptive(x):
            """Batch norm over one picture's channels, as if they were a batch's."""
            shift, scale = next(numbers), next(numbers)
            flat = x.reshape(1, -1, *x.shape[2:])
            return F.batch_norm(flat, None, None, scale.flatten(), shift.flatten(), training=True).reshape(x.shape)

        for i in range(BLOCKS):
            y = torch.relu(adaptive(self.conv(p[f"Conv_{2 * i}"], x, 1)))
            x = x + adaptive(self.conv(p[f"Conv_{2 * i + 1}"], y, 1))
        for i in range(2):
            x = self.conv(p[f"Conv_{2 * BLOCKS + i}"], F.interpolate(x, scale_factor=2, mode="nearest"), 2)
            flat, own = x.flatten(1), p[f"FrameNorm_{i}"]
            mean, std = (each.reshape(-1, 1, 1, 1) for each in (flat.mean(1), flat.std(1)))
            scale, bias = (_tensor(own[name]).reshape(1, -1, 1, 1) for name in ("scale", "bias"))
            x = torch.relu((x - mean) / (std + 1e-5) * scale + bias)
        return torch.tanh(self.conv(p[f"Conv_{2 * BLOCKS + 2}"], x, 3))


@pytest.fixture(scope="module")
def both(random_variables, person_batch, oihw):
    """(ours as a function of variables, the variables, PyTorch's with kernels as leaves, the leaves, its inputs)."""
    batch = person_batch(HEIGHT, WIDTH)
    inputs = {key: batch[key] for key in INPUTS} | {"source_image": base.to_float(batch["source_image"])}
    module = ADGAN(Model(width=CHANNELS, blocks=BLOCKS, style=STYLE, hidden=8), vgg=16)
    variables = random_variables(module, **inputs)
    leaves = {}

    def leaf(kernel):
        return leaves.setdefault(id(kernel), oihw(kernel))

    masks = np.eye(8, dtype=np.float32)[batch["source_parsing"]]
    theirs = inputs["source_image"], masks, heatmaps.heat_maps(batch["target_pose"], HEIGHT, WIDTH)
    return lambda v: module.apply(v, **inputs), variables, Reference(variables["params"], leaf), leaf, theirs


def test_the_picture_equals_pytorchs(both, nchw, nhwc, run):
    apply, variables, reference, _, inputs = both
    expected = nhwc(reference(*map(nchw, inputs)))
    assert expected.std() > 0.1
    np.testing.assert_allclose(run(apply)(variables), expected, atol=1e-4)


def test_gradients_equal_pytorchs_and_vgg_gets_none(both, nchw, hwio, run):
    apply, variables, reference, leaf, inputs = both
    reference(*map(nchw, inputs)).square().mean().backward()
    found = run(jax.grad(lambda v: jnp.mean(apply(v) ** 2)))(variables)["params"]
    for part in ("texture_encoder", "pose_encoder", "decoder"):
        expected = hwio(leaf(variables["params"][part]["Conv_0"]["kernel"]).grad)
        ours = found[part]["Conv_0"]["kernel"]
        np.testing.assert_allclose(ours, expected, atol=1e-4 * np.abs(expected).max(), rtol=1e-2)
    assert not any(np.any(each) for each in jax.tree.leaves(found["vgg"]))


def test_the_frame_norm_divides_by_the_unbiased_deviation():
    """Of 1, 2, 3 and 6: mean 3, deviation sqrt(14 / 3)."""
    x = np.array([1.0, 2.0, 3.0, 6.0], np.float32).reshape(1, 2, 1, 2)
    params = {"params": {"scale": np.array([1.0, 2.0], np.float32), "bias": np.array([0.0, 1.0], np.float32)}}
    deviation = np.sqrt(14 / 3)
    expected = np.array([-2 / deviation, 1 - 2 / deviation, 0, 1 + 6 / deviation]).reshape(x.shape)
    np.testing.assert_allclose(FrameNorm().apply(params, x), expected, atol=1e-4)


def test_it_has_as_many_parameters_as_its_description_adds_up_to():
    """Layer by layer: (taps * in + 1) * out; nothing was published to compare with."""

    def conv(taps, before, after):
        return (taps * taps * before + 1) * after

    blocks = 2 * 8 * 2 * conv(3, 256, 256)  # eight of two layers in the pose encoder, eight in the decoder
    pose = conv(7, 18, 64) + conv(4, 64, 128) + conv(4, 128, 256)
    decoder = conv(5, 256, 128) + conv(5, 128, 64) + conv(7, 64, 3) + 2 * (128 + 64)
    texture = conv(7, 3, 64) + conv(4, 128, 128) + conv(4, 256, 256) + conv(4, 512, 512) + conv(1, 1024, 64)
    dense = conv(1, 512, 512) + conv(1, 512, 256) + conv(1, 256, 256) + conv(1, 256, 2 * 256 * 16)
    inputs = base.example_inputs((256, 176))
    shapes = jax.eval_shape(lambda: ADGAN().init(jax.random.key(0), **{name: inputs[name] for name in INPUTS}))
    parts = shapes["params"].items()
    count = sum(leaf.size for name, part in parts if name != "vgg" for leaf in jax.tree.leaves(part))
    assert count == blocks + pose + decoder + texture + dense == 28_774_915

"""PISE's generator beside PyTorch's functions put together from the paper's and the code's description."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from scrn_jax.models import base
from scrn_jax.models.pise.generator import PISE
from scrn_jax.models.pise.settings import Model
from scrn_jax.person import heatmaps

HEIGHT, WIDTH, CHANNELS = 32, 20, 4  # 20 is filled up to 32
FILLED = (32, 32)


def _tensor(array) -> torch.Tensor:
    return torch.tensor(np.array(array))


class Reference:
    """The networks as functions of our parameters; each kernel is normalised by PyTorch's own singular values."""

    def __init__(self, params, leaf):
        self.params, self.leaf = params, leaf  # leaf: a kernel as a PyTorch leaf (out, in, row, column)

    def conv(self, p, x, spectral=True, stride=1, padding=1):
        weight = self.leaf(p["kernel"])
        if spectral:
            weight = weight / torch.linalg.matrix_norm(weight.flatten(1), 2)
        return F.conv2d(x, weight, _tensor(p["bias"]) if "bias" in p else None, stride, padding)

    def up(self, p, x, spectral):
        weight = self.leaf(p["kernel"])
        if spectral:
            weight = weight / torch.linalg.matrix_norm(weight.flatten(1), 2)
        return F.conv_transpose2d(x, weight.transpose(0, 1), _tensor(p["bias"]), 2, 1, output_padding=1)

    @staticmethod
    def norm_act(p, name, x, slope):
        affine = {"weight": _tensor(p[name]["scale"]), "bias": _tensor(p[name]["bias"])} if name in p else {}
        return F.leaky_relu(F.instance_norm(x, **affine), slope)

    def down_block(self, p, x, spectral=True, slope=0.1):
        x = self.conv(p["Conv_0"], self.norm_act(p, "InstanceNorm_0", x, slope), spectral, stride=2)
        return self.conv(p["Conv_1"], self.norm_act(p, "InstanceNorm_1", x, slope), spectral)

    def up_block(self, p, x, spectral=True, slope=0.1):
        y = self.conv(p["Conv_0"], self.norm_act(p, "InstanceNorm_0", x, slope), spectral)
        y = self.up(p["UpConv_0"], self.norm_act(p, "InstanceNorm_1", y, slope), spectral)
        return y + self.up(p["shortcut"], x, spectral)

    def res_block(self, p, x, spectral):
        y = self.conv(p["Conv_0"], self.norm_act(p, "InstanceNorm_0", x, 0.1), spectral)
        return x + self.conv(p["Conv_1"], self.norm_act(p, "InstanceNorm_1", y, 0.1), spectral)

    def gated(self, p, x):
        features, gate = self.conv(p["Conv_0"], x, spectral=False).chunk(2, dim=1)
        return F.instance_norm(F.leaky_relu(features, 0.2) * torch.sigmoid(gate))

    def output(self, p, x, spectral=True, slope=0.1):
        x = F.pad(self.norm_act(p, "InstanceNorm_0", x, slope), (1, 1, 1, 1), mode="reflect")
        return torch.tanh(self.conv(p["Conv_0"], x, spectral, padding=0))

    def parsing(self, x):
        p = self.params["parsing"]
        for i in range(4):
            x = self.down_block(p[f"DownBlock_{i}"], x, False, 0.2)
        x = self.gated(p["GatedConv_1"], self.gated(p["GatedConv_0"], x))
        for i in range(4):
            x = self.up_block(p[f"UpBlock_{i}"], x, False, 0.2)
        return (self.output(p["Output_0"], x, False, 0.2) + 1) / 2

    def encoder(self, name, x):
        p = self.params[name]
        for i in range(4):
            x = self.down_block(p[f"DownBlock_{i}"], x)
        if "GatedConv_0" in p:
            x = self.gated(p["GatedConv_1"], self.gated(p["GatedConv_0"], x))
        return self.up_block(p["UpBlock_1"], self.up_block(p["UpBlock_0"], x))

    def region_norm(self, x, codes, source_masks, target_map):
        """Sample by sample, region by region, place by place."""
        p = self.params["region_norm"]
        kernel, bias = _tensor(p["region_kernel"] if "region_kernel" in p else p["kernel"]), _tensor(p["bias"])
        likeliest = target_map.argmax(1)
        style = torch.zeros(len(x), codes.shape[1], *x.shape[2:])
        for b in range(len(x)):
            for region in range(8):
                inside = source_masks[b, region] > 0
                code = codes[b][:, inside].mean(1) if inside.any() else codes[b].flatten(1).mean(1)
                style[b][:, likeliest[b] == region] = torch.relu(code @ kernel[region] + bias[region])[:, None]
        gamma, beta = (self.conv(p[name], style, spectral=False) for name in ("gamma", "beta"))
        norm = p["InstanceNorm_0"]
        return F.instance_norm(x, weight=_tensor(norm["scale"]), bias=_tensor(norm["bias"])) * (1 + gamma) + beta

    def spatial_norm(self, x, source):
        p = self.params["spatial_norm"]
        height, width = x.shape[2:]

        def windows(name, features):
            rows = torch.linspace(-1, 1, height)[:, None].expand(height, width)
            columns = torch.linspace(-1, 1, width).expand(height, width)
            places = torch.stack([columns, rows, torch.hypot(rows, columns)])
            features = torch.cat([F.normalize(features, dim=1), places.expand(len(features), 3, height, width)], 1)
            unfolded = F.unfold(self.conv(p[name], features, spectral=False, padding=0), 3, padding=1)
            return F.normalize(unfolded - unfolded.mean(1, keepdim=True), dim=1)

        similarity = windows("theta", x).transpose(1, 2) @ windows("phi", source)  # target places x source places
        share = torch.softmax(similarity.transpose(1, 2) / 0.01, dim=-1)  # of each source place, over the target's
        gamma, beta = (
            (self.conv(p[name], source, spectral=False, padding=0).flatten(2) @ share).reshape(-1, 1, height, width)
            for name in ("gamma", "beta")
        )
        return x * (1 + gamma) + beta

    def vgg(self, x):
        p = self.params["vgg"]
        for name in ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"):
            if name in ("conv2_1", "conv3_1"):
                x = F.max_pool2d(x, 2)
            x = torch.relu(self.conv(p[name], x, spectral=False))
        return x.detach()

    def __call__(self, image, source_map, source_pose, target_pose):
        p = self.params
        target_map = self.parsing(torch.cat([source_map, source_pose, target_pose], 1))
        codes = torch.tanh(self.conv(p["to_style"], self.encoder("style_encoder", image), False, padding=0))
        x = self.encoder("shape_encoder", torch.cat([source_map, target_map, target_pose, image], 1))
        small = [F.interpolate(each, x.shape[2:], mode="nearest") for each in (source_map, target_map)]
        x = self.region_norm(x, codes, *small)
        x = self.spatial_norm(self.res_block(p["after_regions"], x, False), self.vgg(image))
        x = self.res_block(p["after_places"], x, False)
        decoder = p["decoder"]
        for i in range(2):
            x = self.res_block(decoder[f"ResBlock_{i}"], self.up_block(decoder[f"UpBlock_{i}"], x), True)
        return self.output(decoder["Output_0"], x), target_map


def _inputs(batch):
    """PyTorch's: the picture and the labels go on beyond the frame as at its edge, the heat maps as 0."""
    beyond = [(0, 0), (0, FILLED[0] - HEIGHT), (0, FILLED[1] - WIDTH), (0, 0)]
    image = np.pad(np.asarray(base.to_float(batch["source_image"])), beyond, mode="edge")
    labels = np.pad(batch["source_parsing"][..., None], beyond, mode="edge")[..., 0]
    poses = [heatmaps.heat_maps(batch[f"{side}_pose"], HEIGHT, WIDTH) for side in ("source", "target")]
    return image, np.eye(8, dtype=np.float32)[labels], *(np.pad(np.asarray(pose), beyond) for pose in poses)


@pytest.fixture(scope="module")
def both(random_variables, person_batch, oihw, nchw):
    """(ours as a function of variables, the variables, PyTorch's with kernels as leaves, its inputs, the leaves)."""
    batch = person_batch(HEIGHT, WIDTH)
    batch["source_parsing"] = (batch["source_parsing"] // 2).repeat(4, 1)[:, ::4]  # larger regions, and four of them
    inputs = {key: batch[key] for key in base.INPUTS} | {"source_image": base.to_float(batch["source_image"])}
    module = PISE(Model(width=CHANNELS, parsing_width=2), vgg=16)
    variables = random_variables(module, **inputs)
    leaves = {}

    def leaf(kernel):
        return leaves.setdefault(id(kernel), oihw(kernel))

    return lambda v: module.apply(v, **inputs), variables, Reference(variables["params"], leaf), leaf, _inputs(batch)


def test_the_picture_and_the_map_equal_pytorchs(both, nchw, nhwc, run):
    apply, variables, reference, _, inputs = both
    image, target_map = (nhwc(each)[:, :HEIGHT, :WIDTH] for each in reference(*map(nchw, inputs)))
    assert image.std() > 0.1 and len(np.unique(target_map.argmax(-1))) > 3
    found = run(apply)(variables)
    np.testing.assert_allclose(found["map"], target_map, atol=1e-4)
    np.testing.assert_allclose(found["image"], image, atol=1e-4)
    np.testing.assert_allclose(found["parsing"].sum(-1), 1, atol=1e-5)


def test_gradients_equal_pytorchs(both, nchw, hwio, run):
    """Of a kernel with a spectral norm, of one whose features only the correspondence sees, of the parsing map's."""
    apply, variables, reference, leaf, inputs = both
    image, target_map = reference(*map(nchw, inputs))
    (image[..., :HEIGHT, :WIDTH].square().mean() + target_map[..., :HEIGHT, :WIDTH].square().mean()).backward()

    @run
    @jax.grad
    def gradient(variables):
        found = apply(variables)
        return jnp.mean(found["image"] ** 2) + jnp.mean(found["map"] ** 2)

    found, params = gradient(variables)["params"], variables["params"]
    paths = [
        ("style_encoder", "DownBlock_0", "Conv_0"), ("spatial_norm", "theta"), ("parsing", "DownBlock_3", "Conv_0"),
        ("decoder", "UpBlock_0", "shortcut"),
    ]  # fmt: skip
    for path in paths:
        ours, theirs = found, params
        for name in path:
            ours, theirs = ours[name], theirs[name]
        expected = hwio(leaf(theirs["kernel"]).grad)
        np.testing.assert_allclose(ours["kernel"], expected, atol=1e-4 * np.abs(expected).max(), rtol=1e-2)
    assert not any(np.any(each) for each in jax.tree.leaves(found["vgg"]))


def test_it_has_as_many_parameters_as_were_published():
    """64.01 M is with all of VGG19's convolutions, and 291 more that nothing uses: a mask's output, two blends."""
    inputs = base.example_inputs((256, 176))
    shapes = jax.eval_shape(lambda: PISE().init(jax.random.key(0), **inputs))["params"]
    count = sum(leaf.size for name, part in shapes.items() if name != "vgg" for leaf in jax.tree.leaves(part))
    assert count == 43_982_875
    assert round((count + 20_024_384 + 291) / 1e6, 2) == 64.01

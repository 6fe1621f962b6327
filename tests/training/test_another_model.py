"""Another model than SCRN goes through the same loop: it trains, resumes, is evaluated, exported and used."""

import dataclasses
import io
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from input_pipeline.batches import train_batches
from input_pipeline.pair import Pair
from scrn_jax import data, settings
from scrn_jax.errors import require_positive
from scrn_jax.inference import PoseTransfer
from scrn_jax.metrics import lpips
from scrn_jax.models import base, losses
from scrn_jax.training import checkpoints, export, loop, preemption
from scrn_jax.training.step import make_train_step

SIZE, STEPS = (32, 36), 4


@dataclasses.dataclass(frozen=True)
class Model:
    """What a config says of the model below."""

    name: str = "tint"
    strength: float = 1.0
    dtype: str = "float32"
    convolutions: str = "auto"


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """Its terms."""

    l1: float = 1.0
    adv: float = 0.1


@dataclasses.dataclass(frozen=True)
class Features:
    """It looks through no frozen network."""


def check(config) -> None:
    """Its check of a whole config."""
    require_positive(config.model, "model", "strength")


class Tint(base.TrainableModel):
    """Tints the source by a matrix and a colour; one discriminator sees each pixel, another the mean colour."""

    summary = "a tint"

    def __init__(self, size, model, loss, adversarial, **_):
        self.size, self.strength, self.form = size, model.strength, adversarial
        self.weights = {name: weight for name, weight in vars(loss).items() if weight}

    def init(self, key):
        judges = {name: {"w": 0.1 * jax.random.normal(key, (3,))} for name in ("pixel", "mean")}
        params = {"w": jnp.eye(3), "b": jnp.zeros(3), base.STATISTICS: {"level": jnp.zeros(())}}
        return params, judges, {"calls": jnp.zeros(())}

    def generate(self, params, batch):
        image = base.to_float(batch["source_image"])
        return {"image": jnp.tanh(self.strength * (image @ params["w"] + params["b"]))}

    def generator_terms(self, params, judges, frozen, batch, key):
        outputs, target = self.generate(params, batch), base.to_float(batch["target_image"])
        fakes = self._judge(judges[0], outputs["image"])
        adversarial = sum(losses.adversarial_generator(logits, self.form) for logits in fakes)
        outputs[base.STATISTICS] = {"level": jnp.abs(base.to_float(batch["source_image"])).mean()}
        return {"l1": jnp.abs(outputs["image"] - target).mean(), "adv": adversarial}, outputs

    def with_statistics(self, params, statistics):
        return {**params, base.STATISTICS: statistics}

    def discriminator_loss(self, params, statistics, batch, outputs, key):
        sides = [self._judge(params, x) for x in (base.to_float(batch["target_image"]), outputs["image"])]
        pairs = [losses.adversarial_discriminator(real, fake, self.form) for real, fake in zip(*sides, strict=True)]
        return sum(map(sum, pairs)), ({"calls": statistics["calls"] + 1}, {"real": jnp.mean(sides[0][0] > 0)})

    def pretrained(self):
        return {}

    def gauges(self, params):
        return {"brightness": params["b"].mean()}

    def _judge(self, params, image):
        return image @ params["pixel"]["w"], image.mean((1, 2)) @ params["mean"]["w"]


make = Tint


class Source:
    """Pairs of noise, encoded; the target is the source, darker."""

    frame = SIZE

    def __init__(self, count: int):
        self.count = count

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> Pair:
        """A function of the index."""
        rng = np.random.default_rng(index)
        image, labels = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8), rng.integers(0, 8, SIZE, dtype=np.uint8)
        poses = rng.uniform(0, 31, (2, 18, 2)).astype(np.float32)
        box = np.array([4, 4, 16, 16], np.float32)
        names = self.names(index)
        return Pair(_png(image), poses[0], _png(labels), _png(image // 2), poses[1], _png(labels), box, *names)

    def names(self, index: int) -> tuple[str, str]:
        """Of no data set."""
        return f"{index}a", f"{index}b"


def _png(array) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "png")
    return stream.getvalue()


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Settings of the model, which this file is the package of; LPIPS on VGG16 is a mean absolute error."""
    with pytest.MonkeyPatch.context() as patch:
        for part in ("settings", "model"):
            patch.setitem(sys.modules, f"tint.{part}", sys.modules[__name__])
        patch.setitem(base.PACKAGES, "tint", "tint")
        patch.setattr(data, "open_sources", lambda _: (Source(8), Source(3)))
        patch.setattr(lpips, "load_lpips_j", lambda: lambda a, b: np.abs(a - b).mean((1, 2, 3)))
        yield settings.from_config({
            "data": {"name": "noise"}, "size": SIZE, "compilation_cache": "", "model": {"name": "tint"},
            "optim": {"learning_rate": 0.1}, "eval": {"judge": "lpips-j", "batch_size": 4},
            "train": {"steps": STEPS, "batch_size": 4, "log_every": 1, "sheet_every": 2, "sheet_pairs": 2,
                      "checkpoint_every": 2, "term_norms_every": 2},
        })  # fmt: skip


@pytest.fixture(scope="module")
def workdir(config, tmp_path_factory):
    """A whole run."""
    folder = tmp_path_factory.mktemp("tint")
    loop.train(config, folder)
    return folder


def _state(config, folder):
    with checkpoints.open_checkpoints(config, folder) as kept:
        return jax.device_get(checkpoints.newest(config, loop.devices.make_mesh(), kept))


def test_it_trains_both_discriminators_and_logs_its_own_terms_and_gauges(config, workdir):
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert lines[-1]["loss/l1"] < lines[0]["loss/l1"] and lines[-1]["brightness"] < 0
    assert {"weighted/adv", "discriminator_accuracy/real", "gradient_norm/terms/adv"} <= set(lines[-1])
    state, fresh = _state(config, workdir), loop.state.init_state(config)
    assert state.spectral["calls"] == STEPS
    moved = jax.tree.map(lambda old, new: bool(np.any(old != new)), fresh.discriminator, state.discriminator)
    assert moved == {"pixel": {"w": True}, "mean": {"w": True}}


def test_a_step_puts_the_batchs_statistics_in_place_and_averages_them(config):
    """No optimizer moves them; the average moves from 0 by the share that its first step has."""
    batch = next(train_batches(Source(4), batch_size=4, size=SIZE, seed=0))
    after, _ = jax.jit(make_train_step(config))(loop.state.init_state(config), {}, batch)
    level = np.abs(base.to_float(batch["source_image"])).mean()
    assert level > 0.1
    np.testing.assert_allclose(after.generator[base.STATISTICS]["level"], level, rtol=1e-4)
    np.testing.assert_allclose(after.ema[base.STATISTICS]["level"], 0.9 * level, rtol=1e-4)


def test_it_goes_on_from_its_checkpoint_as_if_it_had_not_stopped(config, workdir, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(preemption.Interruption, "requested", lambda self, step: step == 2)
        loop.train(config, tmp_path)
    assert _state(config, tmp_path).step == 2
    loop.train(config, tmp_path)
    jax.tree.map(np.testing.assert_array_equal, _state(config, tmp_path), _state(config, workdir))


def test_its_report_has_its_row_and_the_baselines_and_no_parsing_map(workdir):
    report = json.loads((workdir / "report.json").read_text())
    assert list(report["rows"]) == ["generated", "flat_paint_true", "carried_true", "copy_source", "mean_image"]
    assert report["count"] == 3 and report["parsing"] is None
    assert "source, target pose, generated, target" in (workdir / "report.md").read_text()


def test_it_is_exported_and_used(config, workdir, tmp_path):
    export.export(config, workdir, tmp_path / "model")
    assert "A tint, for 32x36 pixels" in (tmp_path / "model" / "README.md").read_text()
    batch = next(iter(data.eval_batches(Source(3), batch_size=2, size=SIZE)))
    inputs = {key: batch[key] for key in base.INPUTS}
    pictures = PoseTransfer.load(tmp_path / "model")(
        inputs["source_image"], inputs["source_parsing"], inputs["source_pose"], inputs["target_pose"]
    )
    expected = base.make(config).generate(_state(config, workdir).ema, inputs)["image"]
    np.testing.assert_allclose(pictures, base.to_uint8(np.asarray(expected)), atol=1)


def test_its_checkpoints_are_not_taken_for_another_models(config, workdir, tiny_settings):
    with pytest.raises(ValueError, match="holds another model: .*model.name is tint there and scrn in the config"):
        _state(tiny_settings(), workdir)


def test_its_section_is_typed_and_checked_as_scrns_is(config):
    with pytest.raises(ValueError, match="unknown config key config.model.width"):
        settings.from_config({"data": {}, "model": {"name": "tint", "width": 4}})
    with pytest.raises(ValueError, match="config.model.strength must be above 0"):
        settings.from_config({"data": {}, "model": {"name": "tint", "strength": 0.0}})

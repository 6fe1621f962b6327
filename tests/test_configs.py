"""Every variant of the shipped config files is a valid config and says what its docstring promises."""

import runpy
from pathlib import Path

import pytest

from input_pipeline import sources
from scrn_jax import settings
from scrn_jax.models.scrn import settings as scrn_settings

FOLDER = Path(__file__).parents[1] / "configs"
VARIANTS = {
    "demo": ("full", "long", "people_v1", "smoke"),
    "people": ("full", "large", "smoke"),
    "deepfashion": ("full", "best", "3cb", "no_refine_area", "no_face", "512", "tiny"),
    "methods": tuple(f"{name}{size}" for name in ("patn", "pise", "adgan", "pona", "pinet") for size in ("", "_small")),
}
METHODS = ("patn", "pise", "adgan", "pona", "pinet")


def _config(name: str, variant: str):
    return runpy.run_path(str(FOLDER / f"{name}.py"))["get_config"](variant)


def _settings(name: str, variant: str) -> settings.Settings:
    return settings.from_config(_config(name, variant))


@pytest.mark.parametrize("name, variant", [(name, variant) for name, known in VARIANTS.items() for variant in known])
def test_a_variant_is_a_valid_config_with_every_key(name, variant):
    """Every key has to be there: only keys that are can be set on the command line."""
    config = _config(name, variant).to_dict()
    for section, known in (settings.defaults(config["model"]["name"]) | {"data": sources.section()}).items():
        assert section in config
        if hasattr(known, "keys"):
            assert set(known) == set(config[section])
    assert None not in settings.from_config(config).data.values()


def test_no_config_file_is_left_out_here():
    assert {path.stem for path in FOLDER.glob("*.py")} == set(VARIANTS)


@pytest.mark.parametrize("name", VARIANTS)
def test_an_unknown_variant_is_refused_with_the_known_ones(name):
    with pytest.raises(ValueError, match=r"no variant 'huge'; choose .*(full|patn)"):
        _config(name, "huge")


def test_full_is_the_papers_section_iv():
    full = _settings("deepfashion", "full")
    assert full.size == (256, 176) and full.train.steps == 120_000 and full.train.batch_size == 6
    assert full.loss == scrn_settings.LossWeights(cor=300, l1=5, adv=2, per=3, par=1, face=1)
    assert (full.optim.learning_rate, full.optim.b1, full.optim.b2) == (1e-3, 0.9, 0.999)
    assert full.optim.discriminator_ratio == 0.1
    assert full.features.correspondence == "vgg19" and full.parsing == "l1"
    assert (full.model.width, full.model.blocks, full.model.refine_area) == (64, 6, True)


@pytest.mark.parametrize(
    "variant, path, value",
    [("3cb", "model.blocks", 3), ("no_refine_area", "model.refine_area", False), ("no_face", "loss.face", 0.0)],
)
def test_an_ablation_differs_from_full_in_one_key(variant, path, value):
    full, ablation = _config("deepfashion", "full"), _config("deepfashion", variant)
    section, key = path.split(".")
    assert ablation[section][key] == value != full[section][key]
    full[section][key] = value
    assert ablation == full


def test_512_is_full_at_twice_the_sides_in_less_memory():
    full, large = _config("deepfashion", "full"), _config("deepfashion", "512")
    assert large.size == (512, 352) and large.data.images == "img_highres"
    full.size, full.data = large.size, large.data
    full.model.update({"dtype": "bfloat16", "remat": True})
    full.train.accumulate = 3
    assert large == full


def test_patn_has_its_authors_settings():
    patn = _settings("methods", "patn")
    assert patn.size == (256, 176) and patn.train.batch_size == 7 and patn.adversarial == "lsgan"
    assert (patn.optim.learning_rate, patn.optim.b1, patn.optim.discriminator_ratio) == (2e-4, 0.5, 1.0)
    assert (patn.train.steps, patn.optim.constant_steps) == (90_000, 60_000)
    assert (patn.loss.adv, patn.loss.l1, patn.loss.per) == (5, 1, 1)
    assert (patn.model.width, patn.model.blocks, patn.model.dropout) == (64, 9, 0.5)
    assert patn.features.perceptual == "vgg19"


def test_pise_has_its_authors_settings():
    pise = _settings("methods", "pise")
    assert pise.size == (256, 176) and pise.train.batch_size == 8 and pise.adversarial == "lsgan"
    assert (pise.optim.learning_rate, pise.optim.b1, pise.optim.discriminator_ratio) == (1e-4, 0.9, 0.1)
    loss = pise.loss
    assert (loss.l1, loss.adv, loss.style, loss.content, loss.cor) == (5, 2, 200, 0.5, 30)
    assert (loss.par, loss.map, pise.features.perceptual) == (1, 100, "vgg19")


def test_adgan_has_its_authors_settings():
    adgan = _settings("methods", "adgan")
    assert adgan.size == (256, 176) and adgan.train.batch_size == 6 and adgan.adversarial == "lsgan"
    assert (adgan.optim.learning_rate, adgan.optim.b1, adgan.optim.discriminator_ratio) == (1e-3, 0.5, 1.0)
    assert (adgan.loss.adv, adgan.loss.l1, adgan.loss.per, adgan.loss.cx) == (5, 1, 1, 0.1)
    assert (adgan.model.blocks, adgan.model.style, adgan.model.hidden) == (8, 512, 256)


@pytest.mark.parametrize("method", METHODS)
def test_a_small_method_sees_the_demos_people_and_pairs(method):
    small, demo = _settings("methods", f"{method}_small"), _settings("demo", "people_v1")
    assert small.data == demo.data and small.size == demo.size
    assert (small.train.steps, small.train.batch_size) == (demo.train.steps, demo.train.batch_size)

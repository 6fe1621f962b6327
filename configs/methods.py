"""The methods that the paper compares SCRN with, each with its authors' settings, and small ones on embedded people.

    python -m scrn_jax.main --config configs/methods.py:patn --config.data.dir=DEEPFASHION --workdir runs/patn

Variants: `patn`, `pise`, `adgan`, `pona` and `pinet` at 256x176 on DeepFashion's in-shop pairs; each with `_small`
behind it at 64x44 on the demo's embedded people, which need nothing but this package. What each is and where it differs
from its authors' code: docs/methods/. None has been trained at 256x176; `python -m benchmarks.methods` trains and
compares the small ones.
"""

from ml_collections import ConfigDict

from input_pipeline import sources
from scrn_jax import settings

METHODS = ("patn", "pise", "adgan", "pona", "pinet")
VARIANTS = (*METHODS, *(f"{method}_small" for method in METHODS))


def get_config(variant: str = "patn") -> ConfigDict:
    """The config of one of VARIANTS."""
    if variant not in VARIANTS:
        raise ValueError(f"configs/methods.py has no variant {variant!r}; choose one of {', '.join(VARIANTS)}")
    method = variant.removesuffix("_small")
    config = ConfigDict(settings.defaults(method))
    config.size = (256, 176)
    config.adversarial = "lsgan"
    config.data = sources.section(name="folder", dir="data/deepfashion")
    config.train.update({"flip": False, "checkpoint_every": 1000, "keep": 2, "keep_every": 20_000})
    own, own_shrink = OWN[method]
    own(config)
    if variant != method:
        shrink(config)
        own_shrink(config)
    return config


def patn(config: ConfigDict) -> None:
    """The authors' command for DeepFashion; the number of steps is the paper's (60 thousand, then 30 to fall to 0)."""
    config.model.update({"width": 64, "blocks": 9, "dropout": 0.5, "discriminator_width": 64})
    config.loss.update({"adv": 5.0, "l1": 1.0, "per": 1.0})
    config.optim.update({"learning_rate": 2e-4, "constant_steps": 60_000, "discriminator_ratio": 1.0, "b1": 0.5})
    config.train.update({"steps": 90_000, "batch_size": 7})


def pise(config: ConfigDict) -> None:
    """The authors' options, which do not say how long they trained: SCRN's 120 thousand steps stand."""
    config.model.update({"width": 64, "parsing_width": 32, "discriminator_width": 32})
    config.loss.update({"l1": 5.0, "adv": 2.0, "style": 200.0, "content": 0.5, "cor": 30.0, "par": 1.0, "map": 100.0})
    config.optim.update({"learning_rate": 1e-4, "constant_steps": 120_000, "discriminator_ratio": 0.1})
    config.train.update({"steps": 120_000, "batch_size": 8})


def adgan(config: ConfigDict) -> None:
    """The authors' command: the rate stays for half of the run. The number of steps is SCRN's."""
    config.model.update({"width": 64, "blocks": 8, "style": 512, "hidden": 256, "discriminator_width": 64})
    config.loss.update({"adv": 5.0, "l1": 1.0, "per": 1.0, "cx": 0.1})
    config.optim.update({"learning_rate": 1e-3, "constant_steps": 60_000, "discriminator_ratio": 1.0, "b1": 0.5})
    config.train.update({"steps": 120_000, "batch_size": 6})


def pona(config: ConfigDict) -> None:
    """What trains PoNA is not in its authors' code; that is made after PATN's, whose settings stand."""
    patn(config)
    config.model.blocks = 3


def pinet(config: ConfigDict) -> None:
    """The authors' command: 500 rounds of 4,000 pairs, then 200 in which the rate falls to 0."""
    patn(config)
    del config.model.blocks
    config.model.parsing_width = 64
    config.loss.par = 1.0
    config.optim.constant_steps = 333_000
    config.train.update({"steps": 467_000, "batch_size": 6})


def shrink(config: ConfigDict) -> None:
    """To the demo's people, frame and number of pairs, for two CPU cores; widths and weights are each method's."""
    config.size = (64, 44)
    config.data = sources.section(
        name="mannequins", dir="data/mannequins", height=64, width=44,
        train_identities=300, test_identities=24, views=5,
    )  # fmt: skip
    config.features.perceptual = "vgg16"  # VGG19 is in no package
    config.optim.update({"constant_steps": 0, "ema_decay": 0.99})
    config.train.update({"steps": 2400, "batch_size": 4, "flip": True, "log_every": 50, "sheet_every": 300})
    config.train.update({"checkpoint_every": 600, "keep_every": 0})
    config.eval.update({"batch_size": 16})


def shrink_patn(config: ConfigDict) -> None:
    """The adversarial weight of days of training draws texture before colour in minutes, as SCRN's does."""
    config.model.update({"width": 16, "discriminator_width": 16, "discriminator_blocks": 2})
    config.loss.update({"adv": 0.1, "l1": 10.0, "per": 1.0})
    config.optim.learning_rate = 1e-3


def shrink_pinet(config: ConfigDict) -> None:
    """As for PATN."""
    shrink_patn(config)
    config.model.parsing_width = 16


def shrink_pise(config: ConfigDict) -> None:
    """As for PATN; the weight of the correspondence falls as SCRN's does in its demo.

    The map's cross-entropy, of numbers in [0, 1], weighs as much as its L1, of which every small region's best guess is
    background: after 300 steps it was lower (1.439) than with a tenth of the weight after 800 (1.450).
    The parsing generator keeps the grid of the large frame, 16x11. With all four halvings, to 4x3, its map did not
    learn to follow the pose.
    """
    config.model.update({"width": 16, "parsing_width": 16, "parsing_halvings": 2, "discriminator_width": 8})
    config.loss.update({"l1": 10.0, "adv": 0.1, "cor": 0.02, "map": 10.0, "par": 10.0})
    config.optim.learning_rate = 1e-3


def shrink_adgan(config: ConfigDict) -> None:
    """As for PATN; the style keeps a quarter of its numbers."""
    config.model.update({"width": 16, "style": 128, "hidden": 64, "discriminator_width": 16, "discriminator_blocks": 2})
    config.loss.update({"adv": 0.1, "l1": 10.0, "per": 1.0, "cx": 0.1})
    config.optim.learning_rate = 1e-3


OWN = {"patn": (patn, shrink_patn), "pise": (pise, shrink_pise), "adgan": (adgan, shrink_adgan),
       "pona": (pona, shrink_patn), "pinet": (pinet, shrink_pinet)}  # fmt: skip

"""The methods that the paper compares SCRN with, each with its authors' settings, and small ones on embedded people.

    python -m scrn_jax.main --config configs/methods.py:patn --config.data.dir=DEEPFASHION --workdir runs/patn

Variants: `patn` at 256x176 on DeepFashion's in-shop pairs, and `patn_small` at 64x44 on the demo's embedded people,
which needs nothing but this package. What each is and where it differs from the authors' code: docs/methods/. None has
been trained at 256x176; the small ones are trained and compared by `python -m benchmarks.methods`.
"""

from ml_collections import ConfigDict

from scrn_jax import settings

METHODS = ("patn",)
VARIANTS = (*METHODS, *(f"{method}_small" for method in METHODS))


def get_config(variant: str = "patn") -> ConfigDict:
    """The config of one of VARIANTS."""
    if variant not in VARIANTS:
        raise ValueError(f"configs/methods.py has no variant {variant!r}; choose one of {', '.join(VARIANTS)}")
    method = variant.removesuffix("_small")
    config = ConfigDict(settings.defaults(method))
    config.size = (256, 176)
    config.adversarial = "lsgan"
    config.data = {"name": "folder", "dir": "data/deepfashion"}
    config.train.update({"flip": False, "checkpoint_every": 1000, "keep": 2, "keep_every": 20_000})
    {"patn": patn}[method](config)
    if variant != method:
        shrink(config)
        {"patn": shrink_patn}[method](config)
    return config


def patn(config: ConfigDict) -> None:
    """The authors' command for DeepFashion; the number of steps is the paper's (60 thousand, then 30 to fall to 0)."""
    config.model.update({"width": 64, "blocks": 9, "dropout": 0.5, "discriminator_width": 64})
    config.loss.update({"adv": 5.0, "l1": 1.0, "per": 1.0})
    config.optim.update({"learning_rate": 2e-4, "constant_steps": 60_000, "discriminator_ratio": 1.0, "b1": 0.5})
    config.train.update({"steps": 90_000, "batch_size": 7})


def shrink(config: ConfigDict) -> None:
    """To the demo's people, frame and number of pairs, for two CPU cores; widths and weights are each method's."""
    config.size = (64, 44)
    config.data = {
        "name": "mannequins", "dir": "data/mannequins", "height": 64, "width": 44,
        "train_identities": 300, "test_identities": 24, "views": 5,
    }  # fmt: skip
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

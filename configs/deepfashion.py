"""The paper's SCRN on DeepFashion's in-shop pairs at 256x176, and its ablations.

    python -m scrn_jax.main --config configs/deepfashion.py:full --config.data.dir=DEEPFASHION --workdir runs/full

Variants: `full` (the paper), `best` (what makes better pictures than the model as printed, docs/pictures.md), `3cb`
(three Coarse Blocks), `no_refine_area`, `no_face` (without Eq. 10), `512` (the paper's model at 512x352, for the images
of `img_highres`; its memory: docs/scaling.md), and `tiny` (`best`, narrow, at 64x44: it learns on any small folder of
photos in minutes).

On two cores of an AMD EPYC a step of `full` on two pairs takes 4.5 s (docs/performance.md); it has not been trained.
`tiny`, 400 steps on 96 pairs of photos, the first half of the parsing block alone, took a minute and a half; the L1
term fell from 0.54 to 0.16 over the second.
"""

from ml_collections import ConfigDict

from input_pipeline import sources
from scrn_jax import settings
from scrn_jax.models.scrn import settings as scrn_settings

VARIANTS = ("full", "best", "3cb", "no_refine_area", "no_face", "512", "tiny")


def get_config(variant: str = "full") -> ConfigDict:
    """The config of one of VARIANTS."""
    if variant not in VARIANTS:
        raise ValueError(f"configs/deepfashion.py has no variant {variant!r}; choose one of {', '.join(VARIANTS)}")
    config = ConfigDict(settings.defaults())
    config.seed = 0
    config.size = (256, 176)
    config.adversarial = "non_saturating"
    # The folder with train/, test/, trainSPL8/, testSPL8/ and the CSV files; read as it is, without preparation.
    config.data = sources.section(name="folder", dir="data/deepfashion")
    config.model.update({"width": 64, "blocks": 6, "refine_area": True, "discriminator_width": 32})
    # VGG19's weights are on no package index. `auto` looks in the cache folder, `download` fetches torchvision's file
    # and checks it, and a path names what python -m scrn_jax.convert wrote.
    config.features.update({"correspondence": "vgg19", "correspondence_source": "auto"})
    config.loss.update({"cor": 300.0, "l1": 5.0, "adv": 2.0, "per": 3.0, "par": 1.0, "face": 1.0})
    config.optim.update({"learning_rate": 1e-3, "discriminator_ratio": 0.1, "b1": 0.9, "b2": 0.999, "clip": 0.0})
    config.train.update({"steps": 120_000, "batch_size": 6, "flip": True})
    config.train.update({"checkpoint_every": 1000, "keep": 2, "keep_every": 20_000})
    if variant == "3cb":
        config.model.blocks = 3
    elif variant == "no_refine_area":
        config.model.refine_area = False
    elif variant == "no_face":
        config.loss.face = 0.0
    elif variant == "512":
        enlarge(config)
    elif variant == "best":
        better_pictures(config)
    elif variant == "tiny":
        better_pictures(config)
        shrink(config)
    return config


def better_pictures(config: ConfigDict) -> None:
    """What docs/pictures.md found better: carried paint, a detailed parsing block, no transposed convolutions.

    Cross-entropy for Eq. 9, because L1 leaves thin limbs and small regions to the background; a weight for Eq. 5 under
    which the others have a say; a sixth of the steps for the parsing block alone.
    """
    config.model.update(scrn_settings.BETTER_PICTURES)
    config.optim.muon_learning_rate = 0.02
    config.parsing = "cross_entropy"
    config.loss.update({"cor": 1.0, "l1": 10.0, "adv": 0.5, "per": 1.0})
    learn_parsing_first(config, 20_000)


def learn_parsing_first(config: ConfigDict, steps: int) -> None:
    """In so many of the steps only the parsing block learns; the learning rate falls over the others."""
    config.train.parsing_steps = config.optim.constant_steps = steps


def enlarge(config: ConfigDict) -> None:
    """To 512x352, a feature grid of 128x88; the batch of 6 goes through in parts, so that it fits one accelerator."""
    config.size = (512, 352)
    config.data["images"] = "img_highres"
    config.model.update({"dtype": "bfloat16", "remat": True})
    config.train.accumulate = 3


def shrink(config: ConfigDict) -> None:
    """To a model and a run for two CPU cores; why these values, configs/demo.py says."""
    config.size = (64, 44)
    config.model.update({"width": 16, "blocks": 3, "discriminator_width": 8})
    config.model.update({"parsing_multiples": (2, 4), "style_multiples": (2, 4, 4, 4)})
    config.features.update({"correspondence": "vgg16", "perceptual_scale": 2})
    config.loss.update({"cor": 0.02, "l1": 10.0, "adv": 0.1, "per": 1.0})
    config.optim.update({"learning_rate": 2e-3, "ema_decay": 0.98})
    learn_parsing_first(config, 200)
    config.train.update({"steps": 400, "batch_size": 8, "log_every": 10, "sheet_every": 50, "checkpoint_every": 100})

"""People of all kinds in all places: the picture model that comes with the package, and one for two cores.

    python -m scrn_jax.main --config configs/people.py --workdir runs/people

2,000 rendered people, five views each, in any light, place, cloth and crop (`data.varied`), as photos show people; and
the sources' outlines and joints a little off, as those are that are found in photos (`train.annotation_noise`).
tools/ship_model.py packs an exported model for the package.

Variants: `full`, at 128x88, for two cores; `large`, at 256x176 and width 24, for a GPU; and `smoke`, 4 people and 4
steps.

`full`, LPIPS on VGG16, SSIM and PSNR on 480 pairs of unseen people: 0.225, 0.702, 21.7 dB (carried pixels, told the
true S_t: 0.223, 0.735, 22.6; flat paint, told it: 0.504, 0.487, 16.7; copying the source: 0.433, 0.506, 15.4). A step
takes 0.47 s on two idle cores of an AMD EPYC, all of them an hour, the people three minutes of both. At width 24, on
12,000 people, 32 pairs a step, eight minutes of a GPU reached 0.177, 0.744, 22.8 dB.

`large` is the package's: 12,000 people and nine minutes of a GPU by `benchmarks.gpu_training` (its card has the
command), from the parameters of the model before it. On 800 pairs at its own size: 0.195, 0.766, 22.4 dB (carried
pixels, told the true S_t: 0.216, 0.771, 22.5; copying the source: 0.425, 0.595, 15.2).
"""

from ml_collections import ConfigDict

from input_pipeline import sources
from scrn_jax import settings
from scrn_jax.models.scrn import settings as scrn_settings

VARIANTS = ("full", "large", "smoke")


def get_config(variant: str = "full") -> ConfigDict:
    """The config of one of VARIANTS."""
    if variant not in VARIANTS:
        raise ValueError(f"configs/people.py has no variant {variant!r}; choose one of {', '.join(VARIANTS)}")
    config = ConfigDict(settings.defaults())
    config.seed = 0
    config.size = (128, 88)
    config.adversarial = "non_saturating"
    config.data = sources.section(
        name="mannequins", dir="data/people", height=128, width=88, varied=True, seed=20,
        train_identities=2000, test_identities=40, views=5,
    )  # fmt: skip
    # About 2 million parameters, 4 MB in float16.
    config.model.update({"width": 16, "blocks": 3, "discriminator_width": 8})
    config.model.update({"parsing_multiples": (1, 2, 4), "style_multiples": (1, 2, 4, 4, 4)})
    config.model.update({**scrn_settings.BETTER_PICTURES, "background": "kept"})
    config.features.update({"correspondence": "vgg16", "perceptual_scale": 2})
    # As in configs/demo.py, which says why, but for a larger share of Eq. 8, which keeps faces and prints sharp.
    config.loss = {"cor": 0.02, "l1": 10.0, "adv": 0.1, "per": 2.0, "par": 1.0, "face": 1.0}
    config.parsing = "cross_entropy"
    config.optim.update({"learning_rate": 2e-3, "muon_learning_rate": 0.02})
    config.optim.update({"discriminator_ratio": 0.1, "clip": 0.0, "ema_decay": 0.995})
    config.train.update({
        "steps": 7000, "batch_size": 4, "log_every": 50, "sheet_every": 500, "checkpoint_every": 250, "flip": True,
        "annotation_noise": 1.0,
    })  # fmt: skip
    config.eval.update({"batch_size": 8, "limit": 480})
    if variant == "large":
        config.size = (256, 176)
        config.data.update({"dir": "data/people_large", "height": 256, "width": 176})
        # As many pixels more need a scale more below them; noise keeps its share of the frame, AlexNet its pixels.
        config.model.update({"width": 24, "parsing_multiples": (1, 2, 4, 4)})
        config.features.perceptual_scale = 1
        config.train.update({"annotation_noise": 2.0, "batch_size": 16, "parsing_steps": 2200, "steps": 7700})
        config.optim.constant_steps = 2200
    if variant == "smoke":
        config.data.update({"dir": "data/people_smoke", "train_identities": 3, "test_identities": 1, "views": 2})
        config.train.update({"steps": 4, "batch_size": 2, "log_every": 2, "sheet_every": 4, "checkpoint_every": 4})
        config.model.update({"width": 8, "blocks": 1})
    return config

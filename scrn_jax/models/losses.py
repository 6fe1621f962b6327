"""The six losses of the paper, Eq. 5 to 10, as pure functions of arrays, and their weights."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from scrn_jax.person.face import mean_inside

PARSING_FORMS = ("l1", "cross_entropy")
ADVERSARIAL_FORMS = ("non_saturating", "saturating", "lsgan", "hinge")


def term_weights(section) -> dict[str, float]:
    """The weights that a config's section `loss` gives to terms, by name, without those that are 0."""
    return {name: weight for name, weight in dataclasses.asdict(section).items() if weight}


def correspondence(features, target_features):
    """Eq. 5: mean squared error between F_g and VGG's conv3_1 (before its ReLU) of the target, same shape."""
    return jnp.mean((features - target_features) ** 2)


def l1(image, coarse_image, target_image):
    """Eq. 6: mean abs(I_g - I_t) + mean abs(I_crs - I_t); images in [-1, 1]."""
    return jnp.mean(jnp.abs(image - target_image)) + jnp.mean(jnp.abs(coarse_image - target_image))


def perceptual(features: Mapping[str, jax.Array], target_features: Mapping[str, jax.Array]):
    """Eq. 8: sum over the taps (AlexNet's five ReLU stages) of the mean absolute difference."""
    return sum(jnp.mean(jnp.abs(features[tap] - target_features[tap])) for tap in features)


def parsing(logits_BxHxWxR, target_parsing_BxHxWxR, form: str = "l1"):
    """Eq. 9: mean abs(S_g - S_t) between the predicted distribution, softmax(logits), and the one-hot target.

    `cross_entropy`: the mean of -log S_g at the true region instead. L1's gradient vanishes where the softmax is sure
    of the wrong region, so that in short runs it stays with the background; cross-entropy's is largest there.
    """
    match form:
        case "l1":
            return jnp.mean(jnp.abs(jax.nn.softmax(logits_BxHxWxR) - target_parsing_BxHxWxR))
        case "cross_entropy":
            return -jnp.mean(jnp.sum(target_parsing_BxHxWxR * jax.nn.log_softmax(logits_BxHxWxR), axis=-1))
    raise ValueError(f"unknown parsing form {form!r}; choose one of {', '.join(PARSING_FORMS)}")


def face(image, target_image, face_box_Bx4):
    """Eq. 10: mean abs(I_g - I_t) inside the target's face box, averaged over the samples that have a face.

    A mask, which equals cropping without its dynamic shapes. Boxes are half-open (y0, x0, y1, x1); an empty one counts
    as no face, and the loss is 0 where no sample of the batch has one.
    """
    error_B, present_B = mean_inside(jnp.abs(image - target_image).mean(-1), face_box_Bx4)
    return error_B.sum() / jnp.maximum(present_B.sum(), 1)


def adversarial_generator(fake_logits, form: str):
    """The generator's side of Eq. 7, averaged over patches and samples of one kind of fake.

    `non_saturating`: -log D(fake), Goodfellow's practical form of the same equilibrium; `saturating`: log(1 - D(fake)),
    the paper's letter; `lsgan`: (D(fake) - 1)^2 on the raw output; `hinge`: -D(fake).
    """
    match form:
        case "non_saturating":
            return jnp.mean(jax.nn.softplus(-fake_logits))
        case "saturating":
            return jnp.mean(-jax.nn.softplus(fake_logits))
        case "lsgan":
            return jnp.mean((fake_logits - 1) ** 2)
        case "hinge":
            return -jnp.mean(fake_logits)
    raise ValueError(f"unknown adversarial form {form!r}; choose one of {', '.join(ADVERSARIAL_FORMS)}")


def adversarial_discriminator(real_logits, fake_logits, form: str):
    """The discriminator's side of Eq. 7: (loss on reals, loss on one kind of fakes), each a mean over patches.

    Log loss for `non_saturating` and `saturating`: -log D(real), -log(1 - D(fake)).
    """
    match form:
        case "non_saturating" | "saturating":
            return jnp.mean(jax.nn.softplus(-real_logits)), jnp.mean(jax.nn.softplus(fake_logits))
        case "lsgan":
            return jnp.mean((real_logits - 1) ** 2), jnp.mean(fake_logits**2)
        case "hinge":
            return jnp.mean(jax.nn.relu(1 - real_logits)), jnp.mean(jax.nn.relu(1 + fake_logits))
    raise ValueError(f"unknown adversarial form {form!r}; choose one of {', '.join(ADVERSARIAL_FORMS)}")


def discriminator_accuracy(real_logits, fake_logits, form: str) -> dict[str, jax.Array]:
    """The shares of the patches of reals and of fakes that D takes for what they are, by `real` and `fake`.

    The least squares of `lsgan` pull the raw output to 1 on reals and to 0 on fakes, so that 0.5 lies between the two;
    of the other forms 0 does.
    """
    middle = 0.5 if form == "lsgan" else 0.0
    return {"real": jnp.mean(real_logits > middle), "fake": jnp.mean(fake_logits < middle)}

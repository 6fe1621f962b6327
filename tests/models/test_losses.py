"""Eq. 5 to 10 against numbers worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scrn_jax.models import losses
from scrn_jax.models.scrn import settings

LOG2 = np.log(2)


def test_the_default_weights_are_the_papers():
    assert settings.LossWeights() == settings.LossWeights(cor=300, l1=5, adv=2, per=3, par=1, face=1)


def test_correspondence_is_the_mean_square():
    ours, target = jnp.array([[[[1.0, 2.0]]], [[[3.0, 4.0]]]]), jnp.array([[[[1.0, 0.0]]], [[[0.0, 3.0]]]])
    np.testing.assert_allclose(losses.correspondence(ours, target), (0 + 4 + 9 + 1) / 4)


def test_l1_adds_the_means_of_both_images():
    image, coarse, target = (jnp.array(values).reshape(1, 1, 2, 1) for values in ([1.0, -1], [0.5, 0], [0.0, 0]))
    np.testing.assert_allclose(losses.l1(image, coarse, target), 1 + 0.25)


def test_perceptual_adds_the_means_of_all_taps_whatever_their_sizes():
    ours = {"relu1": jnp.array([1.0, 2, 3, 4]), "relu2": jnp.array([10.0])}
    target = {"relu1": jnp.array([0.0, 2, 5, 4]), "relu2": jnp.array([8.0])}
    np.testing.assert_allclose(losses.perceptual(ours, target), (1 + 0 + 2 + 0) / 4 + 2)


S_G, S_T = np.array([[[[0.75, 0.25], [0.5, 0.5]]]]), jnp.array([[[[1.0, 0.0], [0.0, 1.0]]]])


def test_parsing_l1_is_the_mean_over_pixels_and_regions():
    np.testing.assert_allclose(losses.parsing(np.log(S_G), S_T, "l1"), (0.25 + 0.25 + 0.5 + 0.5) / 4, rtol=1e-5)


def test_parsing_cross_entropy_is_the_mean_surprise_at_the_true_region():
    expected = (np.log(4 / 3) + np.log(2)) / 2
    np.testing.assert_allclose(losses.parsing(np.log(S_G), S_T, "cross_entropy"), expected, rtol=1e-5)


def test_parsing_cross_entropy_pulls_with_full_strength_when_sure_and_wrong():
    wrong, target = jnp.array([[[[20.0, 0.0]]]]), jnp.array([[[[0.0, 1.0]]]])
    gradient = jax.grad(lambda logits: losses.parsing(logits, target, "cross_entropy"))(wrong)
    np.testing.assert_allclose(gradient, [[[[1.0, -1.0]]]], rtol=1e-6)


def test_an_unknown_parsing_form_is_named():
    with pytest.raises(ValueError, match="l2.*cross_entropy"):
        losses.parsing(jnp.ones((1, 1, 1, 2)), jnp.ones((1, 1, 1, 2)), "l2")


BOXES = np.array([[1, 2, 4, 5], [0, 0, 0, 0], [3, 0, 6, 2]], np.float32)


def _images():
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (2, 3, 6, 5, 3)).astype(np.float32)


def test_face_is_hand_computed_on_one_pixel():
    image, target = jnp.zeros((1, 2, 2, 3)), jnp.zeros((1, 2, 2, 3)).at[0, 1, 0].set(jnp.array([0.3, -0.6, 0.0]))
    np.testing.assert_allclose(losses.face(image, target, jnp.array([[1.0, 0, 2, 1]])), 0.3, rtol=1e-6)


def test_face_equals_cropping_averaged_over_the_samples_with_a_face():
    image, target = _images()
    crops = [np.abs(image[i, y0:y1, x0:x1] - target[i, y0:y1, x0:x1]).mean()
             for i, (y0, x0, y1, x1) in enumerate(BOXES.astype(int)) if y1 > y0]  # fmt: skip
    np.testing.assert_allclose(losses.face(image, target, BOXES), np.mean(crops), rtol=1e-5)


def test_face_has_no_gradient_outside_the_boxes():
    image, target = _images()
    gradient = np.array(jax.grad(losses.face)(image, target, BOXES))
    assert np.all(gradient[0, 1:4, 2:5] != 0) and np.all(gradient[2, 3:6, 0:2] != 0)
    gradient[0, 1:4, 2:5] = gradient[2, 3:6, 0:2] = 0
    assert not gradient.any()


def test_a_batch_without_a_face_gives_0_and_a_zero_gradient():
    image, target = _images()
    value, gradient = jax.value_and_grad(losses.face)(image, target, np.zeros((3, 4), np.float32))
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros_like(image))


# Logits ln 3, 0: D's probability of real is 3/4, 1/2.
LOGITS = np.array([[np.log(3), 0]], np.float32)
GENERATOR = {
    "non_saturating": (np.log(4 / 3) + LOG2) / 2,
    "saturating": (np.log(1 / 4) + np.log(1 / 2)) / 2,
    "lsgan": ((np.log(3) - 1) ** 2 + 1) / 2,
    "hinge": -np.log(3) / 2,
}
LOG_LOSS = ((np.log(4 / 3) + LOG2) / 2, (np.log(4) + LOG2) / 2)
DISCRIMINATOR = {
    "non_saturating": LOG_LOSS,
    "saturating": LOG_LOSS,
    "lsgan": (((np.log(3) - 1) ** 2 + 1) / 2, np.log(3) ** 2 / 2),
    "hinge": (1 / 2, (1 + np.log(3) + 1) / 2),
}


@pytest.mark.parametrize("form", losses.ADVERSARIAL_FORMS)
def test_the_generators_adversarial_form_by_hand(form):
    np.testing.assert_allclose(losses.adversarial_generator(LOGITS, form), GENERATOR[form], rtol=1e-5)


@pytest.mark.parametrize("form", losses.ADVERSARIAL_FORMS)
def test_the_discriminators_adversarial_form_by_hand(form):
    np.testing.assert_allclose(losses.adversarial_discriminator(LOGITS, LOGITS, form), DISCRIMINATOR[form], rtol=1e-5)


@pytest.mark.parametrize("form", losses.ADVERSARIAL_FORMS)
def test_every_adversarial_form_pulls_the_fakes_logits_up(form):
    assert np.all(np.asarray(jax.grad(losses.adversarial_generator)(jnp.array([-2.0, 0.0]), form)) < 0)


@pytest.mark.parametrize("form", losses.ADVERSARIAL_FORMS)
def test_every_adversarial_form_is_finite_at_extreme_logits(form):
    extreme = jnp.array([-1e4, 1e4])
    assert np.isfinite(losses.adversarial_generator(extreme, form))
    assert np.all(np.isfinite(losses.adversarial_discriminator(extreme, extreme, form)))


def test_an_unknown_adversarial_form_is_named():
    with pytest.raises(ValueError, match="wgan.*hinge"):
        losses.adversarial_generator(LOGITS, "wgan")
    with pytest.raises(ValueError, match="wgan.*hinge"):
        losses.adversarial_discriminator(LOGITS, LOGITS, "wgan")


@pytest.mark.parametrize("form", losses.ADVERSARIAL_FORMS)
def test_the_discriminators_accuracy_counts_by_what_its_loss_pulls_to(form):
    """At the ends that the loss pulls to all is right; of what lies between them, half: the middle is told apart."""
    ends = {"lsgan": (1.0, 0.0)}.get(form, (5.0, -5.0))
    middle = sum(ends) / 2
    found = losses.discriminator_accuracy(
        jnp.array([ends[0], middle + 0.1, middle - 0.1, ends[1]]), jnp.array(ends), form
    )
    assert (found["real"], found["fake"]) == (0.5, 0.5)
    pulls = jax.grad(lambda x: losses.adversarial_discriminator(x, jnp.array([9.0]), form)[0])(jnp.array([ends[0]]))
    assert abs(float(pulls[0])) < 0.01

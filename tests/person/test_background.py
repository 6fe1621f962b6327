"""The background that stays when only the person moves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scrn_jax.person import background

HEIGHT, WIDTH = 65, 44  # of which no side is a power of two, and one is odd
OTHERWISE = jnp.array([[0.5, -0.5, 0.25]])


@pytest.fixture(scope="module")
def kept(quick_compile):
    """`background.kept`, compiled once for each shape."""
    return jax.jit(background.kept, compiler_options=quick_compile)


def _person(rows, columns):
    person = np.zeros((1, HEIGHT, WIDTH), np.float32)
    person[:, rows, columns] = 1
    return person


@pytest.fixture(scope="module")
def scene():
    """A picture of noise, (1, HEIGHT, WIDTH, 3)."""
    return np.random.default_rng(0).uniform(-1, 1, (1, HEIGHT, WIDTH, 3)).astype(np.float32)


def test_what_the_person_does_not_hide_stays_as_it_is(scene, kept):
    picture, known = kept(scene, _person(slice(20, 50), slice(10, 30)), OTHERWISE)
    expected = np.ones((HEIGHT, WIDTH))
    expected[19:51, 9:31] = 0  # and a pixel around the person, which mixes both
    np.testing.assert_array_equal(known[0, ..., 0], expected)
    np.testing.assert_array_equal(picture[0][expected > 0], scene[0][expected > 0])


def test_nothing_of_the_person_is_left_in_the_background(scene, kept):
    person = _person(slice(20, 50), slice(10, 30))
    other = np.where(person[..., None] > 0, 1 - scene, scene)
    np.testing.assert_array_equal(*(kept(each, person, OTHERWISE)[0] for each in (scene, other)))


def test_a_plain_wall_is_made_up_plain(kept):
    person = _person(slice(5, 60), slice(8, 36))
    wall = np.where(person[..., None] > 0, 0.9, np.array([0.1, -0.2, 0.3]))
    picture, _ = kept(wall, person, OTHERWISE)
    np.testing.assert_allclose(picture, np.broadcast_to([0.1, -0.2, 0.3], picture.shape), atol=1e-6)


def test_a_wall_that_darkens_towards_one_side_darkens_behind_the_person_too(kept):
    person = _person(slice(12, 60), slice(12, 32))
    wall = np.broadcast_to(np.linspace(-1, 1, WIDTH)[:, None], (1, HEIGHT, WIDTH, 3))
    picture, _ = kept(np.where(person[..., None] > 0, 0, wall), person, OTHERWISE)
    assert np.abs(picture - wall).max() < 0.3  # the mean colour is up to 1 away
    assert np.abs(picture - wall)[person > 0].mean() < 0.12


def test_a_hole_has_values_between_those_around_it(scene, kept):
    picture, _ = kept(scene, _person(slice(20, 50), slice(10, 30)), OTHERWISE)
    assert scene.min() - 1e-6 <= np.asarray(picture).min() and np.asarray(picture).max() <= scene.max() + 1e-6


def test_somebody_who_fills_the_frame_leaves_the_value_that_is_given(scene, kept):
    picture, known = kept(scene, np.ones((1, HEIGHT, WIDTH), np.float32), OTHERWISE)
    np.testing.assert_array_equal(picture, np.broadcast_to(OTHERWISE[:, None, None], picture.shape))
    assert not np.any(known)


def test_each_picture_of_a_batch_has_its_own(scene, kept):
    persons = np.concatenate([_person(slice(20, 50), slice(10, 30)), _person(slice(0, 30), slice(20, 44))])
    scenes = np.concatenate([scene, -scene])
    together = kept(scenes, persons, jnp.concatenate([OTHERWISE, OTHERWISE]))[0]
    alone = kept(scenes[1:], persons[1:], OTHERWISE)[0]
    np.testing.assert_allclose(together[1:], alone, atol=1e-6)

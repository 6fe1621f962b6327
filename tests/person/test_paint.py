"""Paint: region colours, flat paint, and pixels carried by the body, on figures whose answer is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scrn_jax.person import body, joints, paint

HEIGHT, WIDTH = 64, 48
UPPER, FACE, SKIN, LEG = 2, 5, 6, 7
# Compiled once for each shape; operation by operation, each of their hundreds would be.
part_map, carry = jax.jit(body.part_map, static_argnums=(2, 3)), jax.jit(paint.carry)


def _moved(pose, offset, scale=1.0):
    return joints.move(pose, scale=(scale, scale), offset=offset)


def _one_hot(labels):
    return jax.nn.one_hot(labels, 8)


def test_a_regions_colour_is_its_mean_under_soft_masks():
    image = jnp.array([[[[1.0, 0, 0], [0, 0, 0], [0, 1, 0]]]])
    masks = np.zeros((1, 1, 3, 8), np.float32)
    masks[0, 0, :, 0], masks[0, 0, :, UPPER] = [0, 0, 1], [1, 0.5, 0]
    np.testing.assert_allclose(paint.region_colours(image, masks)[0, [0, UPPER]], [[0, 1, 0], [2 / 3, 0, 0]], rtol=1e-6)


def test_an_absent_face_takes_the_skins_colour_and_absent_clothes_the_foregrounds():
    labels = np.array([[[0, UPPER, UPPER, SKIN]]])
    image = jnp.array([[[[0.9] * 3, [0.2] * 3, [0.4] * 3, [-0.3] * 3]]])
    colours = paint.region_colours(image, _one_hot(labels))[0, :, 0]
    np.testing.assert_allclose(colours[FACE], -0.3, rtol=1e-6)
    np.testing.assert_allclose(colours[1], (0.2 + 0.4 - 0.3) / 3, rtol=1e-5)


def test_without_any_foreground_every_region_has_the_whole_pictures_mean():
    image = jnp.array([[[[0.5] * 3, [0.1] * 3]]])
    np.testing.assert_allclose(paint.region_colours(image, _one_hot(np.zeros((1, 1, 2), int))), 0.3, rtol=1e-6)


def test_flat_paint_mixes_the_colours_as_the_distribution_says():
    colours, parsing = jnp.array([[[1.0, 0, 0], [0, 0.5, 0]]]), jnp.array([[[[0.25, 0.75]]]])
    np.testing.assert_allclose(paint.flat_paint(colours, parsing), [[[[0.25, 0.375, 0]]]], rtol=1e-6)


def test_sharpened_doubt_is_squared_and_still_a_distribution():
    np.testing.assert_allclose(paint.sharpen(np.array([0.75, 0.25, 0.0]), 2), [0.9, 0.1, 0], rtol=1e-6)


@pytest.fixture(scope="module")
def striped():
    """A person of upper clothes, face and legs with horizontal stripes, on white; (image, masks)."""
    labels = np.zeros((1, HEIGHT, WIDTH), int)
    labels[:, 8:16, 20:29], labels[:, 16:36, 14:35], labels[:, 36:58, 17:31] = FACE, UPPER, LEG
    image = np.where(np.arange(HEIGHT)[:, None, None] // 2 % 2, 0.8, -0.6) * np.array([1, 0.5, 0.25])
    image = np.where(labels[0, ..., None] > 0, np.broadcast_to(image, (HEIGHT, WIDTH, 3)), 0.9)
    return image[None].astype(np.float32), _one_hot(labels)


def test_carried_to_the_same_pose_the_person_is_as_before(striped, front):
    image, masks = striped
    flat = jnp.zeros_like(image)
    picture, weight = carry(image, masks, front[None], front[None], masks, flat)
    foreground = np.asarray(masks.argmax(-1) > 0)
    np.testing.assert_allclose(weight[..., 0], foreground, atol=0.05)
    assert np.abs(picture - image)[foreground].mean() < 0.02
    np.testing.assert_allclose(picture[~foreground], 0, atol=0.05)


def test_stripes_follow_a_person_who_moves_by_whole_pixels(striped, front):
    image, masks = striped
    moved = [np.roll(array, (3, -5), (1, 2)) for array in (image, masks)]
    picture, _ = carry(image, masks, front[None], _moved(front, (3, -5))[None], moved[1], jnp.zeros_like(image))
    foreground = moved[1].argmax(-1) > 0
    assert np.abs(picture - moved[0])[foreground].mean() < 0.02


def test_where_the_source_does_not_show_the_region_flat_paint_stays(striped, front):
    image, masks = striped
    wanted = _one_hot(np.where(masks.argmax(-1) > 0, 3, 0))  # a dress, of which the source has nothing
    flat = jnp.full_like(image, 0.125)
    picture, weight = carry(image, masks, front[None], front[None], wanted, flat)
    np.testing.assert_array_equal(weight, 0)
    np.testing.assert_array_equal(picture, flat)


def test_without_any_joint_nothing_is_carried_and_nothing_is_undefined(striped, front):
    image, masks = striped
    nobody = np.full((1, 18, 2), joints.MISSING, np.float32)
    flat = jnp.full_like(image, 0.125)
    for source, target in ((nobody, front[None]), (front[None], nobody), (nobody, nobody)):
        picture, weight = carry(image, masks, source, target, masks, flat)
        np.testing.assert_array_equal(weight, 0)
        np.testing.assert_array_equal(picture, flat)
        assert not paint.carry_labels(masks, *part_map(source, target, HEIGHT, WIDTH)).any()


def test_regions_are_carried_with_the_nearest_part(striped, front):
    _, masks = striped
    carried = paint.carry_labels(masks, *part_map(front[None], _moved(front, (3, -5))[None], HEIGHT, WIDTH))
    expected = np.roll(masks, (3, -5), (1, 2))
    assert (carried.argmax(-1) == expected.argmax(-1))[:, 8:60, 8:36].mean() > 0.97


def test_a_kept_background_is_the_sources_own_and_counts_as_carried(striped, quick_compile, front):
    image, masks = striped
    image = np.where(np.asarray(masks[..., :1]) > 0, np.linspace(-1, 1, WIDTH)[:, None], image).astype(np.float32)
    target = masks[:, ::-1]  # somebody else, so that both uncovered and hidden background is asked for
    parts = part_map(front[None], front[None], HEIGHT, WIDTH)
    paint_of = jax.jit(paint.Paint.of, static_argnames=("carried", "background_kept"), compiler_options=quick_compile)
    flat, kept = (paint_of(image, masks, parts, target, carried=True, background_kept=k) for k in (False, True))
    asked, there = np.asarray(target[..., 0] > 0), np.asarray(kept.weight[..., 0])
    seen = asked & (there > 0.5)
    np.testing.assert_allclose(kept.picture[seen], image[seen], atol=1e-6)
    assert np.asarray(masks[..., 0] > 0)[seen].all() and seen.sum() > 0.5 * asked.sum()
    np.testing.assert_allclose(kept.picture[~asked], flat.picture[~asked], atol=1e-6)
    assert np.abs(flat.picture[asked] - flat.picture[asked][0]).max() < 1e-5  # one colour

"""The parts of a body: affine maps from one pose to another, on figures whose answer is known."""

import jax
import jax.numpy as jnp
import numpy as np

from scrn_jax.person import body, joints

HEIGHT, WIDTH = 64, 48
part_map = jax.jit(body.part_map, static_argnums=(2, 3))  # operation by operation, hundreds would be compiled


def _moved(pose, offset, scale=1.0):
    return joints.move(pose, scale=(scale, scale), offset=offset)


def test_the_same_pose_maps_every_pixel_to_itself_by_whatever_part(front):
    positions, distances = part_map(front[None], front[None], HEIGHT, WIDTH)
    grid = np.stack(np.meshgrid(np.arange(HEIGHT), np.arange(WIDTH), indexing="ij"), -1)
    expected = np.broadcast_to(grid[None, :, :, None], positions.shape)
    np.testing.assert_allclose(positions, expected, atol=0.05)
    assert distances.shape == (1, HEIGHT, WIDTH, body.PARTS)


def test_a_person_who_is_shifted_and_half_as_large_is_found_where_the_joints_say(front):
    source = _moved(front, (4, -3), 0.5)
    positions, _ = part_map(source[None], front[None], HEIGHT, WIDTH)
    for part, (inner, _, _) in enumerate(body.LIMBS, 1):
        y, x = front[inner].astype(int)
        np.testing.assert_allclose(positions[0, y, x, part], source[inner], atol=0.1)
    # A limb's width shrinks with the body: 2 pixels beside the shin are 1 in the source.
    np.testing.assert_allclose(positions[0, 51, 22, 7] - positions[0, 51, 20, 7], [0, 1], atol=0.02)


def test_a_raised_forearm_turns_its_pixels_with_it(front):
    target = front.copy()
    target[4] = [18, 16]  # the wrist straight above the elbow, where it was 8 below it
    positions, distances = part_map(front[None], target[None], HEIGHT, WIDTH)
    assert distances[0, 22, 16, 3] < 0.1
    source_elbow, source_wrist = front[3], front[4]
    np.testing.assert_allclose(positions[0, 22, 16, 3], (source_elbow + source_wrist) / 2, atol=0.1)


def test_a_part_that_a_pose_lacks_is_far_from_every_pixel(front):
    source = front.copy()
    source[10] = joints.MISSING
    distances = np.asarray(part_map(source[None], front[None], HEIGHT, WIDTH)[1])
    shin = 1 + [limb[:2] for limb in body.LIMBS].index((9, 10))
    assert (distances[..., shin] == 1e6).all() and (np.delete(distances, shin, -1) < 1e6).all()


def test_sampling_is_bilinear_and_goes_on_beyond_the_edge():
    maps = jnp.array([[[[0.0], [1.0]], [[2.0], [3.0]]]])
    at = jnp.array([[[[0.0, 0.25], [0.5, 0.5], [-3.0, 9.0]]]])
    np.testing.assert_allclose(body.sample(maps, at)[0, 0, :, 0], [0.25, 1.5, 1.0], rtol=1e-6)

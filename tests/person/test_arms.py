"""The source's arms: where sleeves end, and S_g's arms made to fit; what bare ones hide."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scrn_jax.person import arms, body, paint, regions

HEIGHT, WIDTH = 64, 44
_along, _sleeve, _bared = (
    jax.jit(arms.along_arms, static_argnums=(1, 2)), jax.jit(arms.sleeve), jax.jit(arms.bared),
)  # fmt: skip
_carried, _plain = jax.jit(arms.carry_labels), jax.jit(paint.carry_labels)
_worn, _part_map = jax.jit(arms.worn, static_argnums=4), jax.jit(body.part_map, static_argnums=(2, 3))
UPPER, DRESS, SKIN = (regions.NAMES.index(name) for name in ("upper clothes", "dress", "upper skin"))
ARMS = {2: (14, 12), 3: (26, 8), 4: (38, 6), 5: (14, 30), 6: (26, 34), 7: (38, 36)}


def pose_of(joints=ARMS):
    """Somebody upright of whom the arms are given, neck, head and hips aside."""
    pose = np.full((1, 18, 2), -1, np.float32)
    for joint, place in {0: (5, 21), 1: (13, 21), 8: (38, 17), 11: (38, 25), **joints}.items():
        pose[0, joint] = place
    return pose


def masks_of(end, cloth=UPPER, pose=None):
    """One-hot regions of arms that are cloth up to a place and skin beyond, in front of nothing."""
    place, far = _along(pose_of() if pose is None else pose, HEIGHT, WIDTH)
    labels = np.where(np.asarray(far) < 1.5, np.where(np.asarray(place) < end, cloth, SKIN), 0)
    return jax.nn.one_hot(labels, regions.NUM_REGIONS)


def test_places_run_from_shoulder_to_wrist_on_both_arms():
    place, far = (np.asarray(found)[0] for found in _along(pose_of(), HEIGHT, WIDTH))
    for joint, expected in zip((2, 3, 4, 5, 6, 7), (0, 1, 2, 0, 1, 2), strict=True):
        assert place[ARMS[joint]] == pytest.approx(expected, abs=1e-3) and far[ARMS[joint]] < 0.01
    # The body is 1.35 * 25 pixels long, an upper arm half of .05 of that wide on either side.
    assert place[20, 10] == pytest.approx(0.5, abs=1e-3)
    # (7, -1) from the shoulder, whose arm goes by (12, -4).
    assert far[21, 11] == pytest.approx(abs(7 * -4 - -1 * 12) / np.hypot(12, 4) / (0.05 * 1.35 * 25), rel=0.01)


@pytest.mark.parametrize("end", [0.0, 0.5, 1.0, 1.6, 2.1])
def test_a_sleeve_ends_where_cloth_does(end):
    low, high, sure = _sleeve(masks_of(end), pose_of())
    # A pixel is as long as one and a half pieces.
    assert low[0] - 0.11 <= min(end, 2) <= high[0] + 0.11 and high[0] - low[0] < 0.31 and sure[0] > 0.8


def test_what_no_arm_shows_leaves_the_sleeve_open():
    seen = pose_of({joint: place for joint, place in ARMS.items() if joint not in (4, 7)})
    low, high, _ = _sleeve(masks_of(2.0, pose=seen), seen)
    assert low[0] == pytest.approx(1.0, abs=0.11) and high[0] == 2


def test_arms_that_contradict_each_other_are_not_believed():
    labels = np.asarray(masks_of(0.0)).argmax(-1)
    labels[:, :, WIDTH // 2 :] = np.where(labels[:, :, WIDTH // 2 :] > 0, UPPER, 0)
    *_, doubted = _sleeve(jax.nn.one_hot(labels, regions.NUM_REGIONS), pose_of())
    *_, nobody = _sleeve(jnp.zeros((1, HEIGHT, WIDTH, 8)), np.full((1, 18, 2), -1, np.float32))
    assert doubted[0] < 0.1 and nobody[0] == 0


def test_arms_follow_the_sleeves_and_nothing_else_changes():
    """S_g says three quarters skin of bare arms; the source wears a long-sleeved dress."""
    target, source = np.full((1, HEIGHT, WIDTH, 8), 0.0, np.float32), masks_of(2.1, DRESS)
    target[..., 0], target[..., SKIN], target[..., UPPER] = 0.2, 0.6, 0.2
    found = np.asarray(_worn(jnp.asarray(target), source, pose_of(), pose_of(), 6.0))
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-3)
    np.testing.assert_allclose(found[..., 0], 0.2, atol=1e-6)
    place, far = (np.asarray(part) for part in _along(pose_of(), HEIGHT, WIDTH))
    on, off = (far < 0.9) & (place < 1.8), (far > 1.5) | (place == 2)  # hands are nobody's sleeves
    np.testing.assert_array_equal(found[off], target[off])
    assert found[on][:, SKIN].max() < 0.1 and found[on][:, UPPER].min() > 0.6  # S_g's own kind of cloth
    target[..., SKIN], target[..., UPPER] = 0.8, 0
    found = np.asarray(_worn(jnp.asarray(target), source, pose_of(), pose_of(), 30.0))
    assert found[on][:, DRESS].min() > 0.6 and found[on][:, UPPER].max() < 0.01  # the source's, where S_g has none


def test_bare_arms_are_kept_bare():
    target = np.zeros((1, HEIGHT, WIDTH, 8), np.float32)
    target[..., UPPER], target[..., SKIN] = 0.7, 0.3
    found = np.asarray(_worn(jnp.asarray(target), masks_of(1.0), pose_of(), pose_of(), 4.0))[0]
    place, far = (np.asarray(part)[0] for part in _along(pose_of(), HEIGHT, WIDTH))
    assert found[(far < 0.9) & (place > 1.4)][:, SKIN].min() > 0.9
    assert found[(far < 0.9) & (place < 0.6)][:, SKIN].max() < 0.05


def test_without_arms_in_either_pose_s_g_stays():
    target = jax.nn.softmax(jax.random.normal(jax.random.key(0), (1, HEIGHT, WIDTH, 8)))
    nobody = np.full((1, 18, 2), -1, np.float32)
    for poses in ((nobody, pose_of()), (pose_of(), nobody)):
        np.testing.assert_array_equal(_worn(target, masks_of(1.0), *poses, 4.0), target)


FOLDED = {4: (30, 26), 7: (32, 16)}


def standing(joints=FOLDED):
    """Joints, and labels (HEIGHT, WIDTH): clothes from shoulders to hips and arms that are bare from the elbow on."""
    pose = pose_of({**ARMS, **joints, 2: (14, 12), 5: (14, 30)})
    pose[0, [8, 11]] = (44, 14), (44, 29)
    place, far = (np.asarray(part)[0] for part in _along(pose, HEIGHT, WIDTH))
    labels = np.zeros((HEIGHT, WIDTH), int)
    labels[13:50, 11:32] = UPPER
    labels[(far < 1.5) & (place > 1)] = SKIN
    return pose, labels


def one_hot(labels):
    return jax.nn.one_hot(labels[None], regions.NUM_REGIONS)


def test_under_bare_forearms_before_the_body_there_is_what_is_beside_them():
    pose, labels = standing()
    assert (labels[25:38, 15:28] == SKIN).sum() > 30
    found = np.asarray(_bared(one_hot(labels), pose))[0]
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-3)
    assert (found[25:38, 15:28].argmax(-1) == UPPER).all()


def test_arms_beside_the_body_hide_nothing():
    pose, labels = standing(joints={})
    assert (labels == SKIN).any()
    np.testing.assert_array_equal(_bared(one_hot(labels), pose), one_hot(labels))


def test_skin_that_is_no_forearm_is_not_covered():
    pose, labels = standing(joints={})
    labels[30:36, 16:27] = SKIN  # a bare waist
    np.testing.assert_array_equal(_bared(one_hot(labels), pose), one_hot(labels))


def test_only_parts_other_than_arms_show_what_is_under_them():
    pose, labels = standing()
    parts = _part_map(pose, pose, HEIGHT, WIDTH)
    found, plain, under = (
        np.asarray(labels_of)[0]
        for labels_of in (
            _carried(one_hot(labels), pose, *parts),
            _plain(one_hot(labels), *parts),
            _plain(_bared(one_hot(labels), pose), *parts),
        )
    )
    on_arm = np.isin(np.asarray(parts[1])[0].argmin(-1), [2, 3, 4, 5])
    assert on_arm.any()
    np.testing.assert_array_equal(found, np.where(on_arm[..., None], plain, under))

"""Tests of the embedded people as a data source: determinism, framing, joints, labels and face boxes agree."""

import numpy as np
import pytest

from input_pipeline.mannequins.people import FACINGS, Person, PersonTask, render_people
from input_pipeline.mannequins.rendering.surface import BACKGROUND, FACE, HAIR_LABEL, LEG, PANTS
from scrn_jax.person.joints import present

SIZE = (128, 88)
NOSE, R_SHOULDER, L_SHOULDER, R_HIP, L_HIP, R_KNEE, L_KNEE = 0, 2, 5, 8, 11, 9, 12
IDENTITIES = range(12)


@pytest.fixture(scope="module")
def people() -> list[Person]:
    return [Person.sample(seed=3, identity=i) for i in IDENTITIES]


@pytest.fixture(scope="module")
def views(people):
    """One picture per identity and facing, [identity][facing]."""
    return [[person.view(index, *SIZE) for index in range(len(FACINGS))] for person in people]


def _label_at(view, joint: int) -> int:
    y, x = np.rint(view.joints[joint]).astype(int)
    return int(view.labels[np.clip(y, 0, SIZE[0] - 1), np.clip(x, 0, SIZE[1] - 1)])


def test_same_seed_identity_and_index_give_the_same_bits():
    first = Person.sample(seed=1, identity=5).view(2, 64, 44)
    again = Person.sample(seed=1, identity=5).view(2, 64, 44)
    for name in ("image", "labels", "joints", "face_box"):
        assert np.array_equal(getattr(first, name), getattr(again, name))


def test_a_view_does_not_depend_on_the_views_before_it():
    fresh, used = Person.sample(seed=1, identity=6), Person.sample(seed=1, identity=6)
    used.view(0, 64, 44)
    assert np.array_equal(fresh.view(1, 64, 44).image, used.view(1, 64, 44).image)


def test_another_seed_gives_another_person():
    pictures = [Person.sample(seed=s, identity=0).view(0, 64, 44).image.astype(int) for s in (0, 1)]
    assert np.abs(pictures[0] - pictures[1]).mean() > 2


def test_labels_stay_below_eight_and_every_view_shows_a_person(views):
    for view in (v for row in views for v in row):
        assert view.labels.max() <= 7
        assert 0.1 < (view.labels != BACKGROUND).mean() < 0.9


def test_whole_people_fill_most_of_the_height(views):
    heights = [np.ptp(np.flatnonzero((v.labels > 0).any(1))) / SIZE[0] for row in views for v in row]
    assert np.median(heights) > 0.85


def test_nose_of_a_front_view_lies_on_the_face(people):
    # Hands may cover a nose, which is then missing.
    on_face = [_label_at(v, NOSE) == FACE for v in (p.view(0, *SIZE) for p in people) if v.joints[NOSE, 0] >= 0]
    assert len(on_face) >= 8 and all(on_face)


def test_face_is_missing_from_behind(views):
    """But for a head turned far over a shoulder, which shows its profile."""
    hidden = [(row[3].joints[[0, 14, 15]] == -1).all() and not row[3].face_box.any() for row in views]
    assert np.mean(hidden) > 0.7


def test_ears_can_be_seen_from_behind_unless_hair_covers_them(people, views):
    short = [row[3] for p, row in zip(people, views, strict=True) if p.look.hair.style == "short"]
    assert short and np.mean([(view.joints[[16, 17]] >= 0).all(1).any() for view in short]) >= 0.5


def test_knee_of_bare_legs_lies_on_the_leg(people, views):
    found = 0
    for person, row in zip(people, views, strict=True):
        worn = [*person.look.skirts, *([person.look.bottom] if person.look.bottom else [])]
        covered = any(garment.hem < -0.2 for garment in worn)
        for knee in (R_KNEE, L_KNEE):
            if not covered and (row[0].joints[knee] > 0).all():
                found += 1
                assert _label_at(row[0], knee) == LEG
    assert found


def test_knee_in_long_trousers_lies_on_the_trousers(people, views):
    found = 0
    for person, row in zip(people, views, strict=True):
        if person.look.bottom is not None and person.look.bottom.hem < -0.5:
            for knee in (R_KNEE, L_KNEE):
                if (row[0].joints[knee] > 0).all() and row[0].joints[knee, 0] < SIZE[0] - 2:
                    found += 1
                    assert _label_at(row[0], knee) == PANTS
    assert found


def test_face_box_holds_the_nose_and_mostly_face_or_hair(views):
    shares = []
    for view in (v for row in views for v in row):
        if not view.face_box.any():
            continue
        y0, x0, y1, x1 = view.face_box
        if view.joints[NOSE, 0] >= 0:
            assert y0 <= view.joints[NOSE, 0] < y1 and x0 <= view.joints[NOSE, 1] < x1
        inside = view.labels[int(y0) : int(y1), int(x0) : int(x1)]
        shares.append(np.isin(inside, (FACE, HAIR_LABEL)).mean())
    assert np.median(shares) > 0.5


@pytest.mark.parametrize(("right", "left"), [(R_SHOULDER, L_SHOULDER), (R_HIP, L_HIP)])
def test_right_side_is_on_the_images_left_in_front_views_and_on_its_right_from_behind(views, right, left):
    for row in views:
        front, back = row[0].joints, row[3].joints
        if (front[[right, left]] >= 0).all():
            assert front[right, 1] < front[left, 1]
        if (back[[right, left]] >= 0).all():
            assert back[right, 1] > back[left, 1]


def test_joints_and_their_visibility_scale_with_the_resolution(people):
    for person in people[:4]:
        for index in range(4):
            small, large = person.view(index, 64, 44).joints, person.view(index, 256, 176).joints
            there = present(small)
            assert np.array_equal(there, present(large))
            assert np.allclose((small[there] + 0.5) * 4, large[there] + 0.5, atol=1e-3)


def test_missing_joints_are_exactly_minus_one(views):
    for view in (v for row in views for v in row):
        gone = ~present(view.joints)
        assert (view.joints[gone] == -1).all()
        there = view.joints[~gone]
        assert (there >= -0.5).all() and (there <= np.array(SIZE) - 0.5).all()


def test_views_of_one_identity_share_their_clothes_and_identities_differ(views):
    """Colours of the upper garments: nearer within an identity than between identities."""

    def colours(view):
        worn = np.isin(view.labels, (2, 3, 4))
        return view.image[worn].mean(0) if worn.any() else np.zeros(3)

    table = np.array([[colours(view) for view in row] for row in views])
    within = np.linalg.norm(table[:, 0] - table[:, 3], axis=1)
    between = np.linalg.norm(table[:, None, 0] - table[None, :, 3], axis=2)[~np.eye(len(views), dtype=bool)]
    assert np.median(within) < 0.4 * np.median(between)


def test_a_small_picture_is_the_large_one_averaged():
    person = Person.sample(seed=2, identity=1)
    small = person.view(0, 64, 44).image.astype(float)
    large = person.view(0, 256, 176).image.reshape(64, 4, 44, 4, 3).mean((1, 3))
    assert np.abs(small - large).mean() < 3


def test_other_aspects_keep_the_person_in_the_frame():
    view = Person.sample(seed=0, identity=1).view(0, 96, 96)
    assert view.image.shape == (96, 96, 3)
    assert (view.labels[:, 0] == 0).all() and (view.labels[:, -1] == 0).all()


@pytest.mark.parametrize(("index", "height", "width"), [(-1, 64, 44), (0, 8, 44), (0, 64, 100000)])
def test_impossible_views_are_refused(index, height, width):
    with pytest.raises(ValueError, match="view index|picture size"):
        Person.sample(seed=0, identity=0).view(index, height, width)


def test_negative_identity_is_refused():
    with pytest.raises(ValueError, match="non-negative"):
        Person.sample(seed=0, identity=-1)


def test_a_person_who_cannot_be_rendered_is_named_across_processes():
    tasks = [PersonTask(0, 3, 1, 32, 22), PersonTask(0, 4, 2, 8, 22)]
    with pytest.raises(ValueError, match="picture size 8x22") as failed:
        list(render_people(tasks, 2))
    assert "view 0 of PersonTask(seed=0, identity=4, views=2, height=8" in "".join(failed.value.__notes__)

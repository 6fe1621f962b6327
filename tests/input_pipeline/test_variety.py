"""Embedded people as photos show people: what varies, and what it does not change."""

import numpy as np
import pytest

from input_pipeline.mannequins import variety
from input_pipeline.mannequins.builder import PeopleConfig
from input_pipeline.mannequins.people import Person

SEED, SIZE, LEG = 20, (64, 44), 7


def test_a_varied_person_is_a_function_of_seed_identity_and_view():
    first, again = (Person.sample(SEED, 4, varied=True).view(1, *SIZE) for _ in range(2))
    np.testing.assert_array_equal(first.image, again.image)
    assert (first.image != Person.sample(SEED, 4).view(1, *SIZE).image).mean() > 0.5


def test_the_place_stays_the_same_from_view_to_view():
    views = [Person.sample(SEED, 4, varied=True).view(index, *SIZE) for index in (0, 1)]
    empty = np.all([view.labels == 0 for view in views], axis=0)
    empty[SIZE[0] // 2 :] = False  # below, the shadows of the feet
    apart = np.abs(views[0].image[empty].astype(int) - views[1].image[empty])
    assert empty.sum() > 200 and np.median(apart) == 0


@pytest.fixture(scope="module")
def dressed_long():
    """Somebody whose skirt became longer than it is without variety: (without, with)."""
    for identity in range(100):
        plain, varied = (Person.sample(SEED, identity, varied=v) for v in (False, True))
        hems = [[skirt.hem for skirt in each.look.skirts if skirt.label != variety.UPPER] for each in (plain, varied)]
        if hems[0] and hems[0][0] > -0.25 and hems[1][0] < -0.5:
            return plain, varied
    raise AssertionError("nobody of a hundred")


def test_a_longer_skirt_hides_the_legs(dressed_long):
    bare = []
    for person in dressed_long:
        views = [person.view(index, 128, 88) for index in range(8)]
        bare.append(np.mean([(view.labels == LEG).sum() / (view.labels > 0).sum() for view in views]))
    assert bare[1] < 0.6 * bare[0]


def test_every_third_skirt_at_least_is_long_and_not_all_are():
    people = [Person.sample(SEED, identity, varied=True) for identity in range(150)]
    hems = [skirt.hem for person in people for skirt in person.look.skirts if skirt.label != variety.UPPER]
    assert 0.3 < np.mean(np.array(hems) < variety.LONG_HEMS[1]) < 0.8


def test_records_of_another_variety_lie_elsewhere(monkeypatch):
    before = PeopleConfig(varied=True).name()
    monkeypatch.setattr(variety, "VERSION", variety.VERSION + 1)
    assert PeopleConfig(varied=True).name() != before and PeopleConfig().name() in before

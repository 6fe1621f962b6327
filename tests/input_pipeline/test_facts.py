"""What names tell: of DeepFashion by category, of embedded people what the renderer drew them by."""

import numpy as np
import pytest

from input_pipeline import facts
from input_pipeline.mannequins.people import Person
from scrn_jax.metrics import groups


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fashionWOMENSkirtsid0000177102_1front.jpg", {"sex": "women", "garment": "skirt"}),
        ("fashionMENDenimid0000008001_7additional.jpg", {"sex": "men", "garment": "trousers"}),
        ("fashionWOMENBlouses_Shirtsid0000007001_4full.jpg", {"sex": "women"}),
        ("anna/street.png", {}),
    ],
)
def test_names_of_deepfashion_tell_sex_and_category(name, expected):
    assert facts.of_pair(name, name) == expected


@pytest.fixture(scope="module")
def person():
    return Person.sample(7, 4)


def test_embedded_people_are_known_by_their_names(person):
    """As the renderer drew them, by its own random numbers."""
    known = facts.of_pair("mannequin_7_00004_01", "mannequin_7_00004_03")
    look = person.look
    assert (known["garment"] == "dress") == look.dress
    assert (known["garment"] == "trousers") == (look.bottom is not None)
    assert 22 <= abs(known["source_yaw"]) <= 60 and 160 <= known["target_yaw"] <= 200


@pytest.mark.parametrize("index", range(4))
def test_the_known_turn_is_that_of_the_picture(person, index):
    known = facts.of_picture(f"mannequin_7_00004_{index:02d}")["yaw"]
    estimated = groups.yaw(person.view(index, 64, 44).joints[None])[0]
    assert np.abs((known - estimated + 180) % 360 - 180) < 25

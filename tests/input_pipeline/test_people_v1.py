"""The named benchmark: its digest is of what pairs show and say, and it is the set that the comparison trains on."""

import dataclasses
import io
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from input_pipeline import people_v1
from input_pipeline.mannequins.builder import PeopleConfig
from input_pipeline.pair import Pair
from scrn_jax import settings
from scrn_jax.errors import UserError

ROOT = Path(__file__).parents[2]


def _png(array: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG", **options)
    return stream.getvalue()


def _pair(**changes) -> Pair:
    rng = np.random.default_rng(0)
    image, labels = rng.integers(0, 256, (8, 6, 3), dtype=np.uint8), rng.integers(0, 8, (8, 6), dtype=np.uint8)
    pose = rng.uniform(0, 6, (18, 2)).astype(np.float32)
    pair = Pair(_png(image), pose, _png(labels), _png(image[::-1]), pose + 1, _png(labels[::-1]),
                np.float32([1, 1, 3, 3]), "a", "b")  # fmt: skip
    return dataclasses.replace(pair, **changes)


class _Pairs(list):
    """A source of pairs."""

    frame = (8, 6)

    def read(self, index: int) -> Pair:
        return self[index]


def _digest(*pairs: Pair) -> str:
    return people_v1.digest(_Pairs(pairs))


def test_how_a_picture_is_packed_does_not_count():
    with Image.open(io.BytesIO(_pair().source_image)) as opened:
        other = _png(np.asarray(opened), compress_level=0)
    assert other != _pair().source_image
    assert _digest(_pair(source_image=other)) == _digest(_pair())


def _one_pixel_off(png: bytes) -> bytes:
    with Image.open(io.BytesIO(png)) as opened:
        pixels = np.array(opened)
    pixels[0, 0] ^= 1
    return _png(pixels)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Pair)])
def test_everything_else_of_a_pair_counts(field):
    value = getattr(_pair(), field)
    match value:
        case bytes():
            changed = _one_pixel_off(value)
        case str():
            changed = value + "x"
        case _:
            changed = value + np.float32(0.01)
    assert _digest(_pair(**{field: changed})) != _digest(_pair())


def test_the_order_of_pairs_counts_and_the_last_bits_of_joints_do_not():
    first, second = _pair(), _pair(source_name="c")
    assert _digest(first, second) != _digest(second, first)
    joints = np.full((18, 2), 3.25, np.float32)
    assert _digest(_pair(source_pose=joints + np.float32(1e-6))) == _digest(_pair(source_pose=joints))


def test_another_set_is_refused_with_its_digest(monkeypatch, tmp_path):
    monkeypatch.setattr(people_v1.sources, "open_source", lambda data, split: _Pairs([_pair()]))
    with pytest.raises(
        UserError, match=rf"train split, 1 pairs with the SHA-256 {_digest(_pair())}, is not people-v1's"
    ):
        people_v1.check(tmp_path)
    assert people_v1.main(["--dir", str(tmp_path)]) == 1


def test_its_numbers_are_a_set_of_people_and_its_pairs_all_of_them():
    people = PeopleConfig(**{key: value for key, value in people_v1.DATA.items() if key != "name"})
    ordered = people.views * (people.views - 1)
    expected = {"train": people.train_identities * ordered, "test": people.test_identities * ordered}
    assert dict(people_v1.PAIRS) == expected
    assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in people_v1.SHA256.values())


@pytest.mark.parametrize("method", ["patn", "pise", "adgan", "pona", "pinet"])
def test_the_small_methods_are_trained_on_it(method):
    config = runpy.run_path(str(ROOT / "configs" / "methods.py"))["get_config"](f"{method}_small")
    data = settings.from_config(config).data
    known = PeopleConfig(**{key: value for key, value in data.items() if key not in ("name", "dir")})
    assert known == PeopleConfig(**{key: value for key, value in people_v1.DATA.items() if key != "name"})


def test_the_page_names_the_digests():
    page = (ROOT / "docs" / "people-v1.md").read_text("utf-8")
    assert all(sha256 in page for sha256 in people_v1.SHA256.values())

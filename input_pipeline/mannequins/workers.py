"""Renders people in several processes. Imports no TensorFlow, because every process imports this module anew."""

import io
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image

from input_pipeline.mannequins.people import Person
from input_pipeline.pool import ordered_map


class EncodedView(NamedTuple):
    """One rendered picture: PNG bytes of image and labels, joints float32 (18, 2), face box float32 (4,) in pixels."""

    image: bytes
    labels: bytes
    joints: np.ndarray
    face_box: np.ndarray


class PersonTask(NamedTuple):
    """Which person to render, in how many views and how large."""

    seed: int
    identity: int
    views: int
    height: int
    width: int
    varied: bool = False


def render_person(task: PersonTask) -> list[EncodedView]:
    """All views of one person; a function of `task` alone."""
    person = Person.sample(seed=task.seed, identity=task.identity, varied=task.varied)
    views = (person.view(number, height=task.height, width=task.width) for number in range(task.views))
    return [EncodedView(_png(view.image), _png(view.labels), view.joints, view.face_box) for view in views]


def render_people(tasks: Iterable[PersonTask], processes: int) -> Iterator[list[EncodedView]]:
    """`render_person` of every task, in order, by `processes` processes: see `pool.ordered_map`."""
    return ordered_map(render_person, tasks, processes)


def _png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "png")
    return buffer.getvalue()

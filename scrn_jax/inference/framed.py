"""A person of a photo in a model's frame: found by an estimator, or given with joints and a parsing map."""

import dataclasses
from pathlib import Path

import numpy as np

from scrn_jax.errors import UserError
from scrn_jax.inference import checks, poses
from scrn_jax.inference.finding import framing
from scrn_jax.inference.finding.estimators import Person
from scrn_jax.inference.finishing import compositing
from scrn_jax.inference.photo_files import Photo, open_photo
from scrn_jax.person import face
from scrn_jax.person import regions as regions_lib
from scrn_jax.person.resizing import resize_maps


@dataclasses.dataclass(frozen=True)
class Framed(Person):
    """A person in the model's frame: the fields of `Person` there, and where the frame comes from.

    image: uint8 (H, W, 3), the frame; large: the same in more pixels, uint8 (kH, kW, 3); photo: the whole of it, uint8
    (rows, columns, 3); inside: its rows and columns without bars around it; window: the frame's place in those; found:
    the person there, as the estimator found it, or in a smaller copy.
    """

    image: np.ndarray = dataclasses.field(kw_only=True)
    large: np.ndarray = dataclasses.field(kw_only=True, repr=False)
    window: framing.Window = dataclasses.field(kw_only=True)
    photo: np.ndarray = dataclasses.field(kw_only=True, repr=False)
    inside: tuple[slice, slice] = dataclasses.field(kw_only=True, default=(slice(None), slice(None)))
    found: Person = dataclasses.field(kw_only=True, repr=False)

    def with_room(self, room: float) -> "Framed":
        """The person in a frame of `room` times the height and width, see `framing.window_around`; itself for 1.

        Raises UserError for a number that is not from 1 to 2.
        """
        if not 1 <= room <= poses.MOST_ROOM:
            raise UserError(f"room {room}: give a number from 1 to {poses.MOST_ROOM:g}")
        if room == 1:
            return self
        size, pixels = self.image.shape[:2], self.photo[self.inside]
        framed = frame_person(pixels, self.found, size, len(self.large) // size[0], room)
        return dataclasses.replace(framed, photo=self.photo, inside=self.inside)


def frame_person(pixels: np.ndarray, person: Person, size: framing.Size, times: int = 1, room: float = 1.0) -> Framed:
    """The person found in a photo, or in a smaller copy of it, in a frame of `size`; `large` has `times` its rows.

    Beyond the photo's edge the wall goes on. room: see `framing.window_around`.
    """
    seen = person.mask_HxW.shape
    box = framing.body_box(person.joints_Jx2, person.mask_HxW)
    window = framing.window_around(box, seen, size[1] / size[0], room)
    down, across = pixels.shape[0] / seen[0], pixels.shape[1] / seen[1]
    whole = framing.Window(window.top * down, window.left * across, window.height * down, window.width * across)
    joints = window.joints_into(person.joints_Jx2, size)
    image, large = whole.cut(pixels, size), whole.cut(pixels, (times * size[0], times * size[1]))
    mask, regions = window.cut(person.mask_HxW.astype(np.float32), size), window.cut(person.regions_HxW, size, True)
    shown = whole.shown(pixels.shape[:2], size)
    if not shown.all():
        background = compositing.beyond(image, shown, regions)
        wide = np.kron(~shown, np.ones((times, times), bool))
        large[wide] = np.round(resize_maps(background, large.shape[:2])[wide]).clip(0, 255)
        image = np.round(background).clip(0, 255).astype(np.uint8)
        mask, regions = np.where(shown, mask, 0), np.where(shown, regions, 0)
    box = face.face_box_from_joints(joints, *size)
    return Framed(
        joints, mask, regions, box, person.notes, image=image, large=large, window=whole, photo=pixels, found=person
    )


def fit(photo: Photo, parsing, joints, size: framing.Size) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frame, regions and joints for a model of `size`, of a photo with its parsing map (rows, columns) and joints.

    Raises UserError for a map of another size or without a person, and for joints that are no pose.
    """
    pixels = open_photo(photo)
    name = "the parsing map"
    labels = regions_lib.read_label_map(parsing) if isinstance(parsing, str | Path) else checks.array_of(parsing, name)
    if labels.shape != pixels.shape[:2]:
        raise UserError(f"{name} has {labels.shape} pixels, the photo {pixels.shape[:2]}; give one of its size")
    labels = checks.parsing(labels, 1, labels.shape, name)[0]
    found = checks.pose("the joints", poses.check(joints, "the joints"), 1, labels.shape)[0]
    if not (labels > 0).any():
        raise UserError(f"{name} shows nobody, only background; give the map of this photo")
    box = face.face_box_from_joints(found, *labels.shape)
    framed = frame_person(pixels, Person(found, (labels > 0).astype(np.float32), labels, box), size)
    return framed.image, framed.regions_HxW, framed.joints_Jx2

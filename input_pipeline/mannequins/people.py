"""Embedded people: `Person.sample(seed, identity).view(index, height, width)` gives a picture with exact annotation.

What the annotation means:
- joints: COCO-18 order, (y, x) pixels, centres at integers, (-1, -1) when missing. Points of the face (nose, eyes,
  ears) hidden behind something nearer are missing; joints of the body are kept when the body hides them, as OpenPose
  keeps them; anything outside the frame is missing. Neither depends on the resolution.
- labels: the region of most of a pixel's samples. Skirts count as pants or, in a dress, as dress; jackets as upper
  clothes; shoes and stockings as leg; neck, arms and midriff as upper skin; ears as face.
- face_box: the square around brows, cheeks and chin while the nose or an eye is visible, else zeros.
"""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image

from input_pipeline.mannequins import variety
from input_pipeline.mannequins.body import asset as assets
from input_pipeline.mannequins.body import poses
from input_pipeline.mannequins.body.skinning import Posed, pose_bones, rotation, shape_heads
from input_pipeline.mannequins.clothes import wardrobe
from input_pipeline.mannequins.clothes.figure import Figure, Mesh
from input_pipeline.mannequins.rendering import camera, shading, surface
from input_pipeline.mannequins.rendering.camera import Landmarks
from input_pipeline.mannequins.rendering.rasterise import Camera, rasterise
from scrn_jax.runtime.workers import ordered_map

FACINGS = ("front", "three-quarter", "side", "back")
CROP_SHARE = 0.27
SMALLEST, LARGEST = 16, 4096


@dataclass(frozen=True)
class View:
    """A picture: image (H, W, 3) uint8, labels (H, W) uint8 in 0..7, joints (18, 2) and face_box (4,) float32."""

    image: np.ndarray
    labels: np.ndarray
    joints: np.ndarray
    face_box: np.ndarray


@dataclass(frozen=True)
class Shot:
    """A posed figure before the camera, independent of the resolution; screen coordinates in frame heights."""

    mesh: Mesh
    camera: Camera
    screen: np.ndarray
    joints: np.ndarray
    face_box: np.ndarray
    feet: np.ndarray


@dataclass(frozen=True)
class Person:
    """An identity: body, clothes, hair and studio. Equal seeds and identities give equal people.

    varied: whether light, place, colours and crops are of all kinds, see `variety`, and not those of a studio.
    before_body: the share of views in which both hands lie before the body, beyond those that do anyway.
    """

    seed: int
    identity: int
    look: wardrobe.Look
    studio: shading.Studio
    figure: Figure
    heads: np.ndarray
    landmarks: Landmarks
    varied: bool = False
    before_body: float = 0.0

    @classmethod
    def sample(cls, seed: int, identity: int, varied: bool = False, before_body: float = 0.0) -> "Person":
        """Draws the person of a non-negative seed and identity. Raises ValueError for negative numbers."""
        if seed < 0 or identity < 0:
            raise ValueError(f"seed and identity are non-negative integers, not {seed} and {identity}")
        rng = np.random.default_rng([seed, identity, 0])
        asset = assets.load()
        _, coefficients, look = _appearance(rng, asset)
        if varied:
            own = np.random.default_rng([seed, identity, 2])
            studio, look = variety.studio(own), variety.look(own, look)
        figure = Figure(asset, coefficients, look, rng)
        if not varied:
            studio = shading.Studio.sample(rng)
        return cls(
            seed,
            identity,
            look,
            studio,
            figure,
            shape_heads(asset, coefficients),
            Landmarks(asset, coefficients),
            varied,
            before_body,
        )

    def view(self, index: int, height: int, width: int) -> View:
        """Picture number `index` of the person, front, three-quarter, side and back in turn, in height x width pixels.

        A function of (seed, identity, index, height, width) alone; the same index at another size shows the same pose.
        Raises ValueError for a negative index or sizes outside 16..4096.
        """
        if index < 0:
            raise ValueError(f"view index {index} is negative")
        if not (SMALLEST <= height <= LARGEST and SMALLEST <= width <= LARGEST):
            raise ValueError(f"picture size {height}x{width} is outside {SMALLEST}..{LARGEST} pixels a side")
        shot = self.shoot(index, width / height)
        image, labels = self._develop(shot, height, width)
        joints = np.where(shot.joints[:, :1] >= 0, shot.joints * height - 0.5, -1.0).astype(np.float32)
        return View(image, labels, joints, _pixel_box(shot.face_box, height, width))

    def shoot(self, index: int, aspect: float) -> Shot:
        """Poses the person for a view and frames it; aspect = width / height."""
        rng = np.random.default_rng([self.seed, self.identity, 1, index])
        facing = FACINGS[index % len(FACINGS)]
        pose = poses.sample(rng, assets.load(), self.heads, facing, self.before_body)
        posed = pose_bones(self.heads, assets.load().parents, pose.local)
        turn = rotation(poses.Y, pose.yaw)
        mesh = camera.turned(self.figure.pose(posed), turn)
        cropped = bool(rng.random() < (variety.CROP_SHARE if self.varied else CROP_SHARE))
        turned = Posed(turn @ posed.rotation, posed.translation @ turn.T, posed.heads @ turn.T)
        spans = (variety.CUT, variety.FILL) if self.varied else (camera.CUT, camera.FILL)
        lens, mesh, lift = camera.frame(mesh, turned, self.figure, aspect, cropped, rng, *spans)
        screen = lens.project(mesh.vertices)
        joints, face_box = self.landmarks.see(turned, lens, lift, screen, mesh, aspect)
        return Shot(mesh, lens, screen, joints, face_box, camera.soles(turned, lens, lift, self.figure))

    def _develop(self, shot: Shot, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Renders a shot: image and labels."""
        fine = _samples_per_side(height)
        mesh = shot.mesh
        seen = rasterise(
            shot.screen * (height * fine), mesh.vertices[:, 2], mesh.faces, height * fine, width * fine, mesh.bias
        )
        fixed = seen.blend_corners(mesh.corners)
        moving = np.column_stack([mesh.normals, mesh.vertices[:, 2]]).astype(np.float32)
        moving = seen.blend_vertices(moving, mesh.faces)
        normal = shading.unit(moving[:, :3])
        points = surface.dress(fixed, mesh.layer.take(seen.triangle), self.look)
        row, column = np.divmod(seen.pixel, width * fine)
        pixel = row // fine * width + column // fine
        count = np.bincount(pixel, minlength=height * width)
        mean_depth = np.bincount(pixel, moving[:, 3], height * width) / np.maximum(count, 1)
        radius = max(1, round(0.055 * shot.camera.scale * height))
        gaps = shading.crevices(
            mean_depth.reshape(height, width).astype(np.float32), count.reshape(height, width) > 0, radius
        ).ravel()
        colour = shading.light(points, normal, fixed[:, 6], self.studio) * gaps[pixel][:, None]
        empty = self._studio_picture(shot, height, width)
        light = np.stack([np.bincount(pixel, colour[:, c], height * width) for c in range(3)], 1) / fine**2
        light = light + empty * (1 - count / fine**2)[:, None]
        image = np.rint(255 * np.clip(light, 0, 1) ** (1 / 2.2)).astype(np.uint8).reshape(height, width, 3)
        votes = np.bincount(pixel * 8 + points.label, minlength=height * width * 8).reshape(-1, 8)
        votes[:, 0] = fine**2 - count
        return image, votes.argmax(1).astype(np.uint8).reshape(height, width)

    def _studio_picture(self, shot: Shot, height: int, width: int) -> np.ndarray:
        """The empty studio with the person's contact shadow, linear (H * W, 3)."""
        floor = float(shot.feet[:, 0].max()) if len(shot.feet) else 2.0
        if self.studio.place is not None:
            room = variety.backdrop(self.studio.place, height, width)
        else:
            room = shading.backdrop(self.studio, height, width, floor - 0.05)
        if len(shot.feet):
            side = float(np.sign(self.studio.key[0]))
            room *= shading.contact_shadow(height, width, shot.feet, shot.camera.scale, side)[:, :, None]
        return room.reshape(-1, 3)


def known(seed: int, identity: int, index: int) -> tuple[bool, wardrobe.Look, float]:
    """Of picture number `index` of a person, without drawing it: whether a woman, her or his look, and the yaw of the
    body in degrees, 0 towards the camera and 90 towards the picture's right."""
    woman, _, look = _appearance(np.random.default_rng([seed, identity, 0]), assets.load())
    return (
        woman,
        look,
        poses.sample_yaw(np.random.default_rng([seed, identity, 1, index]), FACINGS[index % len(FACINGS)]),
    )


def _appearance(rng: np.random.Generator, asset: assets.Asset) -> tuple[bool, np.ndarray, wardrobe.Look]:
    """Whether a woman, shape coefficients (K,) and look."""
    woman = bool(rng.random() < 0.62)
    coefficients = _sample_body(rng, asset, woman)
    return woman, coefficients, wardrobe.sample(rng, woman)


def _sample_body(rng: np.random.Generator, asset: assets.Asset, woman: bool) -> np.ndarray:
    """Shape coefficients (K,) between two sampled bodies of one sex."""
    same = np.flatnonzero((asset.gender > 0.5) == woman)
    first, second = rng.choice(same, 2, replace=False)
    share = rng.uniform(0, 0.5)
    return (1 - share) * asset.bank[first] + share * asset.bank[second]


def _samples_per_side(height: int) -> int:
    """Supersampling that keeps small pictures smooth and large ones cheap."""
    return 3 if height <= 160 else 2


def _pixel_box(box: np.ndarray, height: int, width: int) -> np.ndarray:
    """A box in frame heights to whole pixels, cut to the frame; zeros when nothing is left."""
    edges = np.concatenate([np.floor(box[:2] * height), np.ceil(box[2:] * height)])
    edges = np.clip(edges, 0, [height, width, height, width])
    empty = edges[2] <= edges[0] or edges[3] <= edges[1]
    return np.zeros(4, np.float32) if empty else edges.astype(np.float32)


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
    """All views of one person; a function of `task` alone. What fails has a note that names person and view."""
    found: list[EncodedView] = []
    try:
        person = Person.sample(seed=task.seed, identity=task.identity, varied=task.varied)
        for number in range(task.views):
            view = person.view(number, height=task.height, width=task.width)
            found.append(EncodedView(_png(view.image), _png(view.labels), view.joints, view.face_box))
    except Exception as error:
        error.add_note(f"While view {len(found)} of {task} was rendered.")
        raise
    return found


def render_people(tasks: Iterable[PersonTask], processes: int) -> Iterator[list[EncodedView]]:
    """`render_person` of every task, in order, by `processes` processes: see `workers.ordered_map`."""
    return ordered_map(render_person, tasks, processes)


def _png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "png")
    return buffer.getvalue()

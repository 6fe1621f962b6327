"""Framing: turns the posed figure to the camera, and fits the whole person or the upper body into the picture."""

import dataclasses

import numpy as np

from input_pipeline.mannequins.body import Posed
from input_pipeline.mannequins.figure import Figure, Mesh
from input_pipeline.mannequins.render import Camera

DISTANCE = 4.5
# Where a crop cuts, as shares of the way from hips to knees, and how much a whole person fills of the frame's height.
CUT, FILL = (0.0, 0.8), (0.88, 0.955)


def turned(mesh: Mesh, turn: np.ndarray) -> Mesh:
    """The mesh rotated by (3, 3) about the origin."""
    matrix = turn.T.astype(np.float32)
    return dataclasses.replace(mesh, vertices=mesh.vertices @ matrix, normals=mesh.normals @ matrix)


def frame(
    mesh: Mesh,
    posed: Posed,
    figure: Figure,
    aspect: float,
    cropped: bool,
    rng: np.random.Generator,
    cut: tuple[float, float] = CUT,
    fill: tuple[float, float] = FILL,
) -> tuple[Camera, Mesh, np.ndarray]:
    """Camera, the mesh moved before it, and the move (3,).

    A whole person fills `fill` of the frame's height, less where the arms would leave the frame at the sides; a cropped
    one is cut between the waist and the knees, at `cut` of the way from hips to knees. aspect = width / height.
    """
    heads = {name: posed.heads[i] for name, i in figure.bones.items()}
    floor = mesh.vertices[:, 1].min()
    hips = 0.5 * (heads["thigh.L"] + heads["thigh.R"])
    lift = np.array([-hips[0], -(floor + 1.15), -hips[2]])
    mesh = dataclasses.replace(mesh, vertices=mesh.vertices + lift.astype(np.float32))
    plane = Camera(1.0, 0.0, 0.0, DISTANCE)
    flat = plane.project(mesh.vertices)
    low, high = flat.min(0), flat.max(0)
    filled, jitter = rng.uniform(*fill), rng.uniform(-0.5, 0.5)
    cut_share, margin = rng.uniform(0.0, 1.0), rng.uniform(0.03, 0.08)
    if cropped:
        knees = 0.5 * (heads["shin.L"] + heads["shin.R"])
        at = hips + (cut[0] + cut_share * (cut[1] - cut[0])) * (knees - hips)
        end = plane.project((at + lift)[None])[0, 0]
        top = plane.project((heads["head"] + [0, 0.19, 0] + lift)[None])[0, 0]
        scale = min((1 - margin) / (end - top), 1.15 * aspect / (high[1] - low[1]))
        centre_y = margin - top * scale
    else:
        scale = min(filled / (high[0] - low[0]), 0.96 * aspect / (high[1] - low[1]))
        slack = 1 - scale * (high[0] - low[0])
        centre_y = slack * (0.5 + 0.3 * jitter) - low[0] * scale
    room = max(aspect - scale * (high[1] - low[1]), 0.0)
    centre_x = aspect / 2 - 0.5 * (low[1] + high[1]) * scale + 0.4 * jitter * room
    return Camera(float(scale), float(centre_y), float(centre_x), DISTANCE), mesh, lift


def soles(posed: Posed, lens: Camera, lift: np.ndarray, figure: Figure) -> np.ndarray:
    """Where the feet meet the floor, (2, 2) rows and columns in frame heights."""
    feet = np.stack([posed.heads[figure.bones[name]] for name in ("foot.L", "foot.R")]) + lift
    ahead = np.stack([posed.rotation[figure.bones[name]] @ [0, 0, 0.07] for name in ("foot.L", "foot.R")])
    points = feet + ahead
    points[:, 1] = -1.15
    return lens.project(points)

"""Framing: turns the posed figure to the camera, and fits the whole person or the upper body into the picture."""

import dataclasses

import numpy as np

from input_pipeline.mannequins.body.asset import BODY, LEFT_EYE, RIGHT_EYE, Asset
from input_pipeline.mannequins.body.skinning import Posed, shape_vertices
from input_pipeline.mannequins.clothes.figure import Figure, Mesh
from input_pipeline.mannequins.rendering.rasterise import Camera, covers

DISTANCE = 4.5
# Where a crop cuts, as shares of the way from hips to knees, and how much a whole person fills of the frame's height.
CUT, FILL = (0.0, 0.8), (0.88, 0.955)

BODY_JOINTS = {
    2: "arm.R",
    3: "forearm.R",
    4: "hand.R",
    5: "arm.L",
    6: "forearm.L",
    7: "hand.L",
    8: "thigh.R",
    9: "shin.R",
    10: "foot.R",
    11: "thigh.L",
    12: "shin.L",
    13: "foot.L",
}
FACE_JOINTS = (0, 14, 15, 16, 17)
TOLERANCE = np.array([0.022, 0.022, 0.022, 0.04, 0.04])


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


"""Metres by which a nearer surface may lie before nose, right eye, left eye, right ear and left ear count as hidden."""


class Landmarks:
    """The landmarks of one body at rest."""

    def __init__(self, asset: Asset, coefficients: np.ndarray):
        rest = shape_vertices(asset, coefficients)
        middle = (asset.kind == BODY) & (np.abs(asset.mean[:, 0]) < 0.01) & (asset.mean[:, 1] > 0.8)
        nose = np.flatnonzero(middle)[asset.mean[middle, 2].argmax()]
        ears = [(asset.ears > 0.5) & (sign * asset.mean[:, 0] > 0) for sign in (-1, 1)]
        # Moved inwards, so that in profile they stay on the silhouette.
        self._points = np.stack(
            [
                rest[nose] - [0, 0, 0.008],
                rest[asset.kind == RIGHT_EYE].mean(0) + [0, 0, 0.010],
                rest[asset.kind == LEFT_EYE].mean(0) + [0, 0, 0.010],
                rest[ears[0]].mean(0),
                rest[ears[1]].mean(0),
            ]
        )
        y, z = asset.mean[:, 1], asset.mean[:, 2]
        front = (asset.kind == BODY) & (y > 0.822) & (y < 0.985) & (z > 0.075)
        self._face = rest[front]
        self._bones = asset.bones

    def see(
        self, posed: Posed, lens: Camera, lift: np.ndarray, screen: np.ndarray, mesh: Mesh, aspect: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Joints (18, 2) and face box (4,) in frame heights; joints missing (-1, -1), box zeros without a face.

        lift (3,) is what the camera's framing added to the posed person's coordinates.
        """
        joints = np.full((18, 2), -1.0)
        centres = posed.heads + lift
        for joint, bone in BODY_JOINTS.items():
            joints[joint] = lens.project(centres[None, self._bones[bone]])[0]
        joints[1] = lens.project(0.5 * (centres[self._bones["arm.R"]] + centres[self._bones["arm.L"]])[None])[0]
        face = self._on_head(posed, self._points) + lift
        at = lens.project(face)
        nearest = covers(screen, mesh.vertices[:, 2], mesh.faces, at)
        visible = nearest - face[:, 2] < TOLERANCE
        joints[list(FACE_JOINTS)] = np.where(visible[:, None], at, -1.0)
        inside = (joints >= 0).all(1) & (joints[:, 0] <= 1) & (joints[:, 1] <= aspect)
        joints[~inside] = -1.0
        if not inside[[0, 14, 15]].any():
            return joints, np.zeros(4)
        outline = lens.project(self._on_head(posed, self._face) + lift)
        low, high = outline.min(0), outline.max(0)
        middle, half = 0.5 * (low + high), 0.52 * float((high - low).max())
        return joints, np.concatenate([middle - half, middle + half])

    def _on_head(self, posed: Posed, points: np.ndarray) -> np.ndarray:
        head = self._bones["head"]
        return points @ posed.rotation[head].T + posed.translation[head]

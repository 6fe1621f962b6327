"""Where the 18 joints and the face of a posed person lie on the screen, and which of them can be seen."""

import numpy as np

from input_pipeline.mannequins.asset import BODY, LEFT_EYE, RIGHT_EYE, Asset
from input_pipeline.mannequins.body import Posed, shape_vertices
from input_pipeline.mannequins.figure import Mesh
from input_pipeline.mannequins.render import Camera, covers

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

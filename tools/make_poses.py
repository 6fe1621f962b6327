"""Writes the gallery of target poses, scrn_jax/inference/assets/poses.json, from an embedded person's body.

    python tools/make_poses.py

24 poses and two films (a walk and a turn-around, 16 poses each, that loop), as (y, x) in frame heights; points of the
face that the head hides are missing, and so are elbows and hands, of poses, not of films, where the body hides both: a
model would paint them.
"""

import json
from pathlib import Path

import numpy as np

from input_pipeline.mannequins.body import asset as assets
from input_pipeline.mannequins.body.poses import X, Y, Z, set_arm
from input_pipeline.mannequins.body.skinning import Posed, pose_bones, rotation
from input_pipeline.mannequins.people import Person, Shot
from input_pipeline.mannequins.rendering import camera

ASPECT = 0.6875
OUTPUT = Path(__file__).parents[1] / "scrn_jax/inference/assets/poses.json"
FRAMES = 16

ARMS = [3, 4, 6, 7]  # elbows and wrists
THICK = 0.1  # metres that an arm's joint lies at most under its own surface and clothes

# Arms: abduction, flexion, axial rotation, elbow, in degrees, see `input_pipeline.mannequins.poses`.
HANG, HIP, POCKET, CHIN = (9, 2, 12, 14), (45, -9, 60, 90), (18, -14, 30, 44), (12, 48, 30, 124)
UP, WIDE, BELLY, BAG, WAVE = (150, 8, -20, 18), (82, 4, 0, 8), (16, 12, 50, 84), (14, 10, 15, 88), (100, 12, -75, 70)
FORWARD, BEHIND = (8, 26, 10, 30), (8, -24, 8, 12)


def leg(thigh: float = 0, knee: float = 4, out: float = -3, lift: float = 0) -> tuple[float, float, float, float]:
    """Degrees: the thigh ahead, the knee's bend, the leg outwards, the heel's lift."""
    return thigh, knee, out, lift


STAND, STEP, BACK_STEP = leg(), leg(20, 6), leg(-15, 24, lift=26)
# name: yaw, left arm, right arm, left leg, right leg, turn of the head
POSES = {
    "standing": (0, HANG, HANG, STAND, STAND, 0),
    "standing-left": (40, HANG, HANG, STAND, STAND, 0),
    "standing-right": (-40, HANG, HANG, STAND, STAND, 0),
    "side-left": (88, HANG, HANG, STAND, STAND, 0),
    "side-right": (-88, HANG, HANG, STAND, STAND, 0),
    "back": (180, HANG, HANG, STAND, STAND, 0),
    "over-the-shoulder": (150, HANG, HANG, STAND, leg(8, 14), -45),
    "walking": (12, BEHIND, FORWARD, STEP, BACK_STEP, 0),
    "walking-left": (62, BEHIND, FORWARD, STEP, BACK_STEP, 0),
    "walking-right": (-62, FORWARD, BEHIND, BACK_STEP, STEP, 0),
    "walking-away": (190, BEHIND, FORWARD, STEP, BACK_STEP, 0),
    "hands-on-hips": (0, HIP, HIP, leg(out=3), leg(out=3), 0),
    "hand-on-hip": (14, HIP, HANG, STAND, leg(12, 20), 0),
    "hand-on-hip-right": (-14, HANG, HIP, leg(12, 20), STAND, 0),
    "hands-in-pockets": (8, POCKET, POCKET, STAND, leg(6, 10), 0),
    "thinking": (-12, BELLY, CHIN, STAND, STAND, 10),
    "arms-up": (0, UP, UP, leg(out=2), leg(out=2), 0),
    "one-arm-up": (10, HANG, UP, STAND, STAND, 0),
    "arms-wide": (0, WIDE, WIDE, leg(out=2), leg(out=2), 0),
    "waving": (-8, HANG, WAVE, STAND, STAND, 0),
    "legs-apart": (0, HANG, HANG, leg(out=11), leg(out=11), 0),
    "one-knee-up": (25, BAG, BAG, leg(58, 72, lift=10), STAND, 0),
    "carrying": (-30, BAG, BAG, STAND, leg(8, 14), 0),
    "leaning": (18, HIP, POCKET, leg(2, 4, 4), leg(16, 26), -8),
}


class Model:
    """One body that takes poses."""

    def __init__(self, identity: int = 4, seed: int = 0):
        self._person = Person.sample(seed, identity)
        self._asset = assets.load()
        self._lens = None

    def joints(self, *pose, is_film: bool = False) -> np.ndarray:
        """(18, 2) in frame heights, of a pose as in POSES. All poses of a film have the camera of its first one."""
        return self.shoot(*pose, is_film=is_film).joints

    def shoot(self, yaw, left, right, left_leg, right_leg, head, is_film: bool = False) -> Shot:
        """The body in this pose before the camera."""
        bones, heads = self._asset.bones, self._person.heads
        local = np.tile(np.eye(3), (len(heads), 1, 1))
        for name, share in (("neck", 0.4), ("head", 0.6)):
            local[bones[name]] = rotation(Y, share * head)
        for side, sign, arm, (thigh, knee, out, lift) in (
            (".L", 1, left, left_leg), (".R", -1, right, right_leg),
        ):  # fmt: skip
            set_arm(local, heads, bones, side, *arm)
            local[bones["thigh" + side]] = rotation(Z, sign * out) @ rotation(X, -thigh)
            local[bones["shin" + side]] = rotation(X, knee)
            whole = local[bones["thigh" + side]] @ local[bones["shin" + side]]
            local[bones["foot" + side]] = whole.T @ rotation(X, lift)
        posed, turn = pose_bones(heads, self._asset.parents, local), rotation(Y, yaw)
        mesh = camera.turned(self._person.figure.pose(posed), turn)
        turned = Posed(turn @ posed.rotation, posed.translation @ turn.T, posed.heads @ turn.T)
        middle = np.random.default_rng(0)
        lens, mesh, lift_by = camera.frame(mesh, turned, self._person.figure, ASPECT, False, middle, fill=(0.9, 0.9))
        if is_film:
            self._lens = self._lens or lens
            lens = self._lens
        screen = lens.project(mesh.vertices)
        joints, face_box = self._person.landmarks.see(turned, lens, lift_by, screen, mesh, 10.0)
        if not is_film:
            depths = turned.heads[[self._asset.bones[camera.BODY_JOINTS[joint]] for joint in ARMS], 2] + lift_by[2]
            nearest = camera.covers(screen, mesh.vertices[:, 2], mesh.faces, joints[ARMS])
            hidden = (nearest - depths > THICK).reshape(2, 2)
            hidden = hidden.all(1).repeat(2)  # what an arm shows of itself ends where the body hides it
            joints[np.array(ARMS)[hidden]] = -1
        feet = camera.soles(turned, lens, lift_by, self._person.figure)
        return Shot(mesh, lens, screen, joints, face_box, feet)


def walk(model: Model) -> list[np.ndarray]:
    """One double step, seen from a little aside."""
    poses = []
    for frame in range(FRAMES):
        phase = 2 * np.pi * frame / FRAMES
        arms, legs = [], []
        for side in (0, np.pi):
            ahead, swing = np.sin(phase + side), max(0.0, np.cos(phase + side))
            legs.append(leg(20 * ahead, 12 + 22 * swing, lift=12 * max(0.0, -ahead)))
            arms.append((9, -22 * ahead, 10, 20 + 8 * max(0.0, -ahead)))
        poses.append(model.joints(35, *arms, *legs, 0, is_film=True))
    return poses


def turn_around(model: Model) -> list[np.ndarray]:
    """Standing, once around."""
    return [model.joints(360 * frame / FRAMES, HANG, HANG, STAND, STAND, 0, is_film=True) for frame in range(FRAMES)]


def main() -> None:
    """Writes the file."""
    model = Model()
    content = {
        "poses": {name: _rounded(model.joints(*pose)) for name, pose in POSES.items()},
        "films": {
            "walk": [_rounded(p) for p in walk(Model())],
            "turn-around": [_rounded(p) for p in turn_around(Model())],
        },
    }
    OUTPUT.write_text(json.dumps(content) + "\n", "utf-8")


def _rounded(joints: np.ndarray) -> list:
    return [[-1, -1] if y < 0 else [round(float(y), 4), round(float(x), 4)] for y, x in joints]


if __name__ == "__main__":
    main()

"""Poses: families of arm, leg and trunk positions, drawn at random and refused when limbs enter the body.

Angles are degrees. An arm is (abduction, flexion, axial rotation inwards, elbow), each a range; the upper arm hangs
at zero and the forearm bends to the front, or to the body's middle when rotated inwards.
"""

from dataclasses import dataclass

import numpy as np

from input_pipeline.mannequins.body.asset import Asset
from input_pipeline.mannequins.body.skinning import Posed, pose_bones, rotation

ARM_FAMILIES = {
    "hang": ((6, 15), (-4, 8), (5, 25), (8, 28)),
    "hip": ((40, 52), (-18, 0), (50, 70), (80, 100)),
    "pocket": ((14, 24), (-22, -8), (20, 40), (35, 52)),
    "bag": ((8, 20), (-5, 25), (0, 30), (70, 105)),
    "chin": ((8, 20), (35, 60), (20, 40), (115, 135)),
    "belly": ((12, 22), (5, 20), (42, 60), (75, 95)),
    "back": ((8, 18), (-32, -18), (45, 70), (30, 55)),
    "up": ((110, 155), (0, 20), (-60, 0), (10, 60)),
    "clasped": ((4, 16), (0, 22), (52, 78), (62, 100)),
}
MEETING = ("clasped", "belly", "bag")  # of both arms, before the body
ARM_SHARES = {
    "hang": 0.42,
    "hip": 0.14,
    "pocket": 0.12,
    "bag": 0.08,
    "chin": 0.06,
    "belly": 0.06,
    "back": 0.06,
    "up": 0.06,
}
YAW_RANGES = {"front": (-9, 9), "three-quarter": (22, 60), "side": (72, 108), "back": (160, 200)}
X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
ATTEMPTS = 12
HANDS_APART, HANDS_TOUCHING = 0.12, 0.02  # at least, metres between the wrists


@dataclass(frozen=True)
class Pose:
    """Local bone rotations (B, 3, 3) in rest axes, and the yaw of the whole person, degrees, 0 = facing the camera."""

    local: np.ndarray
    yaw: float


def sample(rng: np.random.Generator, asset: Asset, heads: np.ndarray, facing: str, before_body: float = 0.0) -> Pose:
    """A pose without self-intersection for bone heads (B, 3); `facing` is a key of YAW_RANGES.

    `before_body`: the share of poses in which both hands lie before the body and may touch each other.
    """
    yaw = sample_yaw(rng, facing)
    meeting = before_body > 0 and bool(rng.random() < before_body)
    apart = HANDS_TOUCHING if meeting else HANDS_APART
    for attempt in range(ATTEMPTS):
        if attempt == ATTEMPTS - 1:
            families = ("hang", "hang")
        else:
            families = (str(rng.choice(MEETING)), str(rng.choice(MEETING))) if meeting else _arm_families(rng)
        local = _draw(rng, asset, heads, families)
        if not intersects(asset, pose_bones(heads, asset.parents, local), heads, apart):
            break
    return Pose(local, yaw)


def sample_yaw(rng: np.random.Generator, facing: str) -> float:
    """The yaw of a pose, the first thing that `sample` draws: degrees, from -108 to 200."""
    low, high = YAW_RANGES[facing]
    side = -1.0 if facing in ("three-quarter", "side") and rng.random() < 0.5 else 1.0
    return side * rng.uniform(low, high)


def _arm_families(rng: np.random.Generator) -> tuple[str, str]:
    names, shares = list(ARM_SHARES), np.array(list(ARM_SHARES.values()))
    left, right = rng.choice(len(names), 2, p=shares / shares.sum())
    return names[left], names[right]


def _draw(rng: np.random.Generator, asset: Asset, heads: np.ndarray, families: tuple[str, str]) -> np.ndarray:
    """Local rotations (B, 3, 3) of one random pose."""
    local = np.tile(np.eye(3), (len(heads), 1, 1))
    _bend_trunk(rng, asset.bones, local)
    _stand(rng, asset.bones, local)
    for side, family in zip((".L", ".R"), families, strict=True):
        angles = [rng.uniform(low, high) for low, high in ARM_FAMILIES[family]]
        set_arm(local, heads, asset.bones, side, *angles, hand_turn=rng.uniform(-20, 20))
    return local


def _bend_trunk(rng: np.random.Generator, bones: dict[str, int], local: np.ndarray) -> None:
    lean, tilt, twist = rng.normal(0, 2.0), rng.normal(0, 2.0), rng.normal(0, 3.5)
    for name in ("spine.low", "spine.mid", "chest"):
        local[bones[name]] = rotation(Y, twist) @ rotation(Z, tilt) @ rotation(X, lean)
    yaw = np.clip(rng.normal(0, 16), -38, 38)
    nod, roll = rng.normal(0, 4), rng.normal(0, 3)
    for name, share in (("neck", 0.4), ("head", 0.6)):
        local[bones[name]] = rotation(Y, share * yaw) @ rotation(Z, share * roll) @ rotation(X, share * nod)


def _stand(rng: np.random.Generator, bones: dict[str, int], local: np.ndarray) -> None:
    """Legs: standing, weight on one leg, or walking; soles stay level except a lifted heel behind."""
    kind = rng.choice(["stand", "contrapposto", "walk", "wide"], p=[0.35, 0.25, 0.3, 0.1])
    flexion, knee = {".L": rng.uniform(-2, 3), ".R": rng.uniform(-2, 3)}, {".L": 3.0, ".R": 3.0}
    spread = {"wide": rng.uniform(2, 7)}.get(kind, rng.uniform(-5.5, -2.0))
    lifted = {".L": 0.0, ".R": 0.0}
    first, second = ((".L", ".R"), (".R", ".L"))[int(rng.integers(2))]
    if kind == "contrapposto":
        flexion[first] = rng.uniform(8, 20)
        knee[first] = flexion[first] * rng.uniform(1.2, 2.0)
        local[bones["root"]] = rotation(Z, 3.0 if first == ".R" else -3.0)
        local[bones["spine.low"]] = rotation(Z, -4.0 if first == ".R" else 4.0) @ local[bones["spine.low"]]
    elif kind == "walk":
        flexion[first], flexion[second] = rng.uniform(10, 24), -rng.uniform(8, 20)
        knee[first], knee[second] = rng.uniform(2, 10), rng.uniform(14, 34)
        lifted[second] = rng.uniform(15, 35)
    for side, sign in ((".L", 1.0), (".R", -1.0)):
        out = spread + rng.uniform(-1, 1)
        turn_out = sign * rng.uniform(0, 14)
        thigh = rotation(Z, sign * out) @ rotation(X, -flexion[side]) @ rotation(Y, turn_out * 0.6)
        shin = rotation(X, knee[side])
        local[bones["thigh" + side]], local[bones["shin" + side]] = thigh, shin
        leg = local[bones["root"]] @ thigh @ shin
        local[bones["foot" + side]] = leg.T @ rotation(Y, turn_out) @ rotation(X, lifted[side])


def arm_frame(abduction: float, flexion: float, axial: float, side: str) -> tuple[np.ndarray, np.ndarray]:
    """Directions in the chest's axes of the upper arm and of where the forearm bends to."""
    a, f, r = np.radians([abduction, flexion, axial])
    down = np.array([np.sin(a), -np.cos(a) * np.cos(f), np.cos(a) * np.sin(f)])
    forward = np.array([0.0, np.sin(f), np.cos(f)])
    bend = np.cos(r) * forward + np.sin(r) * np.cross(down, forward)
    mirror = np.array([1.0 if side == ".L" else -1.0, 1.0, 1.0])
    return down * mirror, bend * mirror


def set_arm(
    local: np.ndarray,
    heads: np.ndarray,
    bones: dict[str, int],
    side: str,
    abduction: float,
    flexion: float,
    axial: float,
    elbow: float,
    hand_turn: float = 0.0,
) -> None:
    """Writes one arm into `local`. The rest arm is an A-pose with a bent elbow, so both frames are aligned."""
    shoulder, elbow_at, wrist = (heads[bones[name + side]] for name in ("arm", "forearm", "hand"))
    upper, lower = _unit(elbow_at - shoulder), _unit(wrist - elbow_at)
    hinge = _unit(np.cross(upper, lower))
    rest_elbow = np.degrees(np.arccos(np.clip(upper @ lower, -1, 1)))
    target, bend = arm_frame(abduction, flexion, axial, side)
    shrug = rotation(Z, (1.0 if side == ".L" else -1.0) * max(0.0, abduction - 50) * 0.3)
    local[bones["clavicle" + side]] = shrug
    target, bend = shrug.T @ target, shrug.T @ bend
    target_hinge = _unit(np.cross(target, bend))
    whole = _frame(target, target_hinge) @ _frame(upper, hinge).T
    swing = _shortest_turn(upper, target)
    # Half the roll about the arm's own axis at the shoulder, half at mid-arm: less candy-wrapper skin.
    half = _half_turn(whole @ swing.T, target)
    local[bones["arm" + side]] = half @ swing
    local[bones["armtwist" + side]] = (half @ swing).T @ whole
    local[bones["forearm" + side]] = rotation(hinge, elbow - rest_elbow)
    local[bones["foretwist" + side]] = rotation(lower, hand_turn * 0.5)
    local[bones["hand" + side]] = rotation(lower, hand_turn * 0.5)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _frame(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.stack([first, second, np.cross(first, second)], 1)


def _shortest_turn(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    axis = np.cross(start, end)
    if np.linalg.norm(axis) < 1e-9:
        return np.eye(3)
    return rotation(axis, np.degrees(np.arctan2(np.linalg.norm(axis), start @ end)))


def _half_turn(turn: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Half of a rotation that is known to be about `axis`."""
    sine = 0.5 * np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]]) @ axis
    return rotation(axis, 0.5 * np.degrees(np.arctan2(sine, (np.trace(turn) - 1) / 2)))


def intersects(asset: Asset, posed: Posed, heads: np.ndarray, hands_apart: float = HANDS_APART) -> bool:
    """Whether a forearm or hand enters the ellipse of the trunk, a thigh's capsule, the head's ball or the other hand.

    `hands_apart`: metres between the wrists.
    """
    at = {name: posed.heads[i] for name, i in asset.bones.items()}
    chest = posed.rotation[asset.bones["chest"]]
    half_width = np.linalg.norm(heads[asset.bones["arm.L"]] - heads[asset.bones["arm.R"]]) * 0.42
    for side in (".L", ".R"):
        wrist = at["hand" + side]
        tip = wrist + 0.45 * (wrist - at["forearm" + side])
        for share in (0.35, 0.7, 1.0, 1.35):
            point = at["forearm" + side] + share * (wrist - at["forearm" + side])
            inside = chest.T @ (point - at["chest"])
            if -0.35 < inside[1] < 0.25 and (inside[0] / half_width) ** 2 + ((inside[2] - 0.02) / 0.15) ** 2 < 1:
                return True
            for leg in (".L", ".R"):
                if _distance(point, at["thigh" + leg], at["shin" + leg]) < 0.105:
                    return True
        if np.linalg.norm(tip - (at["head"] + [0, 0.06, 0.03])) < 0.12:
            return True
    return bool(np.linalg.norm(at["hand.L"] - at["hand.R"]) < hands_apart)


def _distance(point: np.ndarray, start: np.ndarray, end: np.ndarray) -> float:
    along = np.clip((point - start) @ (end - start) / ((end - start) @ (end - start)), 0, 1)
    return float(np.linalg.norm(point - start - along * (end - start)))

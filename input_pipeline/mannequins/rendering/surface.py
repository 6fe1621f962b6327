"""What each visible point is made of: colour, gloss, parsing label and relief, decided on the canonical body."""

from dataclasses import dataclass

import numpy as np

from input_pipeline.mannequins.clothes import cloth
from input_pipeline.mannequins.clothes.figure import EYE, HAIR, SHEET, SKIN, scalp
from input_pipeline.mannequins.clothes.wardrobe import ANKLE, CROTCH, HIP, Look

BACKGROUND, HAIR_LABEL, UPPER, DRESS, PANTS, FACE, UPPER_SKIN, LEG = range(8)
EYE_AT = np.array([0.0317, 0.938, 0.1325], np.float32)
MOUTH_Y = 0.8625


@dataclass
class Surface:
    """Attributes of P visible points: albedo (P, 3) linear, gloss (P,), label (P,) uint8, relief (P, 2) slopes of
    the cloth around and along, shade (P,) extra darkening, strand (P,) bool where light runs along hair."""

    albedo: np.ndarray
    gloss: np.ndarray
    label: np.ndarray
    relief: np.ndarray
    shade: np.ndarray
    strand: np.ndarray


def dress(attributes: np.ndarray, layer: np.ndarray, look: Look) -> Surface:
    """The surface of visible points from corner attributes (P, 8) blended over triangles and their layers (P,)."""
    count = len(layer)
    point, arm = attributes[:, :3], attributes[:, 3]
    surface = Surface(
        np.empty((count, 3), np.float32),
        np.full(count, 0.05, np.float32),
        np.full(count, UPPER_SKIN, np.uint8),
        np.zeros((count, 2), np.float32),
        np.ones(count, np.float32),
        np.zeros(count, bool),
    )
    surface.albedo[:] = look.skin
    on_body = layer == SKIN
    head = np.flatnonzero(on_body & (point[:, 1] > 0.80) & (arm < 0))
    body = np.flatnonzero(on_body & (point[:, 1] <= 0.83))
    surface.label[body[(point[body, 1] < CROTCH + 0.08) & (arm[body] < -0.1)]] = LEG
    _paint_legs(surface, body, point, arm, look)
    _paint_garments(surface, body, attributes, look)
    _paint_head(surface, head, attributes, look)
    _paint_eyes(surface, np.flatnonzero(layer == EYE), point, look)
    locks = np.flatnonzero(layer == HAIR)
    _paint_hair(surface, locks, attributes[locks, 4], attributes[locks, 5], look)
    for number, skirt in enumerate(look.skirts):
        chosen = np.flatnonzero(layer == SHEET + number)
        _lay_cloth(surface, chosen, attributes, skirt.cloth, skirt.label, 0.22)
        surface.shade[chosen] *= _hem(point[chosen, 1] - skirt.hem)
        if skirt.label == UPPER:
            _open_front(surface, chosen, attributes, look)
    return surface


def _hem(distance: np.ndarray) -> np.ndarray:
    """Darkening (N,) of the seam that runs parallel to an edge, from the distance to the edge in metres."""
    return 1 - 0.25 * np.clip(1 - np.abs(distance - 0.012) / 0.004, 0, 1) - 0.2 * np.clip(1 - distance / 0.006, 0, 1)


def _lay_cloth(
    surface: Surface, chosen: np.ndarray, attributes: np.ndarray, fabric: cloth.Cloth, label: int, stretch: float = 0.7
) -> None:
    """Covers the chosen points with a cloth; `stretch` below 1 draws its folds out downwards."""
    u, v = attributes[chosen, 4], attributes[chosen, 5]
    surface.albedo[chosen] = fabric.colour(u, v)
    surface.gloss[chosen] = fabric.gloss
    surface.label[chosen] = label
    tile = np.float32(1 / cloth.RELIEF_METRES)
    folds = cloth.lookup(cloth.relief(), (u + fabric.offset[1]) * tile, v * tile * np.float32(stretch))
    surface.relief[chosen] = folds[:, :2] * (np.array([0.8, stretch], np.float32) * np.float32(fabric.folds))
    surface.shade[chosen] *= 1 + 0.045 * fabric.folds * folds[:, 2]


def _paint_legs(surface: Surface, body: np.ndarray, point: np.ndarray, arm: np.ndarray, look: Look) -> None:
    """Stockings, shoes and soles; all count as leg."""
    y = point[body, 1]
    leg = arm[body] < -0.1
    shoe = look.shoe
    sock = body[leg & (y < shoe.sock_top)]
    surface.albedo[sock] = shoe.sock if shoe.sock_top < 0 else 0.65 * shoe.sock + 0.35 * look.skin
    long = look.bottom is not None and look.bottom.hem < ANKLE
    top = max(shoe.top, ANKLE + 0.02) if long else shoe.top
    worn = leg & (y < top + 0.25 * np.maximum(0.02 - point[body, 2], -0.03) * (top < ANKLE))
    surface.albedo[body[worn]] = shoe.leather
    surface.gloss[body[worn]] = 0.35
    surface.albedo[body[worn & (y < -0.803)]] = shoe.sole


def _paint_garments(surface: Surface, body: np.ndarray, attributes: np.ndarray, look: Look) -> None:
    point, arm = attributes[body, :3], attributes[body, 3]
    if look.bottom is not None:
        inside = look.bottom.distance(point, arm)
        _lay_trousers(surface, body, attributes, look, inside)
    inside = look.top.distance(point, arm)
    worn = inside > 0
    chosen = body[worn]
    _lay_cloth(surface, chosen, attributes, look.top.cloth, DRESS if look.dress else UPPER)
    surface.shade[chosen] *= _hem(inside[worn])
    if look.top.closure == "buttons":
        _sew_buttons(surface, chosen, attributes)
    _open_front(surface, chosen, attributes, look)
    bare_edge = body[(inside <= 0) & (inside > -0.012)]
    surface.shade[bare_edge] *= 0.88


def _lay_trousers(surface: Surface, body: np.ndarray, attributes: np.ndarray, look: Look, inside: np.ndarray) -> None:
    bottom = look.bottom
    worn = inside > 0
    chosen = body[worn]
    _lay_cloth(surface, chosen, attributes, bottom.cloth, PANTS, 0.35)
    point, u = attributes[chosen, :3], attributes[chosen, 4]
    surface.shade[chosen] *= _hem(inside[worn])
    front = point[:, 2] > 0.02
    fly = front & (np.abs(point[:, 0] - 0.006) < 0.003) & (point[:, 1] > CROTCH + 0.03)
    pocket = front & (np.abs(point[:, 1] - 0.27 + 0.9 * (np.abs(point[:, 0]) - 0.09)) < 0.0035)
    outseam = (point[:, 1] < HIP) & (np.abs(np.abs(u) - 0.075 * 0.9) < 0.002)
    back_pocket = (
        ~front
        & (np.abs(np.maximum(np.abs(np.abs(point[:, 0]) - 0.085) - 0.05, np.abs(point[:, 1] - 0.2) - 0.06)) < 0.003)
        & (point[:, 2] < -0.02)
    )
    surface.shade[chosen] *= np.where(fly | pocket | outseam | back_pocket, 0.72, 1.0)
    if bottom.belt:
        band = chosen[(bottom.waist - point[:, 1] < 0.034)]
        surface.albedo[band] = look.shoe.leather * 0.8
        surface.gloss[band] = 0.3
        surface.relief[band] = 0
        buckle = band[(np.abs(attributes[band, 0]) < 0.022) & (attributes[band, 2] > 0)]
        surface.albedo[buckle] = (0.55, 0.5, 0.4)


def _open_front(surface: Surface, chosen: np.ndarray, attributes: np.ndarray, look: Look) -> None:
    """Shows the shirt between the fronts of an open jacket, in the shadow of their edges."""
    if look.top.inner is None:
        return
    depth = look.top.gap(attributes[chosen, :3])
    shirt = chosen[depth > 0]
    surface.shade[shirt] = 1.0
    _lay_cloth(surface, shirt, attributes, look.top.inner, UPPER)
    surface.shade[shirt] *= 0.62 + 0.33 * np.clip(depth[depth > 0] / 0.02, 0, 1)
    edge = chosen[np.abs(depth + 0.004) < 0.004]
    surface.shade[edge] *= 0.8


def _sew_buttons(surface: Surface, chosen: np.ndarray, attributes: np.ndarray) -> None:
    x, y, z = attributes[chosen, :3].T
    front = z > 0.0
    placket = front & (np.abs(np.abs(x) - 0.018) < 0.002)
    surface.shade[chosen[placket]] *= 0.75
    button = front & (np.hypot(x, (y + 0.5) % 0.075 - 0.0375) < 0.0075)
    surface.albedo[chosen[button]] = 0.35 * surface.albedo[chosen[button]] + 0.4


def _paint_head(surface: Surface, head: np.ndarray, attributes: np.ndarray, look: Look) -> None:
    point = attributes[head, :3]
    face = point[:, 1] > 0.818 + (0.165 - point[:, 2]) * 0.42
    surface.label[head[face & (surface.label[head] == UPPER_SKIN)]] = FACE
    _paint_features(surface, head, attributes, look)
    strands = cloth.lookup(cloth.noise(), np.arctan2(point[:, 0], 0.05 - point[:, 2]) * 1.2, point[:, 1] * 1.5)
    above = scalp(point, look.hair.hairline, look.hair.fringe) + 0.0015 * strands[:, 0]
    ear = attributes[head, 7] < -0.5
    grown = (above > 0) & ~(ear & (look.hair.style != "loose"))
    hair = head[grown]
    around = np.arctan2(point[grown, 0], 0.05 - point[grown, 2]) * 0.1
    _paint_hair(surface, hair, around, 0.4 - 0.6 * point[grown, 1], look)
    edge = np.clip(above[grown] / 0.008, 0, 1)[:, None]
    surface.albedo[hair] = edge * surface.albedo[hair] + (1 - edge) * (0.45 * look.skin + 0.55 * look.hair.colour)


def _paint_features(surface: Surface, head: np.ndarray, attributes: np.ndarray, look: Look) -> None:
    """Cheeks, lips, brows and lash lines."""
    x, y, z = attributes[head, :3].T
    side = np.abs(x)
    front = z > 0.09
    flush = np.exp(-((side - 0.045) ** 2 + (y - 0.893) ** 2) / 0.0004) * front * (0.10 + 0.12 * look.makeup)
    surface.albedo[head] *= 1 - flush[:, None] * np.array([0.1, 0.55, 0.5], np.float32)
    lips = np.clip(attributes[head, 7] * 2.2 - 0.6, 0, 1)[:, None]
    surface.albedo[head] += lips * (look.lips - surface.albedo[head])
    surface.gloss[head] = 0.06 + 0.12 * lips[:, 0]
    line = np.exp(-(((y - MOUTH_Y - 8 * side**2 + 0.001) / 0.0016) ** 2)) * (side < 0.024) * front
    surface.albedo[head] *= 1 - 0.6 * line[:, None]
    outward = (side - EYE_AT[0]) / 0.025
    arch = EYE_AT[1] + 0.0225 + 0.0035 * (1 - (outward - 0.35) ** 2)
    thick = np.clip(0.0028 - 0.001 * outward, 0.001, 0.004)
    brow = np.clip(1.6 - np.abs(y - arch) / thick, 0, 1) * np.clip((1.05 - np.abs(outward)) * 8, 0, 1) * front
    surface.albedo[head] *= 1 - 0.68 * brow[:, None] * (1 - look.hair.colour * 0.5)
    to_eye = np.sqrt((side - EYE_AT[0]) ** 2 + (y - EYE_AT[1]) ** 2 + (z - EYE_AT[2]) ** 2)
    lid = np.clip((0.0205 - to_eye) / 0.0025, 0, 1) * front
    upper = np.where(y > EYE_AT[1], 0.55 + 0.35 * look.makeup, 0.30)
    surface.albedo[head] *= 1 - (lid * upper)[:, None]


def _paint_eyes(surface: Surface, eyes: np.ndarray, point: np.ndarray, look: Look) -> None:
    offset = point[eyes] - EYE_AT * np.sign(point[eyes, :1]) ** np.array([1, 0, 0])
    from_axis = np.hypot(offset[:, 0], offset[:, 1])
    ahead = offset[:, 2] > 0
    colour = np.full((len(eyes), 3), 0.78, np.float32)
    colour[ahead & (from_axis < 0.0072)] = look.iris
    colour[ahead & (from_axis < 0.0035)] = 0.012
    glint = ahead & (np.hypot(offset[:, 0] + 0.0028, offset[:, 1] - 0.0030) < 0.0018)
    colour[glint] = 1.0
    # The upper lid throws its shadow on the ball.
    surface.albedo[eyes] = colour * np.clip(0.95 - (offset[:, 1:2] - 0.002) * 60, 0.45, 1)
    surface.label[eyes] = FACE
    surface.gloss[eyes] = 0.1


def _paint_hair(surface: Surface, chosen: np.ndarray, around: np.ndarray, along: np.ndarray, look: Look) -> None:
    """Hair at metres around the head and along the strands."""
    fine = cloth.lookup(cloth.noise(), around * 14, along * 0.9)[:, 0]
    coarse = cloth.lookup(cloth.noise(), around * 4 + 0.3, along * 0.7)[:, 1]
    surface.albedo[chosen] = look.hair.colour * np.clip(1 + 0.26 * fine + 0.18 * coarse, 0.3, 2)[:, None]
    surface.label[chosen] = HAIR_LABEL
    surface.gloss[chosen] = 0.35
    surface.strand[chosen] = True
    surface.relief[chosen, 0] = 0.12 * fine
    surface.shade[chosen] = 1.0

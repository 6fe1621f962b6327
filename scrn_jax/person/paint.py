"""What the source's pixels alone say of the target picture: flat colours by region, and pixels carried by the body.

Nothing here is learned and no gradient flows through it. Every target pixel follows one part of the body, see
`person.body`. All arrays are float32; positions and joints are (y, x) in pixels with pixel centres at integers.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from scrn_jax.person import background, body, regions

BACKGROUND = 0
SHARPNESS = 2.0  # the power of S_g that paint goes by
DETOUR = 4.0  # half widths that a pixel goes further for a part that shows the region it wants
# A GPU would round colours to ten bits otherwise.
_einsum = partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)


def region_colours(image_BxHxWx3, masks_BxHxWxR):
    """Mean colour of every one of the 8 regions, (B, 8, 3), under masks in [0, 1] that may be soft.

    A region absent from the source takes the mean of the skin there is, if it is skin itself (the face of somebody seen
    from behind); else that of the foreground (all regions but the background), or of the whole picture where there is
    no foreground.
    """
    skin = jnp.array(regions.SKIN)
    area_BxR = masks_BxHxWxR.sum((1, 2))
    sums_BxRx3 = _einsum("bhwr,bhwc->brc", masks_BxHxWxR, image_BxHxWx3)

    def together(members):
        """Area and mean colour of several regions as one: (B, 1), (B, 1, 3)."""
        area = area_BxR[:, members].sum(1, keepdims=True)
        return area, sums_BxRx3[:, members].sum(1, keepdims=True) / jnp.maximum(area, 1e-6)[..., None]

    _, whole = together(slice(None))
    front_area, front = together(slice(1, None))
    skin_area, skin_colour = together(skin)
    other = jnp.where(front_area[..., None] > 0, front, whole)
    is_skin_R = jnp.zeros(regions.NUM_REGIONS, bool).at[skin].set(True)
    other_BxRx3 = jnp.where((is_skin_R & (skin_area > 0))[..., None], skin_colour, other)
    return jnp.where(area_BxR[..., None] > 0, sums_BxRx3 / jnp.maximum(area_BxR, 1e-6)[..., None], other_BxRx3)


def flat_paint(colours_BxRx3, parsing_BxHxWxR):
    """Every pixel the mixture of region colours that the (soft or one-hot) parsing map asks for: (B, H, W, 3)."""
    return _einsum("bhwr,brc->bhwc", parsing_BxHxWxR, colours_BxRx3)


def sharpen(parsing_BxHxWxR, power: float = SHARPNESS):
    """The distribution raised to a power: paint has edges where S_g is in doubt, instead of ghosts of both regions."""
    powers = parsing_BxHxWxR**power
    return powers / powers.sum(-1, keepdims=True)


def carry_labels(masks_BxHxWxR, positions, distances):
    """Source regions taken along by the nearest part, (B, H, W, R): what S_t would be if only parts moved.

    Where no part is shown, or it points out of the source's frame, all regions are 0. `positions` and `distances` come
    from `body.part_map`.
    """
    height, width = masks_BxHxWxR.shape[1:3]
    part = distances.argmin(-1)
    at = body.of_part(positions, part)
    known = body.inside(at, height, width) & (distances.min(-1) < body.FAR)
    return body.sample(masks_BxHxWxR, at) * known[..., None]


def agreement(labels_BxHxW, parsing_BxHxWxR, y, x):
    """How much the parsing map wants, at a target pixel, what the source's labels show at whole (y, x).

    y and x have any number of positions for each target pixel, (B, H, W, ...), and so has the result, in [0, 1];
    outside of the source, and for its background, it is 0.
    """
    height, width = labels_BxHxW.shape[1:]
    label = body.gather(labels_BxHxW[..., None], y, x)[..., 0]
    wanted = jnp.take_along_axis(parsing_BxHxWxR, label.reshape(*label.shape[:3], -1), 3).reshape(label.shape)
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    return jnp.where(inside & (label != BACKGROUND), wanted, 0)


def take(maps_BxHxWxC, labels_BxHxW, parsing_BxHxWxR, positions_BxHxWx2):
    """Bilinear values of the source's maps at positions, where it shows the region that the parsing map asks for.

    Only pixels of the wanted region count, so that an edge does not bring the background along.

    Returns:
      (sum of those values (B, H, W, C), by shares that add up to weight (B, H, W, 1) in [0, 1]).
    """
    corners = [
        (y, x, share * agreement(labels_BxHxW, parsing_BxHxWxR, y, x))
        for y, x, share in body.corners(positions_BxHxWx2)
    ]
    weight = sum(share for *_, share in corners)[..., None]
    return sum(share[..., None] * body.gather(maps_BxHxWxC, y, x) for y, x, share in corners), weight


def carry_pixels(image_BxHxWx3, masks_BxHxWxR, positions, distances, parsing_BxHxWxR, flat_BxHxWx3):
    """Source pixels taken along by the body's parts; flat paint where the source does not show the same region.

    Each pixel follows the part that is near and takes it to the region which the parsing map asks for there.

    Returns:
      (picture (B, H, W, 3), weight (B, H, W, 1) in [0, 1]: how far a pixel is carried).
    """
    labels_BxHxW = masks_BxHxWxR.argmax(-1)

    nearest = jnp.round(positions).astype(jnp.int32)
    agreeing = agreement(labels_BxHxW, parsing_BxHxWxR, nearest[..., 0], nearest[..., 1])
    part = (distances + DETOUR * (1 - agreeing)).argmin(-1)
    shown = jnp.take_along_axis(distances, part[..., None], 3) < body.FAR
    total, weight = take(image_BxHxWx3, labels_BxHxW, parsing_BxHxWxR, body.of_part(positions, part))
    total, weight = total * shown, weight * shown
    strength = jnp.sqrt(weight)
    return strength * total / jnp.maximum(weight, 1e-6) + (1 - strength) * flat_BxHxWx3, strength


def carry(image_BxHxWx3, masks_BxHxWxR, source_pose_Bx18x2, target_pose_Bx18x2, parsing_BxHxWxR, flat_BxHxWx3):
    """`carry_pixels` along the `body.part_map` of the two poses: (picture (B, H, W, 3), weight (B, H, W, 1))."""
    positions, distances = body.part_map(source_pose_Bx18x2, target_pose_Bx18x2, *image_BxHxWx3.shape[1:3])
    return carry_pixels(image_BxHxWx3, masks_BxHxWxR, positions, distances, parsing_BxHxWxR, flat_BxHxWx3)


class Paint(NamedTuple):
    """What a decoder starts from.

    The picture so far (B, H, W, 3), how far each pixel of it is carried (B, H, W, 1) in [0, 1], and the flat paint
    underneath (B, H, W, 3).
    """

    picture: jax.Array
    weight: jax.Array
    flat: jax.Array

    @classmethod
    def of(
        cls, image_BxHxWx3, masks_BxHxWxR, parts, parsing_BxHxWxR, *, carried: bool, background_kept: bool = False
    ) -> "Paint":
        """Paint under the sharpened parsing map, carried along `part_map`'s `parts` or flat only; no gradient flows.

        A background that is kept is the source's own, see `background.kept`, and counts as carried where it is known;
        else it has one colour as the other regions.
        """
        parsing_BxHxWxR = sharpen(jax.lax.stop_gradient(parsing_BxHxWxR))
        colours_BxRx3 = region_colours(image_BxHxWx3, masks_BxHxWxR)
        flat = flat_paint(colours_BxRx3, parsing_BxHxWxR)
        weight = jnp.zeros_like(flat[..., :1])
        if background_kept:
            colour, share = colours_BxRx3[:, BACKGROUND], parsing_BxHxWxR[..., BACKGROUND, None]
            behind, known = background.kept(image_BxHxWx3, 1 - masks_BxHxWxR[..., BACKGROUND], colour)
            flat, weight = flat + share * (behind - colour[:, None, None]), share * known
        if not carried:
            return cls(flat, weight, flat)
        picture, strength = carry_pixels(image_BxHxWx3, masks_BxHxWxR, *parts, parsing_BxHxWxR, flat)
        return cls(picture, strength + weight, flat)

    def towards(self, other: "Paint", share_BxR, parsing_BxHxWxR) -> "Paint":
        """This paint with `other`'s in its place as far as `share` in [0, 1] says of each region."""
        share = _einsum("bhwr,br->bhw", sharpen(parsing_BxHxWxR), share_BxR)[..., None]
        return Paint(*((1 - share) * mine + share * theirs for mine, theirs in zip(self, other, strict=True)))

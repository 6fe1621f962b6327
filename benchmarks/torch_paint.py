"""Paint in PyTorch: what the source's pixels alone say of the target picture, see scrn_jax/person/paint.py.

Features are NCHW, joints (B, 18, 2) as (y, x) pixels, missing ones (-1, -1). Nothing given here has a gradient.
Positions come from sums of products, not from matrix products, which TF32 would round to a tenth of a pixel.
"""

from typing import NamedTuple

import torch
from torch.nn import functional

HEAD, TORSO, HIPS = [0, 14, 15, 16, 17], [1, 2, 5, 8, 11], [8, 11]
NECK, RIGHT_SHOULDER, LEFT_SHOULDER, HEAD_POINT = 1, 2, 5, 18
INNER = [1, 2, 3, 5, 6, 8, 9, 11, 12]
OUTER = [HEAD_POINT, 3, 4, 6, 7, 9, 10, 12, 13]
HALF_WIDTHS = [0.11, 0.05, 0.045, 0.05, 0.045, 0.08, 0.06, 0.08, 0.06]  # shares of the body's size
PARTS = 1 + len(INNER)
FAR = 1e6
SKIN = [5, 6, 7]


class Parts(NamedTuple):
    """Where each part takes every target pixel from, and how many half widths it lies away: each (B, PARTS, H, W)."""

    y: torch.Tensor
    x: torch.Tensor
    far: torch.Tensor

    def chosen(self, part_BxHxW):
        """The positions by one part a pixel: y, x (B, H, W)."""
        return (each.gather(1, part_BxHxW[:, None])[:, 0] for each in (self.y, self.x))


def length_of(vectors):
    """Euclidean, of the last axis, kept off 0."""
    return (vectors.square().sum(-1) + 1e-6).sqrt()


def outer(a, b):
    """a b' of the last axes."""
    return a[..., :, None] * b[..., None, :]


def affine(linear, start, end):
    """The 2x3 matrices (..., 2, 3) of the maps that are `linear` (..., 2, 2) and take `start` to `end` (..., 2)."""
    return torch.cat([linear, (end - (linear * start[..., None, :]).sum(-1))[..., None]], -1)


def apply(matrices, y, x):
    """2x3 matrices (B, P, 2, 3) at the pixels y (H, 1), x (1, W): two maps (B, P, H, W)."""
    return (row[..., 0, None, None] * y + row[..., 1, None, None] * x + row[..., 2, None, None]
            for row in matrices.unbind(-2))  # fmt: skip


def mean_of(points, there):
    """The mean (B, 2) of those of the points (B, N, 2) that are there (B, N)."""
    return (points * there[..., None]).sum(1) / there.sum(1, keepdim=True).clamp(min=1)


def with_head_point(pose):
    """The joints and the middle of the head's as the 19th; which of them are there (B, 19)."""
    there = (pose > -1).all(-1)
    head = there[:, HEAD]
    pose = torch.cat([pose, mean_of(pose[:, HEAD], head)[:, None]], 1)
    return pose, torch.cat([there, head.any(1, keepdim=True)], 1)


def body_size(pose, there, height: int):
    """From head to hip in pixels (B,), as far as the joints that are there tell."""
    trunk = 1.35 * length_of(mean_of(pose[:, HIPS], there[:, HIPS]) - pose[:, NECK])
    head = 4 * length_of(pose[:, HEAD_POINT] - pose[:, NECK])
    has_trunk = there[:, NECK] & there[:, HIPS].any(1)
    has_head = there[:, NECK] & there[:, HEAD_POINT]
    unknown = torch.full_like(trunk, height / 3)
    return torch.where(has_trunk, trunk, torch.where(has_head, head, unknown)).clamp(min=height / 16)


def part_map(source_pose, target_pose, height: int, width: int) -> Parts:
    """Every part's map from target to source: affine ones, a limb's stretch ending at its joints."""
    y = torch.arange(height, device=target_pose.device, dtype=target_pose.dtype)[:, None]
    x = torch.arange(width, device=target_pose.device, dtype=target_pose.dtype)[None]
    (source, in_source), (target, in_target) = with_head_point(source_pose), with_head_point(target_pose)
    there, body = in_source & in_target, body_size(target, in_target, height)
    torso, limbs = _torso(source, target, there, body, y, x), _limbs(source, target, there, body, y, x)
    return Parts(*(torch.cat(both, 1) for both in zip(torso, limbs, strict=True)))


def _limbs(source, target, there, body, y, x):
    """y, x and distance of the limbs, (B, 9, H, W) each."""
    shown = there[:, INNER] & there[:, OUTER]
    starts, bones = zip(*((pose[:, INNER], pose[:, OUTER] - pose[:, INNER]) for pose in (target, source)), strict=True)
    length_t, length_s = map(length_of, bones)
    along_t, along_s = bones[0] / length_t[..., None], bones[1] / length_s[..., None]
    # A quarter turn of them: across the limb.
    across_t, across_s = (torch.stack([along[..., 1], -along[..., 0]], -1) for along in (along_t, along_s))

    size_t, size_s = ((length * shown).sum(-1, keepdim=True) + 1e-3 for length in (length_t, length_s))
    growth = (size_s / size_t).clamp(1 / 3, 3)  # of the whole body, (B, 1)
    stretch = (length_s / length_t).clamp(growth / 3, growth * 3)
    turn = stretch[..., None, None] * outer(along_s, along_t) + growth[..., None, None] * outer(across_s, across_t)
    source_y, source_x = apply(affine(turn, *starts), y, x)
    into_limb = torch.stack([along_t, across_t], -2)
    along, across = apply(affine(into_limb, starts[0], torch.zeros_like(starts[0])), y, x)
    beyond = along - along.clamp(min=0).minimum(length_t[..., None, None])
    # Beyond the joints the body's growth takes the place of the stretch.
    excess = (growth - stretch)[..., None, None] * beyond
    half_widths = torch.tensor(HALF_WIDTHS, device=y.device, dtype=y.dtype) * body[:, None]
    far = torch.hypot(across, beyond) / half_widths[..., None, None]
    far = far.masked_fill(~shown[..., None, None], FAR)
    return source_y + excess * along_s[..., 0, None, None], source_x + excess * along_s[..., 1, None, None], far


def _torso(source, target, there, body, y, x):
    """y, x and distance of the torso, (B, 1, H, W) each."""
    seen, neck = there[:, TORSO], target[:, NECK]
    points, moves = target[:, TORSO], (source - target)[:, TORSO]
    middle = mean_of(points, seen)
    # Ridge regression of the joints' moves on their places, as least squares with three rows more.
    rows = torch.cat([points - middle[:, None], torch.ones_like(points[..., :1])], -1) * seen[..., None]
    ridge = torch.tensor([len(y) / 13, len(y) / 13, 1e-3**0.5], device=y.device, dtype=y.dtype).diag()
    rows = torch.cat([rows, ridge.expand(len(rows), 3, 3)], 1)
    moves = functional.pad(moves * seen[..., None], (0, 0, 0, 3))
    normal, wanted = outer(rows, rows).sum(1), outer(rows, moves).sum(1)
    fit = torch.linalg.solve_ex(normal, wanted).result.transpose(1, 2)  # (B, 2, 3); _ex does not wait for the device
    linear = torch.eye(2, device=y.device, dtype=y.dtype) + fit[..., :2]
    source_y, source_x = apply(affine(linear, middle, middle + fit[..., 2])[:, None], y, x)

    spine_y, spine_x = (mean_of(target[:, HIPS], there[:, HIPS]) - neck)[..., None, None, None].unbind(1)
    down, right = y - neck[:, 0, None, None, None], x - neck[:, 1, None, None, None]
    t = ((down * spine_y + right * spine_x) / (spine_y**2 + spine_x**2).clamp(min=1)).clamp(0, 1)
    shoulders = length_of(target[:, RIGHT_SHOULDER] - target[:, LEFT_SHOULDER]) / 2
    both = there[:, RIGHT_SHOULDER] & there[:, LEFT_SHOULDER]
    half_width = (shoulders * both).maximum(0.6 * 0.13 * body)
    far = torch.hypot(down - t * spine_y, right - t * spine_x) / half_width[:, None, None, None]
    shown = there[:, NECK] & there[:, HIPS].any(1) & (seen.sum(1) >= 3)
    return source_y, source_x, far.masked_fill(~shown[:, None, None, None], FAR)


def nearness(parts: Parts):
    """A Gaussian of one half width around every part's axis, (B, PARTS, H, W)."""
    return torch.exp(-parts.far.square() / 2)


def carry_labels(masks, parts: Parts):
    """The source's regions (B, R, H, W) where the nearest part takes them; 0 where none is, or beyond the frame."""
    height, width = masks.shape[2:]
    least, part = parts.far.min(1)
    y, x = parts.chosen(part)
    grid = torch.stack([2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1], -1)  # as grid_sample counts
    known = (y >= -0.5) & (y <= height - 0.5) & (x >= -0.5) & (x <= width - 0.5) & (least < FAR)
    return functional.grid_sample(masks, grid, padding_mode="border", align_corners=True) * known[:, None]


def region_colours(image, masks):
    """Mean colours (B, R, 3); skin stands in for absent skin, else the foreground or the whole for what is absent."""

    def colour(members):
        """(area (B, n, 1), mean colour (B, n, 3)) of sums of regions, each a slice of the masks."""
        area = members.sum((2, 3))[..., None]
        total = members.flatten(2) @ image.flatten(2).transpose(1, 2)
        return area, total / area.clamp(min=1e-6)

    area, own = colour(masks)
    together = [masks[:, SKIN].sum(1), masks[:, 1:].sum(1), masks.sum(1)]
    areas, colours = colour(torch.stack(together, 1))
    (has_skin, has_front, _), (skin, front, whole) = (areas > 0).split(1, 1), colours.split(1, 1)
    is_skin = torch.zeros(masks.shape[1], 1, dtype=torch.bool, device=masks.device)
    is_skin[SKIN] = True
    instead = torch.where(is_skin & has_skin, skin, torch.where(has_front, front, whole))
    return torch.where(area > 0, own, instead)


def carry_pixels(image, labels, parts: Parts, parsing, flat):
    """(picture (B, 3, H, W), weight (B, 1, H, W)): pixels of the wanted region by the part that suits, else `flat`."""
    height, width = labels.shape[1:]
    samples = torch.arange(len(labels), device=labels.device)[:, None, None, None]
    framed = functional.pad(labels, (1, 1, 1, 1))  # beyond the frame there is background

    def agreement(y, x):
        label = framed[samples, y.clamp(-1, height) + 1, x.clamp(-1, width) + 1]
        return parsing.gather(1, label) * (label != 0)

    fits = agreement(parts.y.round().long(), parts.x.round().long())
    part = (parts.far + 4 * (1 - fits)).argmin(1)
    y, x = parts.chosen(part)
    shown = parts.far.gather(1, part[:, None]) < FAR
    # The four pixels around, those of other regions left out: (B, 4, H, W).
    top, left = y.floor(), x.floor()
    corner_y = torch.stack([top, top, top + 1, top + 1], 1)
    corner_x = torch.stack([left, left + 1, left, left + 1], 1)
    share = (1 - (corner_y - y[:, None]).abs()) * (1 - (corner_x - x[:, None]).abs())
    corner_y, corner_x = corner_y.long(), corner_x.long()
    share = share * agreement(corner_y, corner_x) * shown
    pixels = image.permute(0, 2, 3, 1)[samples, corner_y.clamp(0, height - 1), corner_x.clamp(0, width - 1)]
    weight = share.sum(1, keepdim=True)
    carried = (share[..., None] * pixels).sum(1).permute(0, 3, 1, 2) / weight.clamp(min=1e-6)
    return torch.lerp(flat, carried, weight.sqrt()), weight.sqrt()


def fill(image, known, otherwise):
    """The image where it is known (B, 1, H, W), elsewhere the nearest level of a pyramid of means that knows more."""
    levels = [(image, known)]
    while max(image.shape[2:]) > 1:
        odd = 0, image.shape[3] % 2, 0, image.shape[2] % 2
        pooled = functional.avg_pool2d(functional.pad(torch.cat([image * known, known], 1), odd), 2)
        image, known = pooled[:, :-1] / pooled[:, -1:].clamp(min=0.25), (pooled[:, -1:] > 0).to(image.dtype)
        levels.append((image, known))
    filled = otherwise[..., None, None]
    for image, known in reversed(levels):
        larger = functional.interpolate(filled, scale_factor=2, mode="bilinear", align_corners=False)
        filled = torch.where(known > 0, image, larger[..., : image.shape[2], : image.shape[3]])
    return filled


def paint(image, labels, masks, parts: Parts, parsing, carried: bool, background_kept: bool):
    """(picture (B, 3, H, W), weight (B, 1, H, W), flat paint (B, 3, H, W)) under the squared parsing map."""
    with torch.autocast(image.device.type, enabled=False):
        parsing = parsing.square()
        parsing = parsing / parsing.sum(1, keepdim=True)
        colours = region_colours(image, masks)
        flat = (colours.transpose(1, 2) @ parsing.flatten(2)).view_as(image)
        weight = torch.zeros_like(flat[:, :1])
        if background_kept:
            radius = max(1, round(image.shape[2] / 64))
            near = functional.max_pool2d(1 - masks[:, :1], 2 * radius + 1, stride=1, padding=radius)
            known = (near < 0.5).to(image.dtype)
            behind = fill(image, known, colours[:, 0])
            flat = flat + parsing[:, :1] * (behind - colours[:, 0, :, None, None])
            weight = parsing[:, :1] * known
        if not carried:
            return flat, weight, flat
        picture, strength = carry_pixels(image, labels, parts, parsing, flat)
        return picture, strength + weight, flat

"""A painted person in front of the photo's own background, in the model's frame and in the whole photo."""

import numpy as np
from PIL import Image, ImageFilter
from scipy import ndimage

from scrn_jax.inference.finding.framing import Window
from scrn_jax.inference.finishing import pattern
from scrn_jax.person import joints as joints_lib
from scrn_jax.person.resizing import resize_maps

# Around a person, so many of a frame's rows are as doubtful as the person: outlines are found to a pixel or two.
MARGIN = 1 / 32
FADE = 0.06  # of a side, along which what is put back fades into the photo
# Beyond the photo's edge: pixels of blur for each of distance, levels of blur, each twice the one before, and the share
# of a mean that has to be known.
_BLUR, _LEVELS, _ENOUGH, _LITTLE = 0.5, 6, 0.5, 1e-4


def hidden_by(regions_HxW: np.ndarray) -> np.ndarray:
    """Where a person, labels or a mask, may hide the background: bool (H, W), the person and MARGIN around."""
    around = ImageFilter.MaxFilter(2 * max(1, round(MARGIN * len(regions_HxW))) + 1)
    return np.asarray(Image.fromarray((regions_HxW > 0).astype(np.uint8)).filter(around)) > 0


def without_person(image_HxWx3: np.ndarray, regions_HxW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The background alone: float32 (H, W, 3), and where it had to be made up, bool (H, W).

    What the person hides is harmonic: every pixel is the mean of its neighbours, as a soap film hangs from the pixels
    around the hole. Of a plain wall nothing is to be seen afterwards; a pattern is lost. Somebody who fills the frame
    leaves it as it is.
    """
    from scipy import sparse
    from scipy.sparse import linalg

    hole = hidden_by(regions_HxW)
    background = image_HxWx3.astype(np.float32)
    if not hole.any() or hole.all():
        return background, np.zeros_like(hole)
    rows, columns = np.nonzero(hole)
    number = np.full(np.add(hole.shape, 2), -1)  # of each unknown pixel; a rim stands for what is outside the frame
    number[1:-1, 1:-1][hole] = np.arange(len(rows))
    inside = np.pad(np.ones_like(hole), 1)
    known = np.pad(background, ((1, 1), (1, 1), (0, 0)))
    neighbours, total, pairs = np.zeros(len(rows)), np.zeros((len(rows), 3)), []
    for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        at = rows + 1 + down, columns + 1 + right
        neighbours += inside[at]
        other = number[at]
        total += np.where((other < 0)[:, None], known[at], 0)
        pairs.append(np.stack([np.flatnonzero(other >= 0), other[other >= 0]]))
    first, second = np.concatenate(pairs, axis=1)
    links = sparse.csc_matrix((np.ones(len(first)), (first, second)), shape=2 * (len(rows),))
    background[hole] = linalg.splu(sparse.diags(neighbours, format="csc") - links).solve(total)
    return background, hole


def beyond(picture_HxWx3: np.ndarray, shown_HxW: np.ndarray, person_HxW: np.ndarray) -> np.ndarray:
    """The picture, float32 (H, W, 3), going on beyond what a photo shows of it, a rectangle, bool (H, W).

    There it is mirrored, without the person (labels or a mask), and the more blurred the farther away: a wall goes on,
    and a thing at the photo's edge becomes neither a streak nor a twin.
    """
    away = []
    for axis, count in enumerate(shown_HxW.shape):
        found = np.flatnonzero(shown_HxW.any(1 - axis))
        away.append((found[0], count - 1 - found[-1]))
    inside = tuple(slice(before, count - after) for (before, after), count in zip(away, shown_HxW.shape, strict=True))
    known = np.where(hidden_by(person_HxW)[inside], _LITTLE, 1)[..., None]
    both = np.concatenate([picture_HxWx3[inside] * known, known], -1, dtype=np.float32)
    both = np.pad(both, (*away, (0, 0)), "symmetric")
    level = np.log2(1 + _BLUR * ndimage.distance_transform_cdt(~shown_HxW, "chessboard"))[..., None]
    total, filled = np.zeros(picture_HxWx3.shape, np.float32), None
    for step in range(_LEVELS, -1, -1):
        blurred = pattern.around(both, 2.0**step - 1)
        mean, share = blurred[..., :3] / blurred[..., 3:], np.clip(blurred[..., 3:] / _ENOUGH, 0, 1)
        filled = mean if filled is None else filled + share * (mean - filled)
        total += np.clip(1 - abs(level - step), 0, 1) * filled
    return np.where(shown_HxW[..., None], picture_HxWx3, total)


def enlarged(background: np.ndarray, hole: np.ndarray, large: np.ndarray) -> np.ndarray:
    """The background in more pixels: float32 (kH, kW, 3).

    `background` and `hole` as `without_person` gives them; `large`, the whole frame (kH, kW, 3), shows the rest.
    """
    made_up = _softly(hole, large.shape[:2])[..., None]
    return large + made_up * (resize_maps(background, large.shape[:2]) - large)


def without_islands(regions_HxW: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """The regions without pieces that belong to nobody: none of the joints (18, 2) is on them or near."""
    pieces, count = ndimage.label(regions_HxW > 0, np.ones((3, 3)))
    kept, near = np.zeros(count + 1, bool), max(1, round(MARGIN * len(regions_HxW)))
    for row, column in np.rint(joints[joints_lib.present(joints)]).astype(int):
        rows, columns = (slice(max(0, at - near), max(0, at + near + 1)) for at in (row, column))
        kept[pieces[rows, columns]] = True
    return np.where(kept[pieces], regions_HxW, 0)


def share_of(regions_HxW: np.ndarray) -> np.ndarray:
    """How far each pixel is the person's, float32 (H, W) in [0, 1]: 1 inside, falling to 0 over two pixels outside."""
    near = _spread(_spread((regions_HxW > 0).astype(np.float32)))
    return np.clip(1.6 * near - 0.2, 0, 1)


def with_hidden(share: np.ndarray, hole_HxW: np.ndarray, regions_HxW: np.ndarray) -> np.ndarray:
    """A share, of the frame's size or larger, that takes in what the source hid: for models that fill it.

    `regions_HxW` are those painted. Of a person who is not taken there, such as a head that was moved, nothing is, nor
    of what is near.
    """
    taken = resize_maps(share[..., None], hole_HxW.shape)[..., 0]
    moved_away = hidden_by(share_of(regions_HxW) - taken > 0.5)
    return np.maximum(share, _softly(hole_HxW & ~moved_away, share.shape))


def in_front(picture_HxWx3: np.ndarray, share_HxW: np.ndarray, background_HxWx3: np.ndarray) -> np.ndarray:
    """The picture's person in front of a background: uint8 (H, W, 3)."""
    share = share_HxW[..., None]
    return np.round(share * picture_HxWx3 + (1 - share) * background_HxWx3).clip(0, 255).astype(np.uint8)


def put_back(
    photo: np.ndarray, window: Window, image: np.ndarray, regions: np.ndarray, picture: np.ndarray, share: np.ndarray
) -> np.ndarray:
    """The photo with its person taken out and the picture's put in: uint8, of the photo's size.

    Elsewhere the photo keeps its own pixels. At the window's edges inside the photo, both changes fade.

    Args:
      photo: uint8 (rows, columns, 3). window: the place of the frame in it.
      image, regions: the frame, uint8 (H, W, 3), and its regions (H, W).
      picture, share: (H, W, 3) from 0 to 255 and (H, W) in [0, 1], see `share_of`; or both in a larger size.
    """
    background, hole = without_person(image, regions)
    # Only the window's part of the photo, a channel at a time: photos may have 50 megapixels.
    whole = photo.copy()
    rows = slice(max(0, int(window.top)), max(0, int(window.top + window.height) + 1))
    columns = slice(max(0, int(window.left)), max(0, int(window.left + window.width) + 1))
    part = whole[rows, columns]
    moved = Window(window.top - rows.start, window.left - columns.start, window.height, window.width)
    taken, put = (
        moved.paste(each * _fade(window, photo.shape[:2], each.shape), part.shape[:2])
        for each in (_spread(hole.astype(np.float32)), share)
    )
    for channel in range(3):
        behind, painted = (
            moved.paste(each[..., channel].astype(np.float32), part.shape[:2]) for each in (background, picture)
        )
        changed = part[..., channel] + taken * (behind - part[..., channel])
        part[..., channel] = np.round(changed + put * (painted - changed)).clip(0, 255)
    return whole


def _fade(window: Window, photo: tuple[int, int], frame: tuple[int, int]) -> np.ndarray:
    """1, falling to 0 towards those edges of the window that lie inside the photo: float32 of the frame's size."""
    ends = (window.top, window.top + window.height), (window.left, window.left + window.width)
    along = []
    for count, length, (start, stop) in zip(frame, photo, ends, strict=True):
        place = (np.arange(count) + 0.5) / count
        before = place if start > 0 else np.ones(count)
        after = 1 - place if stop < length else np.ones(count)
        along.append(np.minimum(before, after))
    return np.clip(np.minimum(along[0][:, None], along[1][None]) / FADE, 0, 1).astype(np.float32)


def _softly(hole: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The hole with a soft rim, float32 in [0, 1], resized."""
    return resize_maps(_spread(hole.astype(np.float32))[..., None], size)[..., 0].clip(0, 1)


def _spread(values: np.ndarray) -> np.ndarray:
    """The mean over 3x3 pixels."""
    padded = np.pad(values, 1, "edge")
    rows, columns = values.shape
    return sum(padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3)) / 9

"""Whether maps and joints mean what they are taken for: numbers that fit their table may still be another project's.

One picture gives `Facts`; only all pictures together say whether noses lie on faces, and where joints would fit.
"""

import collections
import dataclasses

import numpy as np

from input_pipeline.formats.findings import ERROR, WARNING, Findings
from scrn_jax.errors import UserError
from scrn_jax.person import joints, regions
from scrn_jax.person.fitting import Person, Rules, Size, in_pixels, placement, window

_NOSE_AND_EYES, _ANKLES = [0, 14, 15], [10, 13]
_HAIR, _FACE = 1, 5
# Where an ankle may be: background (shoes and hems are missed), dress, pants, leg.
_BELOW = (0, 3, 4, 7)
# Fewer points, or pictures, decide nothing; of right sets 98 of 100 noses and eyes lie on the face, of wrong ones 28.
_FEWEST_POINTS, _FEWEST_PICTURES = 6, 3
_FEWEST_JOINTS = 20
_HALF = 0.5
# So much better must another reading of the annotations fit than the declared one to be called the right one.
_CLEARLY = 0.15
# Of all joints of a set. Joints strewn over the frame hit the person with a quarter to a half of them.
_HARDLY_ANY = 0.2
_MOST = 0.8
# A person is so much taller than the spread of their joints.
_SPREAD = 0.88
_NOWHERE = (np.nan, np.nan)

# What the frame of the annotations might be instead of the declared one, in the order of `Facts.votes`.
_CANVASES = ((256, 176), (256, 256), (512, 352), (512, 512), (1024, 1024))
READINGS = (
    "as declared",
    "40 columns to the left",
    "40 columns to the right",
    "with x and y exchanged",
    "as fractions of the picture (joints.size = [1, 1])",
    "in each picture's own pixels (no joints.size)",
    *(f"in a frame of {height} x {width} (joints.size = [{height}, {width}])" for height, width in _CANVASES),
)


@dataclasses.dataclass(frozen=True)
class Facts:
    """What one picture tells. `votes` are the joints on the person under each of READINGS, of `joints_given`; `under`
    (256,) counts the classes under nose and eyes, of which `on_face` are face; `ankles` = (odd, all); `hair` = (above
    the face or not, 1 when there are both); `colours` of the classes in the map's palette; `spread`, the rows of the
    joints by those that they should have (0: unknown); `highest` class; `shape` of the picture."""

    votes: np.ndarray
    joints_given: int
    under: np.ndarray
    on_face: int
    ankles: tuple[int, int]
    hair: tuple[int, int]
    colours: dict[int, tuple[int, int, int]]
    spread: float
    highest: int
    shape: Size


def facts(
    person: Person, size: Size, rules: Rules, found: regions.LabelMap, regions_HxW: np.ndarray, pose: np.ndarray
) -> Facts:
    """The facts of a picture of `size`; `found` is the map as its file has it; the map `regions_HxW` and the joints
    `pose` (18, 2) are in the frame."""
    face = pose[_NOSE_AND_EYES]
    rows, columns = _pixels(face[joints.present(face)], rules.frame)
    ankles = pose[_ANKLES]
    at_ankles = regions_HxW[_pixels(ankles[joints.present(ankles)], rules.frame)]
    used = np.flatnonzero(np.bincount(found.labels.ravel(), minlength=256))
    colours = {} if found.palette is None else {int(k): tuple(map(int, found.palette[k])) for k in used}
    return Facts(
        votes=_votes(person, pose, size, rules, regions_HxW),
        joints_given=int((person.pose != joints.MISSING).all(axis=-1).sum()),
        under=np.bincount(_in_map(found.labels, rows, columns, rules), minlength=256),
        on_face=int((regions_HxW[rows, columns] == _FACE).sum()),
        ankles=(int((~np.isin(at_ankles, _BELOW)).sum()), len(at_ankles)),
        hair=_hair(regions_HxW),
        colours=colours,
        spread=_spread(person, size, rules, regions_HxW),
        highest=int(used[-1]),
        shape=size,
    )


def _pixels(points: np.ndarray, frame: Size) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.round(points).astype(int).T
    return rows.clip(0, frame[0] - 1), columns.clip(0, frame[1] - 1)


def _in_map(labels: np.ndarray, rows: np.ndarray, columns: np.ndarray, rules: Rules) -> np.ndarray:
    """The file's own classes at pixels of the frame, those in added bars left out."""
    top, left, height, width = window(labels.shape, rules.frame, rules.fit, "the map")
    y = np.floor(top + (rows + 0.5) * height / rules.frame[0]).astype(int)
    x = np.floor(left + (columns + 0.5) * width / rules.frame[1]).astype(int)
    inside = (y >= 0) & (x >= 0) & (y < labels.shape[0]) & (x < labels.shape[1])
    return labels[y[inside], x[inside]]


def _hair(regions_HxW: np.ndarray) -> tuple[int, int]:
    hair, face = (np.flatnonzero((regions_HxW == region).any(axis=1)) for region in (_HAIR, _FACE))
    both = len(hair) > 1 and len(face) > 1
    return int(both and hair[0] <= face[0]), int(both)


def _spread(person: Person, size: Size, rules: Rules, regions_HxW: np.ndarray) -> float:
    there = person.pose[joints.present(person.pose)]
    rows = np.flatnonzero(regions_HxW.any(axis=1))
    if len(there) < joints.NUM_JOINTS // 2 or len(rows) < 2:
        return 0.0
    _, _, height, _ = window(size, rules.frame, rules.fit, "the picture")
    return float(np.ptp(there[:, 0]) / (_SPREAD * len(rows) * height / rules.frame[0]))


def _votes(person: Person, pose: np.ndarray, size: Size, rules: Rules, regions_HxW: np.ndarray) -> np.ndarray:
    """How many joints lie on the person under each of READINGS, (readings,) int64."""
    bar = 40 * rules.frame[0] / 256
    read = np.stack([pose, pose - (0, bar), pose + (0, bar), pose[:, ::-1]])
    declared = np.where(joints.present(pose)[:, None], read, joints.MISSING)
    others, places = [], []
    for canvas in (joints.FRACTIONS, None, *_CANVASES):
        points, measured = in_pixels(person.pose, canvas, size)
        try:
            places.append(placement(measured, rules, "the picture"))
        except UserError:  # a frame that these rules do not take
            places.append((_NOWHERE, _NOWHERE))
        others.append(points)
    scales, offsets = np.array(places).swapaxes(0, 1)[:, :, None]
    moved = joints.clip_to_frame(joints.move(np.stack(others), scales, offsets), *rules.frame)
    return _hits(np.concatenate([declared, moved]), regions_HxW)


def _hits(points: np.ndarray, regions_HxW: np.ndarray) -> np.ndarray:
    """How many of the points (readings, 18, 2) lie on the person, int64 (readings,); (-1, -1) lies nowhere."""
    places = np.round(points).astype(int)
    inside = ((places >= 0) & (places < regions_HxW.shape)).all(axis=-1)
    rows, columns = np.moveaxis(np.where(inside[..., None], places, 0), -1, 0)
    return ((regions_HxW[rows, columns] > 0) & inside).sum(axis=-1)


class Senses:
    """Adds up the facts of single pictures, and judges the set."""

    def __init__(self):
        self._votes = np.zeros(len(READINGS), np.int64)
        self._under = np.zeros(256, np.int64)
        self._joints = self._pictures = self._on_face = self._highest = 0
        self._ankles, self._hair = np.zeros(2, np.int64), np.zeros(2, np.int64)
        self._spreads: list[float] = []
        self._shapes: collections.Counter = collections.Counter()
        self._colours: dict[int, tuple[tuple[int, int, int], str]] = {}
        self._recoloured: list[str] = []
        self._grey: list[str] = []

    def add(self, found: Facts, labels: str, classes: int) -> None:
        """The facts of a picture whose map is the file `labels`, of at most `classes` classes."""
        self._pictures += 1
        self._votes += found.votes
        self._under += found.under
        self._joints += found.joints_given
        self._on_face += found.on_face
        self._highest = max(self._highest, found.highest)
        self._ankles += found.ankles
        self._hair += found.hair
        self._spreads += [found.spread] if found.spread else []
        self._shapes[found.shape] += 1
        for index, colour in found.colours.items():
            first, where = self._colours.setdefault(index, (colour, labels))
            if first != colour:
                text = f"{labels}: shows class {index} in {colour}, {where} in {first}"
                self._recoloured += [text] if not self._recoloured or self._recoloured[-1] != text else []
                break
        self._add_grey(found.colours, labels, classes)

    def _add_grey(self, colours: dict[int, tuple[int, int, int]], labels: str, classes: int) -> None:
        levels = {index: colour[0] for index, colour in colours.items() if len(set(colour)) == 1}
        moved = [index for index, level in levels.items() if level != index]
        numbers = max(levels.values(), default=0) < classes
        ordered = sorted(levels.values()) == [levels[index] for index in sorted(levels)]
        if levels.keys() == colours.keys() and moved and (numbers or not ordered):
            text = f"{labels}: shows class {moved[0]} as the grey level {levels[moved[0]]}"
            self._grey.append(text)

    def judge(self, findings: Findings, merge: tuple[int, ...]) -> None:
        """Adds what the whole set shows; `merge` is the region of each class of its maps."""
        placed = self._judge_frame(findings)
        if placed:
            self._judge_classes(findings, merge)
        mend = "were they packed by a program that sorts palettes? save them as plain grey class numbers"
        for texts, kind in ((self._recoloured, "palettes differ"), (self._grey, "grey palette")):
            if texts:
                more = f" (and {len(texts) - 1:,} more files)" if texts[1:] else ""
                findings.add(WARNING, kind, f"{texts[0]}{more}; {mend}")

    def _judge_frame(self, findings: Findings) -> bool:
        """Whether the joints lie on their people."""
        if self._pictures and not self._joints:
            text = f"all annotations: not one joint in {self._pictures:,} pictures; is joints.min_confidence too high?"
            findings.add(ERROR, "no joints", text)
        if self._joints < _FEWEST_JOINTS:
            return bool(self._joints) and self._votes[0] >= _HALF * self._joints
        shares = self._votes / self._joints
        best = int(shares.argmax())
        told = f"all annotations: {shares[0]:.0%} of the joints lie on the person as declared"
        if best and shares[best] > max(shares[0] + _CLEARLY, _HALF):
            better = f"{READINGS[best]} {shares[best]:.0%}"
            text = f"{told}, {better}; set annotation_width (or joints.size), or write the joints anew"
            findings.add(ERROR, "frames disagree", text)
        elif shares[0] < _HARDLY_ANY:
            findings.add(ERROR, "joints fit nowhere", f"{told}, and no known frame fits better{self._hint()}")
        else:
            return bool(shares[0] >= _HALF)
        findings.forget("joints beside the person", "joints outside the frame", "hardly any joints")
        return False

    def _hint(self) -> str:
        mend = "are they of these pictures? give their frame as joints.size = [height, width]"
        if not self._spreads:
            return f"; {mend}"
        (height, width), _ = self._shapes.most_common(1)[0]
        ratio = float(np.median(self._spreads))
        return f": their spread would fit about {height * ratio:.0f} x {width * ratio:.0f} pixels; {mend}"

    def _judge_classes(self, findings: Findings, merge: tuple[int, ...]) -> None:
        points = int(self._under.sum())
        if points >= _FEWEST_POINTS and self._on_face < _HALF * points:
            most = int(self._under.argmax())
            text = (
                f"all parsing maps: only {self._on_face:,} of {points:,} noses and eyes lie on the face, most on class "
                f"{most}, read as {regions.NAMES[merge[most]]}; the classes mean something else{self._others(merge)}"
            )
            findings.add(ERROR, "class meaning", text)
        odd, ankles = self._ankles
        if ankles >= _FEWEST_POINTS and odd > _HALF * ankles:
            text = f"all parsing maps: {odd:,} of {ankles:,} ankles lie on none of leg, pants, dress and background"
            findings.add(WARNING, "class meaning", f"{text}; is the merge table the right one?")
        above, both = self._hair
        if both >= _FEWEST_PICTURES and above < _HALF * both:
            text = f"all parsing maps: hair begins below the face in {both - above:,} of {both:,} pictures"
            findings.add(WARNING, "class meaning", f"{text}; is the merge table the right one?")

    def _others(self, merge: tuple[int, ...]) -> str:
        """The named merges that would put noses and eyes on the face."""
        fitting = []
        for name in regions.MERGES:
            table = regions.merge_table(name)
            on_face = int(self._under[: len(table)][table == _FACE].sum())
            if self._highest < len(table) and tuple(table.tolist()) != merge and on_face > _MOST * self._under.sum():
                fitting.append(repr(name))
        if fitting:
            return f": name another merge, of which {' and '.join(fitting)} would put them on the face"
        return ": name another merge, or list the region of each class"

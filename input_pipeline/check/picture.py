"""Looks at one picture of a person with all its annotations, decodes everything, and says what is wrong or notable.

Runs in worker processes and imports no TensorFlow.
"""

import dataclasses
import hashlib
from typing import NamedTuple

import numpy as np

from input_pipeline.check import sense
from input_pipeline.check.sense import Facts
from input_pipeline.formats.findings import ERROR, NOTE, WARNING, Finding
from scrn_jax.errors import UserError
from scrn_jax.person import face, joints
from scrn_jax.person.fitting import (
    Fitted,
    Person,
    Rules,
    Size,
    fit_annotation,
    fit_image,
    fit_labels,
    regions_in_frame,
    window,
)
from scrn_jax.person.image_files import Picture, in_turn, open_picture
from scrn_jax.person.image_headers import Header, read_header
from scrn_jax.person.regions import NUM_REGIONS, LabelMap, open_label_map

# Fewer joints than this are no pose.
FEWEST_JOINTS = 4
# A pose belongs to a parsing map when at least this share of its joints lies on the person; hands and ears may not.
LEAST_ON_PERSON = 0.5

_STRIP = 64  # rows


class Look(NamedTuple):
    """Which person to look at and by which rules; `keep` asks for the fitted bytes."""

    person: Person
    rules: Rules
    keep: bool = False


@dataclasses.dataclass(frozen=True)
class Examined:
    """What one picture showed. `size` of the image in pixels and `mode` as Pillow names it, None when unreadable;
    `pixels` (8,) of each region in the frame; what they mean (`facts`) and the map that says so; `digest` of the image
    file; `fitted` without an error where `asked` for, or with a warning."""

    name: str
    findings: list[Finding]
    size: Size | None = None
    mode: str | None = None
    pixels: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(NUM_REGIONS, np.int64))
    facts: Facts | None = None
    labels: str = ""
    has_face: bool = False
    digest: bytes = b""
    fitted: Fitted | None = None
    asked: bool = False

    def of(self, level: str) -> list[str]:
        """The kinds of its findings of one level."""
        return [finding.kind for finding in self.findings if finding.level == level]


def examine(look: Look) -> Examined:
    """Everything that one picture shows; never raises for what is wrong with its files."""
    person, rules = look.person, look.rules
    findings: list[Finding] = []
    data, size, mode, digest = _examine_image(person, rules, findings)
    found, regions_HxW = _examine_labels(person, rules, size, findings)
    if size is None or regions_HxW is None:
        return Examined(person.name, findings, size, mode, digest=digest)
    try:
        pose, box = fit_annotation(person, size, rules)
        facts = sense.facts(person, size, rules, found, regions_HxW, pose)
    except UserError as error:
        findings.append(Finding(ERROR, "joints of another frame", str(error)))
        return Examined(person.name, findings, size, mode, digest=digest)
    _examine_joints(person, pose, facts, findings)
    has_face = bool(face.has_area(box))
    if not has_face:
        findings.append(Finding(NOTE, "no face", f"{person.image}: neither a face box nor joints of a face"))
    levels = {finding.level for finding in findings}
    keep = (look.keep or WARNING in levels) and ERROR not in levels
    # Fitted only now: most pictures are looked at and not kept, and fitting costs as much as decoding.
    fitted = Fitted(*_fitted_bytes(person, data, rules), pose, box) if keep else None
    return Examined(
        name=person.name,
        findings=findings,
        size=size,
        mode=mode,
        pixels=np.bincount(regions_HxW.ravel(), minlength=NUM_REGIONS),
        facts=facts,
        labels=str(person.labels),
        has_face=has_face,
        digest=digest,
        fitted=fitted,
        asked=look.keep,
    )


def _fitted_bytes(person: Person, data: bytes, rules: Rules) -> tuple[bytes, bytes]:
    """Image, whose file holds `data`, and map in the frame, as they are prepared."""
    where = str(person.image)
    image = fit_image(data, read_header(data, where), rules, where)
    return image, fit_labels(person.labels.read(), rules, str(person.labels))


def _examine_image(
    person: Person, rules: Rules, findings: list[Finding]
) -> tuple[bytes, Size | None, str | None, bytes]:
    """(the file's bytes, size, mode, digest) of the image; the size is None after an error."""
    where, digest = str(person.image), b""
    try:
        data = person.image.read()
        digest = hashlib.sha256(data).digest()
        header = read_header(data, where)
        with in_turn(header):
            mode = _examine_decoded(data, header, where, findings)
    except UserError as error:
        findings.append(Finding(ERROR, "unreadable image", str(error)))
        return b"", None, None, digest
    size = header.height, header.width
    try:
        window(size, rules.frame, rules.fit, where)
    except UserError as error:
        findings.append(Finding(ERROR, "wrongly shaped image", str(error)))
        return b"", None, None, digest
    if size[0] < rules.frame[0] or size[1] < rules.frame[1]:
        found, frame = f"{size[0]} x {size[1]}", f"{rules.frame[0]} x {rules.frame[1]}"
        findings.append(Finding(WARNING, "small image", f"{where}: {found} pixels are enlarged to {frame}; blurred"))
    return data, size, mode, digest


def _examine_decoded(data: bytes, header: Header, where: str, findings: list[Finding]) -> str:
    """The mode of the image's bytes, which are decoded. Raises UserError."""
    picture = open_picture(data, where, header=header)
    if picture.mode == "CMYK":
        findings.append(
            Finding(WARNING, "CMYK image", f"{where}: read as RGB; save it as RGB to be sure of its colours")
        )
    elif _is_grey(picture):
        findings.append(Finding(WARNING, "grey image", f"{where}: has no colour; remove its pairs if others have"))
    return picture.mode


def _is_grey(picture: Picture) -> bool:
    """Whether no pixel has a colour, told strip by strip: most pictures show one in the first."""
    if "grey" in picture.notes:
        return True
    image = picture.image
    for top in range(0, image.height, _STRIP):
        strip = np.asarray(image.crop((0, top, image.width, min(top + _STRIP, image.height))))
        red, green, blue = np.moveaxis(strip, -1, 0)
        if (red != green).any() or (red != blue).any():
            return False
    return True


def _examine_labels(
    person: Person, rules: Rules, image_size: Size | None, findings: list[Finding]
) -> tuple[LabelMap | None, np.ndarray | None]:
    """(the file's labels, regions (H, W) uint8 in the frame) of the parsing map; None after an error."""
    where = str(person.labels)
    try:
        found = open_label_map(person.labels.read(), where, len(rules.merge))
    except UserError as error:
        findings.append(Finding(ERROR, "unreadable parsing map", str(error)))
        return None, None
    try:
        _check_map_shape(found.labels.shape, image_size, rules, where)
        regions_HxW = regions_in_frame(found.labels, rules, where)
    except UserError as error:
        findings.append(Finding(ERROR, "wrongly shaped parsing map", str(error)))
        return None, None
    if not regions_HxW.any():
        findings.append(Finding(WARNING, "empty parsing map", f"{where}: all background; parse the image again"))
    return found, regions_HxW


def _check_map_shape(size: Size, image_size: Size | None, rules: Rules, where: str) -> None:
    """Raises UserError when a map is not shaped like its image where that decides which part is the frame."""
    if image_size is None or rules.fit == "exact":
        return
    if abs(size[0] * image_size[1] - size[1] * image_size[0]) > 0.01 * size[1] * image_size[0]:
        shapes = f"{size[0]} x {size[1]} pixels belong to an image of {image_size[0]} x {image_size[1]}"
        raise UserError(f"{where}: {shapes}; a parsing map must have its image's shape: make it anew")


def _examine_joints(person: Person, pose: np.ndarray, facts: Facts, findings: list[Finding]) -> None:
    where = f"{person.image}, joints"
    there = int(joints.present(pose).sum())
    if there < facts.joints_given:
        outside = [
            name
            for name, raw, fitted in zip(joints.NAMES, person.pose, pose, strict=True)
            if (raw != joints.MISSING).all() and fitted[0] == joints.MISSING
        ]
        text = f"{where}: {', '.join(outside)} outside the frame, read as missing"
        findings.append(Finding(WARNING, "joints outside the frame", text))
    if there < FEWEST_JOINTS:
        text = f"{where}: only {there} of {joints.NUM_JOINTS} are there; annotate it again or remove its pairs"
        findings.append(Finding(WARNING, "hardly any joints", text))
    elif facts.votes[0] < LEAST_ON_PERSON * there:
        found = f"only {facts.votes[0]} of {there} lie on the person of {person.labels}"
        text = f"{where}: {found}; do they belong together?"
        findings.append(Finding(WARNING, "joints beside the person", text))

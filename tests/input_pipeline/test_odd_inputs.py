"""Over 200 odd data sets, each odd in one place: every one ends in a finding that names it, or in the right pictures.

All are variations of one tiny set of two people, made in memory and written in a fraction of a second. A case is
(name, change of the folder, what must come of it): RIGHT, or the kind of the finding and a piece of its text. The cases
are in `odd_pictures.py` and `odd_annotations.py`, each beside the changes that it is made of; a change takes a `Set`.
"""

import dataclasses
import io
import json
import shutil
import zlib

import numpy as np
import pytest
from odd_annotations import JOINTS, NAMES, PEOPLE, RIGHT, openpose
from odd_pictures import MAPS, PICTURES, encoded
from PIL import Image

from input_pipeline.check import check
from input_pipeline.formats.collection import CollectionSource
from input_pipeline.formats.manifest import read_manifest
from input_pipeline.mannequins import lookalike
from scrn_jax.errors import UserError
from scrn_jax.person import joints

CASES = PICTURES + NAMES + JOINTS + MAPS + PEOPLE
MANIFEST = """
images = "images"
fit = "pad"
{more}
[parsing]
folder = "parsing"
{parsing}
[joints]
{joints}
[identities]
{identities}
"""


@dataclasses.dataclass
class Set:
    """A set of one's own below `root`: `views` by name (without suffix), written as OpenPose's, PNG and JPEG."""

    root: object
    views: dict
    more: str = ""
    parsing: str = ""
    joints: str = 'format = "openpose"\npath = "openpose"'
    identities: str = 'by = "folder"\ntest = ["ben"]'

    def file(self, kind, name):
        return self.root / {"image": f"images/{name}.png", "map": f"parsing/{name}.png"}.get(
            kind, f"openpose/{name}_keypoints.json"
        )

    def write(self, file, data):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data if isinstance(data, bytes) else data.encode())

    def finish(self):
        text = MANIFEST.format(more=self.more, parsing=self.parsing, joints=self.joints, identities=self.identities)
        self.write(self.root / "people.toml", text)


@pytest.fixture(scope="module")
def views():
    """name -> (pixels, labels, joints) of two people in two views."""
    shots = lookalike.render(8, views=4, processes=1)
    names = [f"{who}/{number}" for who in ("anna", "ben") for number in range(4)]
    found = {}
    for name, shot in zip(names, shots, strict=True):
        pixels = np.array(Image.open(io.BytesIO(shot.view.image)).convert("RGB"))
        labels = np.array(Image.open(io.BytesIO(shot.view.labels)))
        found[name] = (pixels, labels, np.round(shot.view.joints).astype(float))
    return found


@pytest.fixture(scope="module")
def whole(views, tmp_path_factory):
    made = Set(tmp_path_factory.mktemp("whole"), views)
    for name, (pixels, labels, pose) in views.items():
        made.write(made.file("image", name), encoded(pixels, compress_level=1))
        made.write(made.file("map", name), encoded(labels, compress_level=1))
        made.write(made.file("joints", name), json.dumps({"people": [openpose(pose)]}))
    return made


def outcome(made):
    """The findings of the doctor, by kind; a refusal of the manifest as the kind "refused"."""
    try:
        report = check({"dir": str(made.root)}, processes=0)
    except UserError as error:
        assert "\n" not in str(error)
        return {"refused": [str(error)]}, None
    kinds = {}
    for finding in report.findings:
        kinds.setdefault(finding.kind, []).append(finding.text)
    return kinds, report


def changed(whole, case, root):
    name, change, expected = case
    shutil.copytree(whole.root, root, symlinks=True)
    made = dataclasses.replace(whole, root=root)
    change(made)
    made.finish()
    return made


def test_there_are_more_than_two_hundred():
    assert len({name for name, _, _ in CASES}) == len(CASES) > 250


@pytest.mark.parametrize("part", range(12))
def test_every_odd_set_ends_in_a_finding_that_names_it_or_in_the_right_pictures(whole, tmp_path, part):
    wrong = []
    for case in CASES[part::12]:
        root = tmp_path / f"{zlib.crc32(case[0].encode(errors='replace')):08x}"
        made = changed(whole, case, root)
        kind, told = case[2]
        kinds, report = outcome(made)
        if case[2] == RIGHT:
            errors = [finding.text for finding in report.findings.of("error")] if report else kinds
            if errors or not as_expected(made):
                wrong.append((case[0], errors))
        elif not any(told in text for text in kinds.get(kind, [])):
            wrong.append((case[0], case[2], kinds))
        shutil.rmtree(root)
    assert not wrong


def as_expected(made):
    """Whether anna's first picture arrives with the pixels that Pillow reads and its joints where they were marked."""
    source = CollectionSource(read_manifest(made.root / "people.toml"), "train")
    names = [source.names(index)[0] for index in range(len(source))]
    first = next(index for index, name in enumerate(names) if "0." in name)
    pair = source.read(first)
    pose = made.views["anna/0"][2]
    given = joints.present(pose)
    given[1] = False  # which COCO and MediaPipe do not have
    found = np.asarray(Image.open(io.BytesIO(pair.source_image)).convert("RGB"))
    expected = np.asarray(Image.open(source.where(first, "source_image")).convert("RGB"))
    return np.allclose(pair.source_pose[given], pose[given], atol=0.02) and np.array_equal(found, expected)

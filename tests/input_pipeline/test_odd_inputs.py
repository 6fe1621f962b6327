"""Over 200 odd data sets, each odd in one place: every one ends in a finding that names it, or in the right pictures.

All are variations of one tiny set of two people, made in memory and written in a fraction of a second. A case is
(name, change of the folder, what must come of it): RIGHT, or the kind of the finding and a piece of its text.
"""

import dataclasses
import io
import json
import shutil
import unicodedata
import zlib

import numpy as np
import pytest
from PIL import Image

from input_pipeline.check.dataset import check
from input_pipeline.formats.collection import CollectionSource
from input_pipeline.formats.manifest import read_manifest
from input_pipeline.mannequins import lookalike
from scrn_jax.errors import UserError
from scrn_jax.person import joints

RIGHT = ("right", "")
SIZE = (256, 176)
COCO_17 = [0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10]
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


def encoded(image, kind="png", **options):
    stream = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(stream, kind, **options)
    return stream.getvalue()


def openpose(pose, confidence=0.9, scale=(1.0, 1.0), shift=(0.0, 0.0)):
    """One OpenPose person of (y, x) joints, scaled and then shifted."""
    rows = [(0, 0, 0) if y == -1 else (x * scale[1] + shift[1], y * scale[0] + shift[0], confidence) for y, x in pose]
    return {"pose_keypoints_2d": [number for row in rows for number in row]}


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


# The changes. Each takes a Set.


def image_as(kind, suffix, mode="RGB", **options):
    """anna's first picture in another format: the expected pixels are Pillow's."""

    def change(made):
        pixels = Image.fromarray(made.views["anna/0"][0])
        image = pixels.quantize(options.pop("colours", 64)) if mode == "P" else pixels.convert(mode)
        made.file("image", "anna/0").unlink()
        made.write(made.root / f"images/anna/0{suffix}", encoded(image, kind, **options))

    return change


def image_bytes(make, suffix=".png"):
    def change(made):
        made.file("image", "anna/0").unlink()
        made.write(made.root / f"images/anna/0{suffix}", make(Image.fromarray(made.views["anna/0"][0])))

    return change


def cut_out(mode="RGBA"):
    def make(image):
        image = image.convert(mode)
        alpha = Image.new("L", image.size, 255)
        alpha.paste(0, (0, 0, 40, 40))
        image.putalpha(alpha)
        return image

    return make


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def animation(kind):
    return lambda image: encoded(image, kind, save_all=True, append_images=[image.rotate(90), image.rotate(180)])


def deep(image):
    return encoded(np.asarray(image.convert("L")).astype(np.uint16) * 257)


def shorter(kind, share, **options):
    def make(image):
        data = encoded(image, kind, **options)
        return data[: int(len(data) * share)]

    return make


def maps(change):
    def apply(made):
        for number, (name, (_, labels, _)) in enumerate(made.views.items()):
            made.write(made.file("map", name), encoded(change(labels, number)))

    return apply


def permuted(seed):
    """Maps whose classes are another project's: a permutation under which class 5 is no longer the face."""
    order = np.append(0, 1 + np.random.default_rng(seed).permutation(7)).astype(np.uint8)
    if order[5] == 5:
        order[[5, 2]] = order[[2, 5]]
    return maps(lambda labels, _: order[labels])


def palette(colours_of, mode_change=lambda labels: labels):
    def change(labels, number):
        image = Image.fromarray(mode_change(labels))
        image.putpalette(np.asarray(colours_of(number), np.uint8).tobytes())
        return image

    return maps(change)


def one_map(data):
    def change(made):
        made.write(made.file("map", "anna/0"), data(made.views["anna/0"][1]))

    return change


def all_joints(content, suffix="_keypoints.json", joints_section=None):
    """Every picture's joints as `content(pose)` has them, JSON or text."""

    def change(made):
        shutil.rmtree(made.root / "openpose")
        for name, (_, _, pose) in made.views.items():
            data = content(pose)
            made.write(made.root / f"openpose/{name}{suffix}", data if isinstance(data, str) else json.dumps(data))
        made.joints = joints_section or made.joints

    return change


def one_joints(content):
    def change(made):
        data = content(made.views["anna/0"][2])
        made.write(made.file("joints", "anna/0"), data if isinstance(data, str | bytes) else json.dumps(data))

    return change


def coco(records, images=None, more=""):
    """A COCO file of all pictures: `records(name, flat)` gives each one's annotations."""

    def change(made):
        found = []
        for name, (_, _, pose) in made.views.items():
            flat = [n for y, x in pose[COCO_17] for n in ((0, 0, 0) if y == -1 else (float(x), float(y), 2))]
            found += records(name, flat)
        content = found if images is None else {"images": images(made.views), "annotations": found}
        made.write(made.root / "coco.json", json.dumps(content))
        made.joints = f'format = "coco"\npath = "coco.json"{more}'

    return change


def mediapipe(pose, **more):
    places = {0: 0, 12: 2, 14: 3, 16: 4, 11: 5, 13: 6, 15: 7, 24: 8, 26: 9, 28: 10, 23: 11, 25: 12, 27: 13, 5: 14, 2: 15, 8: 16, 7: 17}  # fmt: skip
    one = [{"x": 0.5, "y": 0.5, "z": 0.0, "visibility": 0.0} for _ in range(33)]
    for index, ours in places.items():
        y, x = pose[ours]
        if y != -1:
            one[index] = {"x": (x + 0.5) / SIZE[1], "y": (y + 0.5) / SIZE[0], "z": 0.0, "visibility": 0.9} | more
    return one


def labelled(pose):
    rows = [f"{x},{y},0.9,{name}" for (y, x), name in zip(pose, joints.NAMES, strict=True) if y != -1]
    return "\n".join(["x,y,confidence,label", *rows])


def renamed(kind, name, to):
    def change(made):
        file = made.file(kind, name)
        target = made.root / to
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)

    return change


def everywhere(old, new):
    """A person's folders renamed, each kind by its own spelling."""

    def change(made):
        for folder, to in zip(("images", "parsing", "openpose"), new, strict=True):
            (made.root / folder / old).rename(made.root / folder / to)

    return change


def added(path, data=b"x"):
    return lambda made: made.write(made.root / path, data)


def linked(folder):
    def change(made):
        (made.root / folder / "anna").rename(made.root / f"elsewhere-{folder}")
        (made.root / folder / "anna").symlink_to(made.root / f"elsewhere-{folder}")

    return change


def link(path, to):
    return lambda made: (made.root / path).symlink_to(made.root / to)


def setting(**values):
    def change(made):
        for key, value in values.items():
            setattr(made, key, value)

    return change


def boxes(content):
    def change(made):
        made.more = 'face_boxes = "faces.json"'
        made.write(made.root / "faces.json", content if isinstance(content, str) else json.dumps(content))

    return change


def table(rows, section='file = "who.csv"\ntest = ["ben"]'):
    def change(made):
        made.write(made.root / "who.csv", "\n".join(["name,identity", *rows(list(made.views))]))
        made.identities = section

    return change


def pairs(rows):
    """The [pairs] of a CSV file instead of [identities]."""

    def change(made):
        made.write(made.root / "pairs.csv", "\n".join(["from,to", *rows]))
        made.identities = 'by = "folder"'
        made.finish()
        text = (made.root / "people.toml").read_text()
        made.write(
            made.root / "people.toml", text.replace('[identities]\nby = "folder"', '[pairs]\ntrain = "pairs.csv"')
        )
        made.finish = lambda: None

    return change


def flat(made):
    """All pictures in one folder."""
    for folder in ("images", "parsing", "openpose"):
        for file in (made.root / folder).rglob("*.*"):
            file.rename(made.root / folder / f"{file.parent.name}_{file.name}")


def both(*changes):
    def change(made):
        for one in changes:
            one(made)

    return change


NFC, NFD = (unicodedata.normalize(form, "zoë") for form in ("NFC", "NFD"))
SCALES = {"512x352": 2.0, "1024x704": 4.0}

PICTURES = [
    *[(f"jpeg of quality {q}", image_as("jpeg", ".jpg", quality=q), RIGHT) for q in (30, 75, 95, 100)],
    *[(f"jpeg {n}", image_as("jpeg", ".jpg", subsampling=n), RIGHT) for n in (0, 1, 2)],
    ("progressive", image_as("jpeg", ".jpg", progressive=True), RIGHT),
    ("optimised", image_as("jpeg", ".jpg", optimize=True), RIGHT),
    ("grey jpeg", image_as("jpeg", ".jpg", "L"), RIGHT),
    ("cmyk jpeg", image_as("jpeg", ".jpg", "CMYK"), ("CMYK image", "save it as RGB")),
    *[(f"jpeg as {s}", image_as("jpeg", s), RIGHT) for s in (".JPG", ".jpeg", ".JPEG", ".jpe", ".jfif", ".JFIF", ".Jpg")],
    ("jpeg called png", image_as("jpeg", ".png"), RIGHT),
    ("png called jpg", image_as("png", ".jpg"), RIGHT),
    ("webp called jpg", image_as("webp", ".jpg"), RIGHT),
    *[(f"png {m}", image_as("png", ".png", m), RIGHT) for m in ("L", "1", "RGB", "RGBA", "LA")],
    *[(f"palette of {n}", image_as("png", ".png", "P", colours=n), RIGHT) for n in (2, 4, 16, 256)],
    *[(f"png level {n}", image_as("png", ".PNG", compress_level=n), RIGHT) for n in (0, 9)],
    *[(f"webp {q}", image_as("webp", ".webp", quality=q), RIGHT) for q in (10, 90)],
    ("lossless webp", image_as("webp", ".WebP", lossless=True), RIGHT),
    ("opaque webp", image_as("webp", ".webp", "RGBA", lossless=True), RIGHT),
    *[(f"tiff {c}", image_as("tiff", ".tif", compression=c), RIGHT) for c in ("raw", "tiff_lzw", "tiff_deflate", "packbits")],
    *[(f"tiff {m}", image_as("tiff", ".tiff", m), RIGHT) for m in ("L", "RGBA", "P")],
    ("tiff of CMYK", image_as("tiff", ".TIFF", "CMYK"), ("CMYK image", "anna/0")),
    *[(f"bmp {m}", image_as("bmp", ".bmp", m), RIGHT) for m in ("RGB", "L", "P", "1")],
    ("profile", image_as("jpeg", ".jpg", icc_profile=b"x" * 500), RIGHT),
    ("comment", image_as("jpeg", ".jpg", comment=b"c" * 60_000), RIGHT),
    ("upright by EXIF", image_as("jpeg", ".jpg", exif=turned(1)), RIGHT),
    *[
        (f"turned {kind} {n}", image_as(kind, f".{kind}", exif=turned(n)), ("unreadable image", f"orientation {n}"))
        for kind in ("jpeg", "png", "webp", "tiff")
        for n in ((2, 3, 4, 5, 6, 7, 8) if kind == "jpeg" else (6, 8))
    ],
    *[
        (f"cut out {kind}", image_bytes(lambda image, k=kind, o=o: encoded(cut_out()(image), k, **o), f".{kind}"),
         ("unreadable image", "transparent in places"))
        for kind, o in (("png", {}), ("webp", {"lossless": True}), ("tiff", {}))
    ],
    ("grey cut out", image_bytes(lambda image: encoded(cut_out("L")(image))), ("unreadable image", "transparent")),
    ("transparent colour", image_bytes(lambda i: encoded(i, transparency=i.getpixel((5, 5)))), ("unreadable image", "transparent")),
    ("transparent index", image_bytes(lambda i: encoded(i.quantize(9), transparency=0)), ("unreadable image", "transparent")),
    ("16 bit", image_bytes(deep), ("unreadable image", "16 bits")),
    ("16 bit tiff", image_bytes(lambda i: encoded(Image.fromarray(np.zeros(SIZE, np.uint16)), "tiff"), ".tif"), ("unreadable image", "16 bits")),
    ("32 bit tiff", image_bytes(lambda i: encoded(i.convert("F"), "tiff"), ".tif"), ("unreadable image", "32 bits")),
    ("LAB", image_bytes(lambda i: encoded(i.convert("LAB"), "tiff"), ".tif"), ("unreadable image", "LAB")),
    ("film", image_bytes(animation("webp"), ".webp"), ("unreadable image", "an animation")),
    ("pages", image_bytes(animation("tiff"), ".tiff"), ("unreadable image", "several pages")),
    ("animated png", image_bytes(animation("png")), ("unreadable image", "an animation")),
    ("packed tiff", image_bytes(lambda i: encoded(i, "tiff", compression="jpeg"), ".tif"), ("unreadable image", "packed")),
    *[
        (f"{kind} cut at {share}", image_bytes(shorter(kind, share), f".{kind}"), ("unreadable image", "anna/0"))
        for kind in ("jpeg", "png", "webp", "tiff", "bmp")
        for share in (0.02, 0.5, 0.9)
    ],
    ("empty", image_bytes(lambda _: b""), ("unreadable image", "0 bytes")),
    ("a page", image_bytes(lambda _: b"<html>404</html>", ".jpg"), ("unreadable image", "neither")),
    ("a pointer", image_bytes(lambda _: b"version https://git-lfs.github.com/spec/v1\n", ".jpg"), ("unreadable image", "neither")),
    ("gif inside", image_bytes(lambda i: encoded(i, "gif"), ".png"), ("unreadable image", "neither")),
]  # fmt: skip

NAMES = [
    ("suffix of joints", all_joints(lambda pose: {"people": [openpose(pose)]}, ".json"), RIGHT),
    *[(f"joints named {s}", all_joints(lambda pose: {"people": [openpose(pose)]}, s), RIGHT) for s in (".png.json", ".jpg.json", ".JPG_keypoints.json")],
    ("accents", everywhere("anna", (NFC, NFD, NFC)), RIGHT),
    ("accents the other way", everywhere("anna", (NFD, NFC, NFC)), RIGHT),
    ("accents of joints", everywhere("anna", (NFC, NFC, NFD)), RIGHT),
    *[(f"person {who!r}", everywhere("anna", (who,) * 3), RIGHT) for who in ("anna b", "anna.b", "安娜", "an#na", "a%20b", "anna,b", "anna'b", "-anna", "😀")],
    ("map of another case", renamed("map", "anna/0", "parsing/anna/0.PNG"), RIGHT),
    ("image without its map", renamed("map", "anna/0", "parsing/anna/zero.png"), ("parsing map absent", "anna/0")),
    ("map of nobody", renamed("map", "anna/0", "parsing/anna/zero.png"), ("belongs to nobody", "anna/zero.png")),
    ("joints of nobody", renamed("joints", "anna/0", "openpose/anna/zero_keypoints.json"), ("belongs to nobody", "anna/zero")),
    ("joints absent", renamed("joints", "anna/0", "openpose/anna/zero_keypoints.json"), ("joints absent", "anna/0")),
    ("maps of another folder", everywhere("anna", ("anna", "map-anna", "anna")), ("belongs to nobody", "map-anna/0.png")),
    ("no map matches", lambda made: [(made.root / "parsing" / who).rename(made.root / "parsing" / f"m-{who}") for who in ("anna", "ben")], ("nothing matches", "'m-anna/0.png', pictures like 'anna/0.png'")),
    ("no joints match", lambda made: [(made.root / "openpose" / who).rename(made.root / "openpose" / f"j-{who}") for who in ("anna", "ben")], ("nothing matches", "'j-anna/0', pictures like 'anna/0.png'")),
    ("no box matches", boxes({"img_1.png": [1, 2, 30, 40]}), ("nothing matches", "'img_1.png', pictures like")),
    ("a box of nobody", boxes({"anna/0.png": [1, 2, 30, 40], "x.png": [1, 2, 3, 4]}), ("belongs to nobody", "'x.png'")),
    *[(f"box of {n}", boxes({n: [10, 60, 50, 110]}), RIGHT) for n in ("anna/0.png", "anna/0.JPG", "anna/0", "anna\\0.png", "./anna/0.jpg", "anna/0.jpeg")],
    ("companion of an image", added("images/anna/._0.png"), RIGHT),
    ("companion of a map", added("parsing/anna/._0.png"), RIGHT),
    ("companion of joints", added("openpose/anna/._0_keypoints.json"), RIGHT),
    ("a companion's folder", added("images/.thumbnails/0.png"), RIGHT),
    ("thumbs", added("images/anna/Thumbs.db"), RIGHT),
    ("store", added("parsing/.DS_Store"), RIGHT),
    *[(f"{s} beside", added(f"images/anna/9{s}"), ("unread pictures", f"1 files {s.lower()} are not read, anna/9{s}")) for s in (".heic", ".HEIC", ".heif", ".avif", ".gif", ".psd", ".dng", ".CR2", ".nef", ".jxl", ".jp2", ".tga")],
    ("an unread map", added("parsing/anna/9.gif"), ("unread pictures", "parsing")),
    *[(f"linked {folder}", linked(folder), RIGHT) for folder in ("images", "parsing", "openpose")],
    ("all linked", both(linked("images"), linked("parsing"), linked("openpose")), RIGHT),
    ("a loop", link("images/anna/loop", "images"), ("left out", "is read already")),
    ("a loop of maps", link("parsing/loop", "parsing"), ("left out", "is read already")),
    ("a loop of joints", link("openpose/loop", "openpose"), RIGHT),
    ("a link to nothing", link("images/anna/9.png", "nowhere"), ("joints absent", "anna/9.png")),
    ("a folder called a picture", lambda made: (made.root / "images/anna/9.png").mkdir(), RIGHT),
    ("a name that is no text", lambda made: (made.root / "images/anna/9\udcff.png").write_bytes(b"x"), ("left out", "\\xff.png: its name is no UTF-8")),
    ("a folder that is no text", lambda made: (made.root / "images/b\udcfe").mkdir(), ("left out", "is no UTF-8")),
    ("one name in two suffixes", lambda made: shutil.copy(made.file("image", "anna/0"), made.root / "images/anna/0.jpg"), ("names alike", "anna/0.jpg and anna/0.png")),
    ("a picture of a map beside it", lambda made: shutil.copy(made.file("image", "anna/0"), made.root / "parsing/anna/0.jpg"), RIGHT),
    ("two spellings of a map", lambda made: shutil.copy(made.file("map", "anna/0"), made.root / "parsing/anna/0.PNG"), RIGHT),
    *[(f"pairs of {a}", pairs([f"{a},anna/1.png", "anna/1.png,anna/2.png"]), RIGHT) for a in ("anna/0.png", "anna/0.jpg", "anna/0", "anna\\0.png", "./anna/0.png", "anna/0.PNG")],
    *[(f"pairs of {a!r}", pairs([f"{a},anna/1.png", "anna/1.png,anna/2.png"]), ("unreadable line", "is no name of an image")) for a in ("../anna/0.png", "/anna/0.png", "C:\\anna\\0.png", "..\\x.png", "")],
    ("no pair matches", pairs(["img1.png,img2.png"]), ("nothing matches", "'img1.png', pictures like 'anna/0.png'")),
    ("a pair of nobody", pairs(["anna/0.png,anna/1.png", "anna/0.png,anna/77.png"]), ("image absent", "anna/77.png")),
]  # fmt: skip

JOINTS = [
    ("a list of one frame", all_joints(lambda pose: [{"people": [openpose(pose)]}]), RIGHT),
    ("a list of two frames", one_joints(lambda pose: [{"people": []}, {"people": []}]), ("unreadable line", "a list of 2 frames")),
    *[(f"canvas {n}", all_joints(lambda pose, k=k: {"people": [openpose(pose, scale=(k, k), shift=((k - 1) / 2,) * 2)], "canvas_height": 256 * k, "canvas_width": 176 * k}), RIGHT) for n, k in SCALES.items()],
    ("fractions of a canvas", all_joints(lambda pose: {"people": [openpose(pose, scale=(1 / 256, 1 / 176), shift=(0.5 / 256, 0.5 / 176))], "canvas_height": 999, "canvas_width": 888}), RIGHT),
    *[(f"undeclared {n}", all_joints(lambda pose, k=k: {"people": [openpose(pose, scale=(k, k))]}), ("frames disagree", f"joints.size = [{n.replace('x', ', ')}]")) for n, k in (("512x352", 2.0),)],
    *[(f"declared {n}", both(all_joints(lambda pose, k=k: {"people": [openpose(pose, scale=(k, k), shift=((k - 1) / 2,) * 2)]}), setting(joints=f'format = "openpose"\npath = "openpose"\nsize = [{n.replace("x", ", ")}]')), RIGHT) for n, k in SCALES.items()],
    ("fractions", all_joints(lambda pose: {"people": [openpose(pose, scale=(1 / 256, 1 / 176))]}), ("frames disagree", "joints.size = [1, 1]")),
    ("declared fractions", both(all_joints(lambda pose: {"people": [openpose(pose, scale=(1 / 256, 1 / 176), shift=(0.5 / 256, 0.5 / 176))]}), setting(joints='format = "openpose"\npath = "openpose"\nsize = [1, 1]')), RIGHT),
    ("x and y exchanged", all_joints(lambda pose: {"people": [openpose(pose[:, ::-1])]}), ("frames disagree", "x and y exchanged")),
    ("side bars", all_joints(lambda pose: {"people": [openpose(pose, shift=(0, 40))]}), ("frames disagree", "40 columns to the left")),
    ("upside down", all_joints(lambda pose: {"people": [openpose(pose, scale=(-1, 1), shift=(255, 0))]}), ("class meaning", "noses and eyes")),
    ("in a corner", all_joints(lambda pose: {"people": [openpose(pose, scale=(0.03, 0.02), shift=(2, 150))]}), ("joints fit nowhere", "would fit about")),
    ("far away", all_joints(lambda pose: {"people": [openpose(pose, shift=(5000, 5000))]}), ("joints fit nowhere", "0% of the joints")),
    ("nobody anywhere", all_joints(lambda pose: {"people": []}), ("no joints", "not one joint in 8 pictures")),
    ("all unsure", all_joints(lambda pose: {"people": [openpose(pose, confidence=0.05)]}), ("no joints", "min_confidence")),
    ("nobody once", one_joints(lambda pose: {"people": []}), ("hardly any joints", "only 0 of 18")),
    ("nobody confident", one_joints(lambda pose: {"people": [openpose(pose, confidence=0)]}), ("hardly any joints", "only 0 of 18")),
    ("two people", one_joints(lambda pose: {"people": [openpose(pose), openpose(pose, 0.2, shift=(9, 9))]}), ("several people", "anna/0 2 for one; the surest counts (joints.person = 'score')")),
    ("a ghost beside", one_joints(lambda pose: {"people": [openpose(pose), openpose(pose, 0.0)]}), RIGHT),
    ("per cents", all_joints(lambda pose: {"people": [openpose(pose, 87.0)]}), ("scores", "to 87 are no probabilities")),
    ("logits", all_joints(lambda pose: {"people": [openpose(pose, 5.5)]}), ("scores", "5.5")),
    ("another's joints", one_joints(lambda pose: {"people": [openpose(np.where(pose == -1, -1, pose * 0 + (3, 170)))]}), ("joints beside the person", "anna/0")),
    *[(f"confidence {v!r}", one_joints(lambda pose, v=v: json.dumps({"people": [openpose(pose)]}).replace("0.9", v, 1)), ("unreadable line", "anna/0_keypoints.json")) for v in ("NaN", "Infinity", "null", '"high"', "true", "[0.9]", "{}", "1e400")],
    *[(f"{n} numbers", one_joints(lambda pose, n=n: {"people": [{"pose_keypoints_2d": [1.0] * n}]}), ("unreadable line", "anna/0_keypoints.json")) for n in (0, 1, 3, 53, 78, 51 * 3)],
    *[(f"content {t[:14]!r}", one_joints(lambda pose, t=t: t), ("unreadable line", "anna/0_keypoints.json")) for t in ("", "{", "[]", "[1]", "null", "3", '"x"', "{}", '{"people": 3}', '{"people": [3]}', '{"people": [{}]}', '{"people": null}', "[[]]", "[" * 5000, b"\xff\xfe")],
    ("mediapipe", all_joints(mediapipe, ".json", 'format = "mediapipe"\npath = "openpose"'), RIGHT),
    ("mediapipe, unseen", all_joints(lambda pose: mediapipe(pose, visibility=0.01), ".json", 'format = "mediapipe"\npath = "openpose"'), ("no joints", "not one joint")),
    ("mediapipe of several", all_joints(lambda pose: {"pose_landmarks": [mediapipe(pose), mediapipe(pose)]}, ".json", 'format = "mediapipe"\npath = "openpose"'), ("several people", "8 pictures")),
    ("labelled", all_joints(labelled, ".csv", 'format = "labelled"\npath = "openpose"'), RIGHT),
    ("pidm of another frame", all_joints(lambda pose: "\n".join(f"{x} {y}" for y, x in pose), ".txt", 'format = "pidm"\npath = "openpose"'), ("frames disagree", "own pixels")),
    ("coco", coco(lambda name, f: [{"file_name": f"{name}.png", "keypoints": f}]), RIGHT),
    ("coco without suffix", coco(lambda name, f: [{"image_id": name, "keypoints": f}]), RIGHT),
    ("coco of jpegs", coco(lambda name, f: [{"image_id": f"{name}.jpg", "keypoints": f}]), RIGHT),
    ("coco with numbers", coco(lambda name, f: [{"image_id": name, "keypoints": f}], lambda views: [{"id": n, "file_name": f"{n}.png"} for n in views]), RIGHT),
    ("coco with sizes", coco(lambda name, f: [{"image_id": name, "keypoints": f}], lambda views: [{"id": n, "file_name": f"{n}.png", "height": 256, "width": 176} for n in views]), RIGHT),
    ("coco without keypoints", coco(lambda name, f: [{"image_id": name, "num_keypoints": 0, "keypoints": [0] * 51}]), ("no joints", "not one joint")),
    ("coco with a crowd", coco(lambda name, f: [{"image_id": name, "keypoints": f}, {"image_id": name, "num_keypoints": 0, "keypoints": [0] * 51}]), RIGHT),
    ("coco of two", coco(lambda name, f: [{"image_id": name, "keypoints": f}] * 2, more='\nperson = "central"'), ("several people", "nearest to the middle")),
    ("coco of the largest", coco(lambda name, f: [{"image_id": name, "keypoints": f}] * 2, more='\nperson = "largest"'), ("several people", "the largest")),
    ("coco boxes only", coco(lambda name, f: [{"image_id": name, "bbox": [1, 2, 3, 4]}]), ("unreadable line", "annotation 0")),
    ("coco with a half", coco(lambda name, f: [{"image_id": name, "keypoints": "\ud83d"}]), ("unreadable line", "annotation 0")),
    ("coco under a surrogate", coco(lambda name, f: [{"image_id": name, "keypoints": f}, {"image_id": "\ud83d", "keypoints": f}]), ("belongs to nobody", "joints")),
]  # fmt: skip

MAPS = [
    *[(f"classes of another project {seed}", permuted(seed), ("class meaning", "noses and eyes")) for seed in range(12)],
    ("one palette", palette(lambda _: np.arange(24).reshape(8, 3) * 9), RIGHT),
    ("a palette in each file", palette(lambda n: np.random.default_rng(n).integers(0, 256, (8, 3))), ("palettes differ", "shows class")),
    ("grey levels as a palette", palette(lambda _: np.repeat(np.arange(8) * 30, 3)), RIGHT),
    ("another order of greys", palette(lambda _: np.repeat([0, 2, 1, 3, 4, 5, 7, 6], 3)), ("grey palette", "as the grey level")),
    ("grey levels", maps(lambda labels, _: labels * 36), ("unreadable parsing map", "in a parsing map of 8 classes")),
    ("colours", maps(lambda labels, _: np.repeat(labels[..., None], 3, 2)), ("unreadable parsing map", "this one is RGB")),
    ("all background", maps(lambda labels, _: labels * 0), ("empty parsing map", "all background")),
    ("all one class", maps(lambda labels, _: labels * 0 + 2), ("class meaning", "most on class 2")),
    ("mirrored maps", one_map(lambda labels: encoded(labels[::-1])), ("joints beside the person", "anna/0")),
    ("one jpeg map", one_map(lambda labels: encoded(labels, "jpeg")), ("unreadable parsing map", "must be a PNG")),
    ("one map of two bits", one_map(lambda labels: encoded(Image.fromarray(labels % 4), bits=2)), RIGHT),
    ("one map of 16 bits", one_map(lambda labels: encoded(labels.astype(np.uint16))), ("unreadable parsing map", "16 bits")),
    ("one map with alpha", one_map(lambda labels: encoded(Image.fromarray(labels).convert("LA"))), ("unreadable parsing map", "this one is LA")),
    ("one small map", one_map(lambda labels: encoded(labels[::2, ::2])), RIGHT),
    ("one square map", one_map(lambda labels: encoded(np.pad(labels, ((0, 0), (40, 40))))), ("wrongly shaped parsing map", "anna/0")),
    ("one turned map", one_map(lambda labels: encoded(labels, exif=turned(6))), ("unreadable parsing map", "orientation 6")),
    *[(f"label {n}", one_map(lambda labels, n=n: encoded(np.where(labels == 2, n, labels).astype(np.uint8))), ("unreadable parsing map", f"label {n}")) for n in (8, 19, 255)],
    *[(f"merge {m}", setting(parsing=f'merge = "{m}"'), ("class meaning", "'regions'")) for m in ("lip", "cihp", "atr", "adgan", "pise")],
]  # fmt: skip

PEOPLE = [
    ("all in one folder", flat, ("refused", "lies in no folder of a person")),
    ("one outside", lambda made: shutil.copy(made.file("image", "anna/0"), made.root / "images/x.png"), ("person unknown", "images/x.png")),
    ("all in one folder, by prefix", both(flat, setting(identities='by = "prefix"\ntest = ["ben"]')), RIGHT),
    ("left out", setting(identities='by = "folder"\ntest = ["ben"]\nexclude = ["anna"]'), ("empty split", "train")),
    ("left out but not there", setting(identities='by = "folder"\nexclude = ["zoe"]'), ("refused", "exclude names 'zoe'")),
    ("held out but not there", setting(identities='by = "folder"\ntest = ["zoe"]'), ("refused", "'zoe'")),
    ("a table", table(lambda names: [f"{name}.png,{name[:3]}" for name in names], 'file = "who.csv"\ntest = ["ben"]'), RIGHT),
    ("a table of jpegs", table(lambda names: [f"{name}.JPG,{name[:3]}" for name in names]), RIGHT),
    ("a table without suffixes", table(lambda names: [f"{name},{name[:3]}" for name in names]), RIGHT),
    ("two people for one", table(lambda names: [*[f"{name}.png,{name[:3]}" for name in names], "anna/0.png,ben"]), ("unreadable line", "line 10, anna/0.png: is 'ben' here and 'ann' above")),
    ("said twice", table(lambda names: [*[f"{name}.png,{name[:3]}" for name in names], "anna/0.png,ann"]), RIGHT),
    ("a table of strangers", table(lambda names: [*[f"{name}.png,{name[:3]}" for name in names], "x.png,ben"]), ("belongs to nobody", "'x.png'")),
    ("nobody's name", table(lambda names: [f"{name}.png,{name[:3]}" for name in names[1:]]), ("person unknown", "anna/0.png")),
    *[(f"box {b}", boxes({"anna/0.png": b}), ("unreadable line", "faces.json, anna/0.png")) for b in ([30, 40, 10, 20], [10, 40, 30, 20], [10, 20, 10, 40], [1, 2, 3], [1, 2, 3, "4"], "x", 3, [[1], 2, 3, 4], {"y0": 1})],
    ("no face", boxes({"anna/0.png": None}), ("no face", "anna/0.png")),
    ("zeros for no face", boxes({"anna/0.png": [0, 0, 0, 0]}), ("no face", "anna/0.png")),
    ("a box outside", boxes({"anna/0.png": [500, 500, 600, 600]}), ("no face", "anna/0.png")),
    *[(f"boxes {t[:9]!r}", boxes(t), ("refused", "faces.json")) for t in ("", "[]", "{", "null")],
    *[(f"person = {v}", setting(joints=f'format = "openpose"\npath = "openpose"\nperson = {v}'), ("refused", "joints.person")) for v in ('"tallest"', "3", "[]")],
    *[(f"min_confidence = {v}", setting(joints=f'format = "openpose"\npath = "openpose"\nmin_confidence = {v}'), ("refused", "min_confidence")) for v in ("-1", "nan", '"x"', "true")],
    *[(f"size = {v}", setting(joints=f'format = "openpose"\npath = "openpose"\nsize = {v}'), ("refused", "joints.size")) for v in ("[1, 2]", "[0, 0]", "[256]", "3", "[1.0, 1.0]")],
]  # fmt: skip

CASES = PICTURES + NAMES + JOINTS + MAPS + PEOPLE


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

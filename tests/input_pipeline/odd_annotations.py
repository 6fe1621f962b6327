"""Odd names, joints and people for `test_odd_inputs.py`: changes of a set, and the cases made of them."""

import json
import shutil
import unicodedata

import numpy as np

from scrn_jax.person import joints

RIGHT = ("right", "")
SIZE = (256, 176)
COCO_17 = [0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10]


def openpose(pose, confidence=0.9, scale=(1.0, 1.0), shift=(0.0, 0.0)):
    """One OpenPose person of (y, x) joints, scaled and then shifted."""
    rows = [(0, 0, 0) if y == -1 else (x * scale[1] + shift[1], y * scale[0] + shift[0], confidence) for y, x in pose]
    return {"pose_keypoints_2d": [number for row in rows for number in row]}


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

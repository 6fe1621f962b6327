"""Odd picture files and odd parsing maps for `test_odd_inputs.py`: changes of a set, and the cases made of them."""

import io

import numpy as np
from odd_annotations import RIGHT, SIZE, setting
from PIL import Image


def encoded(image, kind="png", **options):
    stream = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(stream, kind, **options)
    return stream.getvalue()


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

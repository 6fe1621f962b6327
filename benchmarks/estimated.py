"""What does it cost that joints and regions are found in a photo instead of given? And how near are photos' pictures?

    python -m benchmarks.estimated                  # the model that comes with the package
    python -m benchmarks.estimated --model DIR --people 40 --pairs 3 --rows 256
    python -m benchmarks.estimated --photos DIR     # of photos of your own

Pairs of rendered people of configs/people.py's test split. Each source is painted in its target's pose once with exact
joints and regions, once with what the estimators find in both pictures, drawn with 512 rows, and once as a photo is
used: the found person in front of the source's own background. Pairs in which nobody is found are left out of every
row, and counted. With --rows the pictures are judged in a frame of that height, a multiple of the model's: the first
two enlarged, the last with the photo's own detail. LPIPS is VGG16's; the model's own losses look through another
network.

With --photos, pairs of real photos of one person each: DIR holds pictures in any subfolders and lists of pairs,
fasion-pairs-*.csv. Each source's person is painted in the pose found on its target, in the target's frame, as the model
paints it and as a photo is used; both stand in front of the source's background, which is not the target's. --half 1
leaves out every second of the people who are listed, --half 0 the others: choose by one, judge by the other.
"""

import argparse
import json
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from benchmarks import machine
from configs import people as people_config
from input_pipeline.mannequins.people import Person
from scrn_jax.errors import UserError
from scrn_jax.inference import PoseTransfer
from scrn_jax.inference.finding import estimators
from scrn_jax.inference.photo import PhotoTransfer
from scrn_jax.metrics import lpips, psnr, ssim
from scrn_jax.person import joints as joints_lib
from scrn_jax.person.pair_files import read_pairs
from scrn_jax.runtime import devices

SEEN_ROWS = 512  # of what the estimators see


def shown(person: Person, index: int, size: tuple[int, int], find) -> tuple:
    """A view in the model's frame, and (joints, regions) as they are found in a larger one; None where nobody is."""
    height, width = size
    times = max(1, SEEN_ROWS // height)
    view, large = person.view(index, height, width), person.view(index, times * height, times * width)
    try:
        found = find(large.image)
    except UserError:
        return view, None
    middle = slice(times // 2, None, times)
    return view, (joints_lib.move(found.joints_Jx2, (1 / times, 1 / times)), found.regions_HxW[middle, middle])


def pictures(transfer: PoseTransfer, people: int, pairs: int, times: int):
    """For each pair its rows of pictures, uint8 (H, W, 3), the target last; None where nobody is found.

    They are `times` as large as the model's frame.
    """
    photos, find = PhotoTransfer(transfer), estimators.load()
    data = people_config.get_config().data
    large = tuple(times * side for side in transfer.size)

    def enlarged(picture):
        return np.asarray(Image.fromarray(picture).resize(large[::-1], Image.Resampling.BICUBIC))

    for identity in range(data.train_identities, data.train_identities + people):
        person = Person.sample(data.seed, identity, varied=True)
        views = [shown(person, index, transfer.size, find) for index in range(data.views)]
        order = np.random.default_rng(identity).permutation(data.views * (data.views - 1))[:pairs]
        for source, target in (divmod(int(number), data.views - 1) for number in order):
            target += target >= source
            (view, found), (wanted, pose) = views[source], views[target]
            if found is None or pose is None:
                yield None
                continue
            seen, true = (person.view(index, *large).image for index in (source, target))
            yield {
                "given": enlarged(transfer(view.image, view.labels, view.joints, wanted.joints)),
                "estimated": enlarged(transfer(view.image, found[1], found[0], pose[0])),
                "as a photo": photos.paint(view.image, found[1], found[0], pose[0][None], large=seen)[0],
                "copy the source": seen,
                "target": true,
            }


def photo_pairs(transfer: PoseTransfer, folder: Path, half: int | None, times: int):
    """As `pictures`, for the pairs of real photos that a folder lists. Raises UserError for a picture not there."""
    photos = PhotoTransfer(transfer, times=max(2, times))  # the detail of a photo is had in twice the model's frame
    large = tuple(times * side for side in transfer.size)
    files = {file.name: file for file in sorted(folder.rglob("*.jpg"))}
    lists = sorted(folder.glob("fasion-pairs-*.csv"))
    pairs = [(pair.source, pair.target) for file in lists for pair in read_pairs(file, lambda name: name)]
    if not pairs:
        raise UserError(f"{folder}: no list of pairs, fasion-pairs-*.csv, is there")
    person = {}  # of each picture all that pairs join it to, over others, too: no one is in both halves
    for pair in pairs:
        together = set().union(*(person.get(name, {name}) for name in pair))
        person.update(dict.fromkeys(together, together))
    people = sorted({min(pictures) for pictures in person.values()})
    found = {}

    def framed(name):
        if name not in found:
            if name not in files:
                raise UserError(f"{folder}: {name} is listed, but not there")
            try:
                found[name] = photos.estimate(files[name])
            except UserError:
                found[name] = None
        return found[name]

    def resized(picture):
        return np.asarray(Image.fromarray(picture).resize(large[::-1], Image.Resampling.BOX))

    for pair in pairs:
        if half is not None and people.index(min(person[pair[0]])) % 2 != half:
            continue
        source, target = map(framed, pair)
        if source is None or target is None:
            yield None
            continue
        given = source.image, source.regions_HxW, source.joints_Jx2, target.joints_Jx2[None]
        plain = Image.fromarray(photos.paint(*given)[0])
        yield {
            "as the model paints it": np.asarray(plain.resize(large[::-1], Image.Resampling.BICUBIC)),
            "as a photo": resized(photos.paint(*given, large=source.large)[0]),
            "copy the source": resized(source.large),
            "target": resized(target.large),
        }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="an exported model; the package's own by default")
    parser.add_argument("--people", type=int, default=40)
    parser.add_argument("--pairs", type=int, default=3, help="of every person")
    parser.add_argument("--rows", type=int, help="of the frame in which pictures are judged; the model's by default")
    parser.add_argument(
        "--photos", type=Path, help="a folder of real photos and lists of pairs, instead of rendered people"
    )
    parser.add_argument("--half", type=int, choices=(0, 1), help="of the people of --photos")
    args = parser.parse_args()
    devices.keep_programs(devices.AUTO, least_seconds=0.3)
    transfer, params = PoseTransfer.load(args.model), lpips.load_params("vgg")

    @jax.jit
    def judge(images, target):
        rows = jnp.broadcast_to(target, images.shape)
        far = lpips.distances("vgg", params, images[:, None], target[None], "auto")
        figures = (partial(f, data_range=1.0)(images, rows) for f in (ssim.ssim, psnr.psnr))
        return dict(zip(("lpips_vgg", "ssim", "psnr"), (far[:, 0], *figures), strict=True))

    times = (args.rows or transfer.size[0]) // transfer.size[0]
    if args.photos:
        judged = photo_pairs(transfer, args.photos, args.half, times)
    else:
        judged = pictures(transfer, args.people, args.pairs, times)
    found, missed = [], 0
    for rows in judged:
        if rows is None:
            missed += 1
            continue
        *images, target = (np.float32(picture) / 255 for picture in rows.values())
        found.append(jax.device_get(judge(np.stack(images), target)))
        names = list(rows)[:-1]
    means = {
        name: {metric: float(np.mean([each[metric][row] for each in found])) for metric in found[0]}
        for row, name in enumerate(names)
    }
    machine.print_table([{"row": name, **{k: f"{v:.4f}" for k, v in means[name].items()}} for name in means])
    print(f"{len(found)} pairs; {missed} left out, in which nobody was found")
    results = {"pairs": len(found), "missed": missed, "frame": list(target.shape[:2]), "rows": means}
    print(json.dumps(results), "" if args.photos else machine.save("estimated", results))


if __name__ == "__main__":
    main()

"""The page of `benchmarks.methods`: the paper's two tables beside ours, costs, groups, and a picture."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scrn_jax.evaluation import samples
from scrn_jax.metrics.metric import METRICS, TABLE_1
from scrn_jax.person import draw

TITLES = {
    "patn": "PATN", "adgan": "ADGAN", "pona": "PoNA", "pinet": "PINet", "pise": "PISE",
    "full": "SCRN", "3cb": "3 Coarse Blocks", "no_refine_area": "without RefineArea", "no_face": "without face loss",
    "best": "SCRN, better pictures",
}  # fmt: skip
TABLE_2: dict[str, dict[str, float]] = {
    "3cb": {"ssim": 0.7481, "fid": 11.4279, "psnr": 17.1161, "lpips_alex": 0.1923},
    "no_refine_area": {"ssim": 0.7326, "fid": 12.9100, "psnr": 16.3635, "lpips_alex": 0.2202},
    "no_face": {"ssim": 0.7521, "fid": 11.1462, "psnr": 17.2145, "lpips_alex": 0.1837},
    "full": {"ssim": 0.7564, "fid": 11.0900, "psnr": 17.3098, "lpips_alex": 0.1873},
}
PUBLISHED = {**{name: TABLE_1[TITLES[name]] for name in ("patn", "adgan", "pona", "pinet", "pise", "full")}, **TABLE_2}
JUDGES = ("lpips_vgg", "ssim", "psnr", "lpips_alex", "face_l1", "colour_error", "mesh")
BOTH = ("ssim", "psnr", "lpips_alex")  # measured here and printed in the paper
COMPARED = {"Table 1: other methods": ("patn", "adgan", "pona", "pinet", "pise", "full", "best"),
            "Table 2: without its parts": ("3cb", "no_refine_area", "no_face", "full", "best")}  # fmt: skip
BASELINES = {
    "copy_source": "copy the source",
    "mean_image": "mean image",
    "flat_paint_true": "flat paint, told the true S_t",
    "carried_true": "carried pixels, told the true S_t",
}
BY_HAND = "## What we make of it"  # the heading of a page's last section, which is kept when the page is written anew

Seeds = Mapping[str, Mapping[str, Any]]  # seed -> what `methods.kept` keeps


def values(seeds: Seeds, metric: str, row: str = "generated") -> list[float]:
    """A figure of every seed."""
    return [report["rows"][row][metric] for report in seeds.values()]


def with_deviation(numbers: Sequence[float], metric: str) -> str:
    """The mean and, of two seeds or more, the deviation, as the metric is printed."""
    mean = METRICS[metric].text(statistics.fmean(numbers))
    return f"{mean} ± {METRICS[metric].text(statistics.stdev(numbers))}" if len(numbers) > 1 else mean


def summary(runs: Mapping[str, Seeds]) -> list[dict[str, Any]]:
    """A row a run, a column a judge."""
    return [
        {"": TITLES[run], "seeds": len(seeds),
         **{METRICS[judge].heading: with_deviation(values(seeds, judge), judge) for judge in JUDGES}}
        for run, seeds in runs.items()
    ]  # fmt: skip


def order(figures: Mapping[str, float], metric: str) -> list[str]:
    """The runs from best to worst."""
    return sorted(figures, key=figures.__getitem__, reverse=METRICS[metric].more_is_better)


def agreement(runs: Mapping[str, Seeds], names: Sequence[str]) -> list[dict[str, str]]:
    """For every metric that the paper prints: its order of the runs, ours, and whether they are the same."""
    known, rows = [name for name in names if name in runs and name in PUBLISHED], []
    for metric in BOTH:
        theirs = order({name: PUBLISHED[name][metric] for name in known}, metric)
        ours = order({name: statistics.fmean(values(runs[name], metric)) for name in known}, metric)
        said = [", ".join(TITLES[name] for name in each) for each in (theirs, ours)]
        same = "yes" if theirs == ours else "no"
        rows.append({"": METRICS[metric].title, "the paper": said[0], "here": said[1], "the same": same})
    return rows


def beats_copying(runs: Mapping[str, Seeds]) -> dict[str, bool]:
    """Whether a run's pictures are nearer to the target than the source itself, by the mean LPIPS on VGG16."""
    return {
        run: statistics.fmean(values(seeds, "lpips_vgg")) < statistics.fmean(values(seeds, "lpips_vgg", "copy_source"))
        for run, seeds in runs.items()
    }


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Markdown."""
    if not rows:
        return ["Nothing was run."]
    keys = list(rows[0])
    lines = [f"| {' | '.join(keys)} |", "|" + "---|" * len(keys)]
    return lines + [f"| {' | '.join(str(row[key]) for key in keys)} |" for row in rows]


def group_rows(runs: Mapping[str, Seeds]) -> list[dict[str, Any]]:
    """A row a group of pairs, a column a run: LPIPS on VGG16, the mean over the seeds."""
    first = next(iter(next(iter(runs.values())).values()))["groups"]
    rows = []
    for grouping, groups in first.items():
        for group, figures in groups.items():
            row = {"": f"{grouping}: {group}", "pairs": figures["count"]}
            for run, seeds in runs.items():
                each = [report["groups"][grouping][group]["lpips_vgg"] for report in seeds.values()]
                row[TITLES[run]] = METRICS["lpips_vgg"].text(statistics.fmean(each))
            rows.append(row)
    return rows


def cost_rows(costs: Mapping[str, Mapping[str, float]]) -> list[dict[str, Any]]:
    """A row a run."""
    return [
        {"": TITLES[run], "learned parameters": f"{found['parameters']:,}", "GFLOP a step": f"{found['GFLOP']:.2f}",
         "ms a step": f"{found['ms']:.0f}", "memory (MB)": f"{found['memory MB']:.0f}"}
        for run, found in costs.items()
    ]  # fmt: skip


def page(saved: Mapping[str, Any], picture: str) -> str:
    """The page of saved results."""
    results, where = saved["results"], saved["machine"]
    runs, seeds = results["runs"], next(iter(results["runs"].values()))
    pairs = next(iter(seeds.values()))["pairs"]
    losers = [TITLES[run] for run, better in beats_copying(runs).items() if not better]
    lines = [
        "# The methods side by side",
        "",
        "Written by `python -m benchmarks.methods`, which docs/methods/ and benchmarks/methods.py describe. "
        f"{results['steps']} steps of 4 pairs, seeds {', '.join(seeds)}, 64x44, {pairs} held-out pairs of embedded "
        f"people; {where['name']}, {where['date']}. Mean ± deviation over the seeds.",
        "",
        "The other methods have a loss on pictures that looks through VGG16, which LPIPS (VGG) looks through, too: it "
        "flatters them. SCRN's looks through AlexNet, so that LPIPS (AlexNet) flatters SCRN.",
        "",
    ]
    if results["few"]:
        lines += ["**Of a handful of people: it shows that everything runs, and says nothing of any method.**", ""]
    for title, names in COMPARED.items():
        present = {name: runs[name] for name in names if name in runs}
        lines += [f"## {title}", "", *table(summary(present)), ""]
        lines += ["Whether the paper's order is found again (its figures are of DeepFashion at 256x176):", ""]
        best_first = order({name: statistics.fmean(values(runs[name], "lpips_vgg")) for name in present}, "lpips_vgg")
        lines += [*table(agreement(runs, names)), ""]
        lines += [f"By LPIPS (VGG), from the best: {', '.join(TITLES[name] for name in best_first)}.", ""]
    baselines = [
        {"": said, **{METRICS[judge].heading: with_deviation(values(seeds, judge, row), judge) for judge in BOTH},
         METRICS["lpips_vgg"].heading: with_deviation(values(seeds, "lpips_vgg", row), "lpips_vgg")}
        for row, said in BASELINES.items() if row in next(iter(seeds.values()))["rows"]
    ]  # fmt: skip
    verdict = (
        f"Worse than copying the source: {', '.join(losers)}." if losers else "Every run beats copying the source."
    )
    lines += ["## What any method has to beat", "", *table(baselines), "", f"{verdict} By the mean LPIPS on VGG16.", ""]
    lines += ["## What a training step takes", "", "On random data; the steps took turns.", ""]
    lines += [*table(cost_rows(results["costs"])), "", "## By group of pairs (LPIPS on VGG16)", ""]
    lines += [*table(group_rows(runs)), "", "## The same people under every method", ""]
    lines += [f"![One row a person, one column a method]({picture})", ""]
    return "\n".join(lines)


def sheet(batch: Mapping[str, np.ndarray], pictures: Mapping[str, np.ndarray]):
    """One row a person, one column a method, as the paper's figures 5 to 7."""
    height, width = batch["source_image"].shape[1:3]
    rows = [
        [batch["source_image"][i], draw.skeleton(batch["target_pose"][i], height, width),
         *(each[i] for each in pictures.values()), batch["target_image"][i]]
        for i in range(len(batch["source_image"]))
    ]  # fmt: skip
    return samples.compose(rows, ["source", "target pose", *(TITLES[run] for run in pictures), "target"])


def draw_people(path: Path, batch, pictures) -> None:
    """The page's picture, in images/ beside it."""
    picture = path.parent / "images" / "methods.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    sheet(batch, pictures).save(picture)


def write(path: Path, saved: Mapping[str, Any]) -> None:
    """The page, with the picture that lies beside it in images/; a section `BY_HAND` that it ended with is kept."""
    before = path.read_text("utf-8") if path.exists() else ""
    kept = f"\n{BY_HAND}{before.split(BY_HAND, 1)[1]}" if BY_HAND in before else ""
    path.write_text(page(saved, "images/methods.png") + kept, "utf-8")

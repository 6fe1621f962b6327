"""What a report says, to programs and to people."""

import csv
import html.parser
import json
import os
from pathlib import Path

import numpy as np
import pytest

from scrn_jax.errors import UserError
from scrn_jax.evaluation.folders import evaluate as evaluate_lib
from scrn_jax.evaluation.folders.images import Survey
from scrn_jax.evaluation.folders.matching import Matched, Pair
from scrn_jax.evaluation.folders.passes import Shelf
from scrn_jax.evaluation.report import folders as folders_lib
from scrn_jax.evaluation.report import html as html_lib
from scrn_jax.evaluation.report import markdown as markdown_lib
from scrn_jax.metrics import fid, protocols
from scrn_jax.metrics import metric as metric_lib
from scrn_jax.metrics.fid import Moments
from scrn_jax.metrics.metric import TABLE_1


@pytest.fixture(scope="module")
def root(make_folders, draw, tmp_path_factory):
    """Folders made and true, worse/ with strips as JPEG, and masks/; one name wants to be mark-up."""
    root = tmp_path_factory.mktemp("report")
    made, true = make_folders(root, 6)
    os.rename(made / "source_1front___p5_vis.png", made / "<b>&___p5_vis.png")
    for i in range(6):
        image = draw.imitation(draw.picture(i), i, 0.2)
        draw.save(root / "worse" / f"s_2_p{i}_vis.jpg", np.concatenate([image // 2, image], 1))
        mask = np.zeros((256, 176), np.uint8)
        mask[:, 50:120] = 7
        draw.save(root / "masks" / f"p{i}.png", mask)
    (true / "list.txt").touch()
    return root


def _run(root, output, methods, name="scrn", **options):
    request = evaluate_lib.Request(
        {method: root / folder for method, folder in methods.items()},
        root / "true",
        protocols.protocol(name),
        output,
        **{"batch_size": 4, **options},
    )
    found = evaluate_lib.evaluate(request)
    folders_lib.write(found, comparing=len(methods) > 1)
    Shelf(output).clear()
    return found


@pytest.fixture(scope="module")
def single(root, tmp_path_factory):
    """An evaluation by the default protocol with masks, and the folder of its report. FID's weights are absent."""
    output = tmp_path_factory.mktemp("single")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCRN_JAX_CACHE", str(output / "no cache"))
        return _run(root, output, {"generated": "made"}, masks=root / "masks"), output


@pytest.fixture(scope="module")
def compared(root, tmp_path_factory):
    """Two methods by patn."""
    output = tmp_path_factory.mktemp("compared")
    return _run(root, output, {"scrn": "made", "PATN": "worse"}, "patn"), output


def _json(output):
    return json.loads((output / "report.json").read_text("utf-8"))


def test_report_json_names_protocol_count_and_metrics(single):
    found = _json(single[1])
    assert found["protocol"] == "scrn" and found["count"] == 6
    assert list(found["metrics"]) == ["ssim", "psnr", "lpips_alex", "fid", "mask_ssim", "mask_lpips_alex"]
    assert found["protocol_details"]["frame"] == [256, 176]


def test_a_metric_without_weights_is_null_with_a_reason(single):
    found = _json(single[1])
    assert found["metrics"]["fid"] is None and "no weights for FID's Inception" in found["reasons"]["fid"]


def test_report_json_says_what_was_read_with_which_weights(single):
    found = _json(single[1])
    assert found["images"]["generated"]["formats"] == {"png": 6}
    assert found["images"]["reference"]["sizes"] == {"256x176": 6} and found["images"]["masks"]["count"] == 6
    assert found["counts"]["reference_files_ignored"] == 1
    assert found["weights"]["alexnet"]["sha256"].startswith("443c5bc3")
    assert len(found["images"]["generated"]["sha256"]) == 64


def test_means_are_those_of_the_lines_of_per_image_csv(single):
    lines = list(csv.DictReader((single[1] / "per_image.csv").open()))
    assert [line["reference"] for line in lines] == ["p5.png", *(f"p{i}.png" for i in range(5))]
    for metric, mean in _json(single[1])["metrics"].items():
        if mean is not None:
            # The report has six decimals, which leaves up to 5e-7.
            assert np.mean([float(line[metric]) for line in lines]) == pytest.approx(mean, abs=1e-6)


def test_a_mask_raises_ssim_where_the_backgrounds_are_equal_then(single):
    metrics = _json(single[1])["metrics"]
    assert metrics["mask_ssim"] > metrics["ssim"] and metrics["mask_lpips_alex"] < metrics["lpips_alex"]


def test_evaluating_again_elsewhere_gives_the_same_bytes(compared, root, tmp_path):
    _run(root, tmp_path, {"scrn": "made", "PATN": "worse"}, "patn")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"report.json", "per_image.csv", "report.md", "report.html"}
    for name in names:
        assert (tmp_path / name).read_bytes() == (compared[1] / name).read_bytes(), name


def test_no_output_holds_an_absolute_path(single, compared, root):
    for output in (single[1], compared[1]):
        for path in output.iterdir():
            assert str(root.parent) not in path.read_text("utf-8")


def test_comparing_puts_methods_beside_table_1_and_says_their_order(compared):
    found = _json(compared[1])
    assert found["methods"]["scrn"]["count"] == found["methods"]["PATN"]["count"] == 6
    assert found["methods"]["PATN"]["images"]["generated"]["rules"] == {"last_panel": 6}
    assert found["published"]["methods"] == TABLE_1
    assert found["order"]["ssim"] == {"measured": ["scrn", "PATN"], "published": ["SCRN", "PATN"], "agrees": True}
    markdown = (compared[1] / "report.md").read_text("utf-8")
    assert "| *PISE, published* | 0.7417 |" in markdown and "SSIM: scrn \\> PATN (the order of table 1)" in markdown


def test_another_order_than_published_is_said():
    rows = {"SCRN": {"ssim": 0.7, "fid": None}, "patn": {"ssim": 0.8, "fid": 9.0}, "mine": {"ssim": 0.75}}
    orders = metric_lib.orders(rows)
    assert orders["ssim"] == {"measured": ["patn", "mine", "SCRN"], "published": ["SCRN", "PATN"], "agrees": False}
    assert orders["fid"] == {"measured": ["patn"], "published": ["PATN"], "agrees": None}
    assert markdown_lib.order_lines({"order": orders})[0] == "SSIM: patn > mine > SCRN (table 1 has SCRN > PATN)"


def test_lower_is_better_for_lpips_and_fid():
    rows = {"a": {"fid": 9.0, "lpips_alex": 0.3}, "b": {"fid": 8.0, "lpips_alex": 0.4}}
    assert [metric_lib.ranking(rows, metric) for metric in ("fid", "lpips_alex")] == [["b", "a"], ["a", "b"]]


class _Page(html.parser.HTMLParser):
    """Collects the tags that are open at the end, and every address that a page would load."""

    VOID = ("meta", "img", "br", "input")

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses, self.tags = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing(single):
    page = _Page((single[1] / "report.html").read_text("utf-8"))
    assert page.open == [] and page.tags.count("svg") == 5 and page.tags.count("img") == 2 * 6
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)


def test_names_cannot_put_markup_into_the_page_or_the_markdown(single):
    page = (single[1] / "report.html").read_text("utf-8")
    assert "&lt;b&gt;&amp;___p5_vis.png" in page and "<b>" not in page


def test_best_median_and_worst_are_told_by_lpips(single):
    method = single[0].methods[0]
    order = np.argsort(method.figures["lpips_alex"]).tolist()
    assert html_lib.choose(method) == {"best": order[:2], "median": order[2:4], "worst": order[4:]}


def test_a_histogram_counts_every_finite_value():
    svg = html_lib.svg(np.array([0.0, 0.1, 1.0, np.inf, np.nan]), 0.0, 1.0, "SSIM", 2)
    counts = [int(part.split("</title>")[0].rsplit(": ", 1)[1]) for part in svg.split("<rect")[1:]]
    assert sum(counts) == 3 and "median 0.10" in svg


@pytest.mark.parametrize(("count", "bins"), [(1, 1), (6, 3), (100, 10), (900, 30), (8570, 30)])
def test_a_histogram_has_bins_for_its_values(count, bins):
    svg = html_lib.svg(np.linspace(0, 1, count), 0.0, 1.0, "SSIM", 2)
    assert svg.count("<rect") == bins


def test_the_report_names_the_folder_of_the_generated_images(single):
    assert _json(single[1])["folder"] == single[0].methods[0].root.name
    assert f"(the folder {single[0].methods[0].root.name})" in (single[1] / "report.html").read_text("utf-8")


def test_every_pair_can_be_made_larger_without_a_script(single):
    page = _Page((single[1] / "report.html").read_text("utf-8"))
    assert page.tags.count("input") == page.tags.count("label") == 6 and "script" not in page.tags


def test_psnr_has_two_decimals(single):
    shown = f"{_json(single[1])['metrics']['psnr']:.2f}"
    assert f"<td>{shown}</td>" in (single[1] / "report.html").read_text("utf-8")


def _with_empty_masks(allow_missing):
    pairs, seen = tuple(Pair(f"g{i}", f"r{i}", "") for i in range(3)), Survey(3, "")
    method = evaluate_lib.Method("ours", Path(), Matched(pairs, (), ()), seen, seen)
    evaluate_lib._put_mean(method, "mask_ssim", np.array([0.5, np.nan, 0.7]), allow_missing)
    return method


def test_an_empty_mask_leaves_no_mean_but_a_reason():
    method = _with_empty_masks(allow_missing=False)
    assert method.metrics["mask_ssim"] is None
    assert "1 of 3 pairs have no finite figure (their masks are empty; --allow_missing" in method.reasons["mask_ssim"]
    assert method.reasons["mask_ssim"].endswith("the first: g1")


def test_empty_masks_that_are_allowed_to_miss_are_counted():
    method = _with_empty_masks(allow_missing=True)
    assert method.metrics["mask_ssim"] == pytest.approx(0.6) and method.counts["pairs_with_an_empty_mask"] == 1


def test_equal_images_have_no_mean_psnr_but_a_reason(draw, tmp_path):
    for i in range(2):
        draw.save(tmp_path / "true" / f"p{i}.png", draw.picture(i))
        draw.save(tmp_path / "made" / f"p{i}.png", draw.picture(i) if i else draw.imitation(draw.picture(i), i))
    _run(tmp_path, tmp_path / "out", {"generated": "made"}, "patn")
    found = _json(tmp_path / "out")
    assert found["metrics"]["psnr"] is None and found["metrics"]["ssim"] < 1
    assert found["reasons"]["psnr"].startswith(
        "1 of 2 pairs have no finite figure (equal images have an infinite PSNR)"
    )
    assert (tmp_path / "out" / "per_image.csv").read_text().splitlines()[2].endswith(",inf")


@pytest.fixture
def unmeasured(draw, tmp_path, monkeypatch):
    """Evaluates two pairs whose figures nobody computes; their features are random numbers."""
    for i in range(2):
        draw.save(tmp_path / "true" / f"p{i}.png", draw.picture(i))
        draw.save(tmp_path / "made" / f"p{i}.png", draw.imitation(draw.picture(i), i))

    def evaluate(protocol="scrn", features=2, methods=1, **options):
        moments = Moments.of(np.random.default_rng(0).normal(size=(features, 2048)))
        monkeypatch.setattr(evaluate_lib, "_measure", lambda *_: moments)
        folders = {f"method {i}": tmp_path / "made" for i in range(methods)}
        chosen = protocols.protocol(protocol)
        options = {"inception": "random", **options}
        found = evaluate_lib.evaluate(evaluate_lib.Request(folders, tmp_path / "true", chosen, tmp_path, **options))
        return found, moments

    return evaluate


def test_one_image_alone_has_no_fid_but_a_reason(unmeasured):
    method = unmeasured(features=1)[0].methods[0]
    assert method.metrics["fid"] is None
    assert method.reasons["fid"] == "FID needs at least two generated images, found 1"


def test_training_images_that_a_protocol_asks_for_and_nobody_gave_are_the_reason(unmeasured):
    reason = unmeasured("cfld")[0].methods[0].reasons["fid"]
    assert "give their folder or their statistics (.npz) with --training_images" in reason


def test_statistics_of_training_images_are_what_fid_compares_with(unmeasured, tmp_path, monkeypatch):
    given = fid.Gaussian(np.full(2048, 3.0), np.eye(2048))
    fid.save(tmp_path / "train.npz", given)
    compared = []
    monkeypatch.setattr(fid, "frechet_distance", lambda *sides: compared.extend(sides) or 1.5)
    found, moments = unmeasured("cfld", training=tmp_path / "train.npz")
    assert found.methods[0].metrics["fid"] == 1.5 and found.fid_reference["file"] == "train.npz"
    assert np.array_equal(compared[0].mean, moments.mean) and np.array_equal(compared[1].mean, given.mean)


JOINTS = """name:keypoints_y:keypoints_x
p0.png: [10, 30, {wrist}, {missing}]: [20, 40, 50, {missing}]
p1.png: [10, 30, 100, {missing}]: [20, 40, 50, {missing}]
"""


def test_joints_of_both_sides_add_pckh(unmeasured, tmp_path):
    missing = ", ".join(["-1"] * 15)
    for name, wrist in (("made.csv", 120), ("true.csv", 100)):
        (tmp_path / name).write_text(JOINTS.format(wrist=wrist, missing=missing))
    files = {"generated_joints": tmp_path / "made.csv", "reference_joints": tmp_path / "true.csv"}
    method = unmeasured("patn", **files)[0].methods[0]
    assert method.metrics["pckh"] == pytest.approx(5 / 6)  # one wrist is 20 pixels off, a head is 20 high
    np.testing.assert_allclose(method.figures["pckh"], [2 / 3, 1])
    with pytest.raises(UserError, match="are those of one method"):
        unmeasured("patn", methods=2, **files)


def test_joints_of_one_side_only_are_refused(unmeasured, tmp_path):
    with pytest.raises(UserError, match="needs both --generated_joints and --reference_joints"):
        unmeasured(reference_joints=tmp_path / "joints.csv")


def test_a_reference_without_mask_is_refused(unmeasured, draw, tmp_path):
    draw.save(tmp_path / "masks" / "p0.png", np.zeros((256, 176), np.uint8))
    with pytest.raises(UserError, match=r"masks: no mask of p1\.png; add p1\.png"):
        unmeasured(masks=tmp_path / "masks")


@pytest.mark.parametrize(
    ("output", "training", "message"),
    [
        ("list.txt/report", None, "report.html: cannot be written .*; give another --output"),
        ("report", "list.txt", "no such folder"),
        ("report", "texts.npz", "holds no mu"),
        ("report", "absent.npz", "no such statistics file"),
    ],
)
def test_what_cannot_be_written_or_compared_with_is_told_before_anything_is_measured(
    root, tmp_path, monkeypatch, output, training, message
):
    (tmp_path / "list.txt").touch()
    np.savez(tmp_path / "texts.npz", mu=np.array(["a"]), sigma=np.array([["b"]]))
    monkeypatch.setattr(evaluate_lib, "_measure", None)  # is not come to
    options = {} if training is None else {"training": tmp_path / training}
    with pytest.raises(UserError, match=message):
        _run(root, tmp_path / output, {"generated": "made"}, "cfld", **options)

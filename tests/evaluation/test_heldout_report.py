"""The report: the same figures for programs and for people, whole or not at all."""

import json

import pytest
from PIL import Image

from scrn_jax.evaluation.report import heldout

ROW = {
    "ssim": 0.5, "psnr": 12.3456, "lpips_vgg": 0.25, "lpips_alex": 0.2, "face_l1": 0.125, "colour_error": 0.0625,
    "mesh": 0.301,
}  # fmt: skip
GROUP = {"lpips_vgg": 0.3, "ssim": 0.4, "psnr": None, "colour_error": 0.1, "flat_paint_lpips_vgg": 0.35}
REPORT = {
    "rows": {row: ROW for row in heldout.ROW_TITLES} | {"mean_image": {**ROW, "face_l1": None}},
    "parsing": {"accuracy": 0.75, "miou": 0.5},
    "groups": {"view": {"back": {"count": 2, **GROUP}}, "sex": {"men": {"count": 5, **GROUP}}},
    "known_groups": ["sex"],
    "count": 7, "frame": [64, 44], "step": 3, "protocol": "as said.",
}  # fmt: skip


def test_the_json_file_is_the_report(tmp_path):
    heldout.write(tmp_path, REPORT, Image.new("RGB", (2, 2)), ["source", "target"])
    assert json.loads((tmp_path / "report.json").read_text()) == REPORT


def test_the_page_leads_with_a_row_for_every_method_and_lpips_on_vgg():
    lines = heldout.markdown(REPORT, "report.png", ["source", "target"]).splitlines()
    heading = next(line for line in lines if line.startswith("| |"))
    assert heading.startswith("| | LPIPS (VGG) ↓ |") and "LPIPS (Alex) ↓, trained on |" in heading
    assert "| generated (I_g) | 0.2500 | 0.5000 | 12.35 | 0.2000 | 0.1250 | 0.0625 | 0.30 |" in lines
    assert "| mean image | 0.2500 | 0.5000 | 12.35 | 0.2000 | – | 0.0625 | 0.30 |" in lines
    assert all(any(line.startswith(f"| {title} |") for line in lines) for title in heldout.ROW_TITLES.values())
    assert any("7 test pairs, 64x44 pixels, step 3" in line for line in lines) and "as said." in lines[-1]


def test_the_page_has_parsing_and_groups():
    page = heldout.markdown(REPORT, "report.png", ["source", "target"])
    assert "| S_g | 0.7500 | 0.5000 |" in page
    assert "| view: back | 2 | 0.3000 | 0.4000 | – | 0.1000 | 0.3500 |" in page
    assert "Known from the data: sex;" in page


def test_a_report_of_before_has_a_table_of_what_it_holds():
    rows = {"generated": {"ssim": 0.5, "psnr": 20.0, "lpips": 0.1}}
    assert heldout.table(rows)[0::2] == ["| | SSIM ↑ | PSNR (dB) ↑ |", "| generated (I_g) | 0.5000 | 20.00 |"]


def test_the_page_shows_its_picture(tmp_path):
    heldout.write(tmp_path, REPORT, Image.new("RGB", (2, 3)), ["source", "target"])
    assert "](report.png)" in (tmp_path / "report.md").read_text()
    assert Image.open(tmp_path / "report.png").size == (2, 3)


def test_a_failed_report_leaves_the_old_one(tmp_path):
    heldout.write(tmp_path, REPORT, Image.new("RGB", (2, 2)), ["source", "target"])
    with pytest.raises(TypeError):
        heldout.write(tmp_path, {**REPORT, "rows": object()}, Image.new("RGB", (2, 2)), ["source", "target"])
    assert json.loads((tmp_path / "report.json").read_text()) == REPORT


def test_a_model_without_a_parsing_map_has_no_section_on_it():
    assert "## The predicted parsing map" in heldout.markdown(REPORT, "report.png", ["a"])
    assert "## The predicted parsing map" not in heldout.markdown({**REPORT, "parsing": None}, "report.png", ["a"])

"""The report: the same figures for programs and for people, whole or not at all."""

import json

import pytest
from PIL import Image

from scrn_jax.metrics import report

ROW = {"ssim": 0.5, "psnr": 12.345, "lpips": 0.25, "face_l1": 0.125}
REPORT = {
    "rows": {"generated": ROW, "coarse": ROW, "copy_source": ROW, "mean_image": {**ROW, "face_l1": None}},
    "count": 7, "frame": [64, 44], "step": 3, "protocol": "as said.",
}  # fmt: skip


def test_the_json_file_is_the_report(tmp_path):
    report.write(tmp_path, REPORT, Image.new("RGB", (2, 2)))
    assert json.loads((tmp_path / "report.json").read_text()) == REPORT


def test_the_page_has_a_row_for_every_method(tmp_path):
    page = report.markdown(REPORT, "report.png")
    assert "| generated (I_g) | 0.5000 | 12.35 | 0.2500 | 0.1250 |" in page.splitlines()
    assert "| mean image | 0.5000 | 12.35 | 0.2500 | – |" in page.splitlines()
    assert "7 test pairs, 64x44 pixels, step 3" in page and "as said." in page


def test_the_page_shows_its_picture(tmp_path):
    report.write(tmp_path, REPORT, Image.new("RGB", (2, 3)))
    assert "](report.png)" in (tmp_path / "report.md").read_text()
    assert Image.open(tmp_path / "report.png").size == (2, 3)


def test_a_failed_report_leaves_the_old_one(tmp_path):
    report.write(tmp_path, REPORT, Image.new("RGB", (2, 2)))
    with pytest.raises(TypeError):
        report.write(tmp_path, {**REPORT, "rows": object()}, Image.new("RGB", (2, 2)))
    assert json.loads((tmp_path / "report.json").read_text()) == REPORT

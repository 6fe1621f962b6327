"""The pages for people: every link leads somewhere, and what they list is what there is."""

import re
from pathlib import Path

import pytest

from scrn_jax.person import joints, regions

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def _prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def _anchors(page: Path) -> set[str]:
    """The names of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", _prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page):
    without_code = re.sub(r"`[^`\n]*`", "", _prose(page))  # in which brackets are no links
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code):
        if re.match(r"\w+:", target):
            continue  # on the web
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), target
        assert not anchor or anchor in _anchors(there), target


def test_every_page_that_the_code_names_is_there():
    files = [file for room in ("scrn_jax", "input_pipeline", "configs", "benchmarks", "tools", "tests")
             for file in (ROOT / room).rglob("*.py")]  # fmt: skip
    named = {(page, file.name) for file in files for page in re.findall(r"docs/[\w/-]+\.md", file.read_text("utf-8"))}
    assert [(page, file) for page, file in sorted(named) if not (ROOT / page).is_file()] == []


def _table(page: str, heading: str) -> list[list[str]]:
    """The cells of the rows of the first table below a heading."""
    below = (ROOT / page).read_text("utf-8").split(f"\n{heading}\n")[1]
    rows = re.search(r"(?:^\|.*\n)+", below, flags=re.MULTILINE)[0].splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def test_data_lists_regions_and_joints_by_their_numbers():
    rows = _table("docs/data.md", "## Regions and joints")
    assert [int(number) for number, _, _ in rows] == list(range(joints.NUM_JOINTS))
    assert tuple(region for _, region, _ in rows if region) == regions.NAMES
    assert tuple(joint for _, _, joint in rows) == joints.NAMES

"""The pages for people: every link leads somewhere, and what they list is what there is."""

import ast
import re
from pathlib import Path

import pytest

from input_pipeline import sources
from input_pipeline.formats import deepfashion
from input_pipeline.mannequins.builder import PeopleConfig
from scrn_jax import settings
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


CONFIG = "docs/config.md"
METHODS = ("patn", "pona", "pinet", "pise", "adgan")
SECTIONS = ("model", "loss", "features")
SHARED = ("model.name", "model.dtype", "model.convolutions")  # of every method, and so said once


def _code(cell: str):
    return ast.literal_eval(cell.strip("`"))


@pytest.mark.parametrize("section", ["", *SECTIONS, "optim", "train", "eval"])
def test_every_key_of_a_config_is_on_its_page_with_type_and_default(section):
    every = settings.defaults()
    known = every[section] if section else {key: value for key, value in every.items() if not isinstance(value, dict)}
    rows = _table(CONFIG, f"## {section or 'The run'}")
    assert {key.strip("`"): (kind, _code(default)) for key, kind, default, _ in rows} == {
        key: (type(value).__name__, value) for key, value in known.items()
    }


def test_every_key_of_a_configs_data_is_on_its_page_with_type_and_default():
    rows = _table(CONFIG, "## data")
    kinds = {key: kind.__name__ for key, kind in sources._KEYS.items()} | {"merge": "str or list"}
    assert {key.strip("`"): kind for key, kind, _, _ in rows} == kinds
    defaults = vars(deepfashion.DEFAULTS) | vars(PeopleConfig())
    assert {key.strip("`"): _code(default) for key, _, default, _ in rows if default} == defaults


@pytest.mark.parametrize("method", METHODS)
def test_every_key_of_another_method_is_on_the_page_of_configs_with_its_default(method):
    known = settings.defaults(method)
    keys = {f"{section}.{key}": value for section in SECTIONS for key, value in known[section].items()}
    column = 1 + METHODS.index(method)
    rows = {row[0].strip("`"): row[column] for row in _table(CONFIG, "## Other methods")}
    listed = {key: _code(default) for key, default in rows.items() if default != "–"}
    assert listed == {key: value for key, value in keys.items() if key not in SHARED}

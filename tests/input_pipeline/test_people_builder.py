"""The builder of embedded people: its splits, its records, and what interrupted preparations leave behind."""

import itertools
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import psutil
import pytest

from input_pipeline import sources
from input_pipeline.mannequins.builder import PeopleConfig
from input_pipeline.mannequins.people import Person
from scrn_jax.errors import UserError
from scrn_jax.person.regions import label_map_from_bytes

DATA = {
    "name": "mannequins",
    "train_identities": 3,
    "test_identities": 2,
    "views": 3,
    "height": 32,
    "width": 22,
    "seed": 5,
}


def opened(folder, split="train", **options):
    return sources.open_source({**DATA, "dir": str(folder), **options}, split)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    opened(folder)
    return folder


def contents(source):
    """Everything a source holds, in its order, as comparable values."""
    return [
        tuple(value.tobytes() if isinstance(value, np.ndarray) else value for value in vars(pair).values())
        for pair in map(source.read, range(len(source)))
    ]


def identity(name):
    return name.rsplit("_", 1)[0]


def test_all_ordered_pairs_of_views_of_each_identity_are_there_once(prepared):
    source = opened(prepared)
    names = [source.names(index) for index in range(len(source))]
    views = [[f"mannequin_5_{who:05d}_{view:02d}" for view in range(3)] for who in range(3)]
    assert sorted(names) == sorted(pair for one in views for pair in itertools.permutations(one, 2))


def test_no_identity_is_in_both_splits(prepared):
    train, test = (
        {identity(name) for index in range(len(source)) for name in source.names(index)}
        for source in (opened(prepared, "train"), opened(prepared, "test"))
    )
    assert len(train) == 3 and len(test) == 2 and not train & test


def test_a_record_holds_what_the_renderer_drew(prepared):
    source = opened(prepared)
    pair = source.read(0)
    _, _, who, view = pair.target_name.split("_")
    drawn = Person.sample(seed=5, identity=int(who)).view(int(view), height=32, width=22)
    assert np.array_equal(label_map_from_bytes(pair.target_parsing, "x"), drawn.labels)
    assert np.array_equal(pair.target_pose, drawn.joints)
    assert np.array_equal(pair.face_box, drawn.face_box)


def test_what_is_prepared_is_not_rendered_again(prepared):
    before = {file: file.stat().st_mtime_ns for file in prepared.rglob("*.array_record*")}
    opened(prepared)
    assert {file: file.stat().st_mtime_ns for file in prepared.rglob("*.array_record*")} == before


def test_other_people_get_another_folder(prepared):
    first = contents(opened(prepared, "test"))
    other = contents(opened(prepared, "test", seed=6))
    assert first != other
    assert contents(opened(prepared, "test")) == first


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def test_a_killed_preparation_leaves_no_data_set_and_the_next_one_equals_an_undisturbed_one(prepared, tmp_path):
    program = f"""
        from input_pipeline import sources
        sources.open_source({DATA | {"dir": str(tmp_path)}!r}, "train")
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stderr=subprocess.DEVNULL)
    wait_for(lambda: list(tmp_path.rglob("incomplete.*")) and psutil.Process(process.pid).children())
    children = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert list(tmp_path.rglob("incomplete.*"))
    with pytest.raises(UserError, match="no prepared data set"):
        sources.open_source({"name": "records", "dir": str(tmp_path)}, "train")
    wait_for(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children))
    assert contents(opened(tmp_path)) == contents(opened(prepared))


def test_leftovers_are_removed_by_the_next_preparation(tmp_path):
    people = tmp_path / "mannequins" / "2-1x2_32x22_seed5"
    (people / "incomplete.ABCDEF_1.0.0").mkdir(parents=True)
    opened(tmp_path, train_identities=2, test_identities=1, views=2)
    assert [entry.name for entry in people.iterdir()] == ["1.0.0"]


def test_rendering_processes_import_neither_tensorflow_nor_the_main_program():
    program = """
        import sys
        import input_pipeline.mannequins.people
        assert not {"tensorflow", "tensorflow_datasets", "jax"} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"file/people.*config\.data\.dir"):
        opened(tmp_path / "file" / "people")


@pytest.mark.parametrize(("key", "value"), [("views", 1), ("train_identities", 0), ("height", "64"), ("test_from", -1)])
def test_numbers_that_make_no_data_set_are_refused(tmp_path, key, value):
    with pytest.raises(UserError, match=f"config.data.{key}"):
        opened(tmp_path, **{key: value})


@pytest.mark.parametrize(
    ("test_from", "train", "test"),
    [(None, [0, 1, 2], [3, 4]), (0, [2, 3, 4], [0, 1]), (1, [0, 3, 4], [1, 2]), (9, [0, 1, 2], [9, 10])],
)
def test_the_same_people_test_whatever_is_trained_on(test_from, train, test):
    people = PeopleConfig(train_identities=3, test_identities=2, test_from=test_from)
    assert people.identities() == {"train": train, "test": test}


def test_test_people_of_ones_own_choice_are_another_folder():
    assert PeopleConfig(test_from=3).name() == f"{PeopleConfig().name()}_test3"

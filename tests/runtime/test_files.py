"""Files from outside are read within bounds: no pipe is waited for, no size believed, no text unfolds without end."""

import errno
import io
import os
import socket
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from scrn_jax.errors import UserError
from scrn_jax.runtime import file_bytes, files

MEBIBYTE = 1 << 20


def pipe(path):
    os.mkfifo(path)


def link_to_a_pipe(path):
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


def link_to_a_device(path):
    path.symlink_to("/dev/zero")


def listening_socket(path):
    socket.socket(socket.AF_UNIX).bind(os.path.relpath(path))


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (pipe, "a pipe"),
        (link_to_a_pipe, "a pipe"),
        (link_to_a_device, "a device"),
        (listening_socket, "a socket"),
        (os.mkdir, "a folder"),
    ],
)
@pytest.mark.parametrize(
    "read", [file_bytes.read_bytes, files.read_json, files.read_lines, lambda p: files.Stored(p).read()]
)
def test_what_is_no_regular_file_is_refused_before_it_is_opened(tmp_path, monkeypatch, make, kind, read):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    make(tmp_path / "a.jpg")
    with pytest.raises(UserError, match=rf"a\.jpg: cannot be read \({kind}, not a file\)"):
        read(str(tmp_path / "a.jpg"))


def test_a_pipe_called_zip_is_refused(tmp_path):
    os.mkfifo(tmp_path / "img.zip")
    with pytest.raises(UserError, match=r"img\.zip: no zip archive \(a pipe"):
        files.open_archive(str(tmp_path / "img.zip"))


def test_a_link_to_a_file_is_read(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "b").symlink_to("a")
    assert file_bytes.read_bytes(tmp_path / "b") == b"abc"


def test_a_file_larger_than_its_limit_is_refused_before_it_is_read(tmp_path):
    with (tmp_path / "a.png").open("wb") as stream:
        stream.truncate(1 << 40)  # a terabyte of nothing, on no disk
    with pytest.raises(UserError, match=r"a\.png: cannot be read \(larger than 128 MiB\)"):
        file_bytes.read_bytes(tmp_path / "a.png")


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"x: cannot be read \(No such file.*\); restore"):
        file_bytes.read_bytes(tmp_path / "x")


@pytest.mark.parametrize(
    "text", ["[" + "[]," * (6 * MEBIBYTE) + "0]", '{"":' * (3 * MEBIBYTE), "[" + "0," * (20 * MEBIBYTE) + "0]"]
)
def test_json_that_would_unfold_to_gigabytes_is_refused_before_it_does(tmp_path, monkeypatch, text):
    monkeypatch.setattr(files, "parse_json", None)  # is not come to
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=r"a\.json: would take \d+ MiB once read, at most 512; split it"):
        files.read_json(tmp_path / "a.json")


def test_a_table_of_millions_of_rows_is_refused(tmp_path):
    (tmp_path / "pairs.csv").write_text("from,to\n" + "a,b\n" * (2 * files.TABLE_ROWS))
    with pytest.raises(UserError, match=r"pairs\.csv: 1,048,577 lines, at most 524,288 are read"):
        files.read_table(tmp_path / "pairs.csv", ("from", "to"))


def test_problems_are_collected_up_to_a_bound(tmp_path):
    (tmp_path / "pairs.csv").write_text("from,to\n" + "a\n" * (2 * files.MOST_PROBLEMS))
    problems = []
    with pytest.raises(UserError, match=r"line 10002: has fewer fields .*\(and 10,000 before it\); mend these first"):
        files.read_table(tmp_path / "pairs.csv", ("from", "to"), problems)
    assert len(problems) == files.MOST_PROBLEMS + 1


def archive(path, data=b"abc", name="a.jpg", **changes):
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_DEFLATED
    for key, value in changes.items():
        setattr(info, key, value)
    with zipfile.ZipFile(path, "w") as stream:
        stream.writestr(info, data)
    return str(path)


def member(path, name="a.jpg"):
    return files.Stored(path, name).read()


def test_a_member_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    path = archive(tmp_path / "bomb.zip", bytes(4 * MEBIBYTE))
    assert os.path.getsize(path) < 10_000
    monkeypatch.setattr(files, "PICTURE_BYTES", MEBIBYTE)
    with pytest.raises(UserError, match=r"bomb\.zip, a\.jpg: claims 4,194,304 bytes, at most 1 MiB"):
        member(path)


@pytest.mark.parametrize("name", ["../../a.jpg", "/etc/a.jpg", "C:/a.jpg", "a.jpg/../../b.jpg"])
def test_a_members_name_is_never_a_path(tmp_path, name):
    path = archive(tmp_path / "a.zip", b"abc", name)
    assert member(path, files.open_archive(path).namelist()[0]) == b"abc"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.zip"]


def test_a_member_that_is_a_link_is_its_text(tmp_path):
    path = archive(tmp_path / "a.zip", b"/etc/passwd", external_attr=(stat.S_IFLNK | 0o777) << 16, create_system=3)
    assert member(path) == b"/etc/passwd"


def test_a_list_of_members_of_gigabytes_is_not_read(tmp_path):
    path = archive(tmp_path / "a.zip")
    with open(path, "rb") as stream:
        end = bytearray(stream.read()[-22:])
    end[12:20] = struct.pack("<II", 1 << 30, 0)
    with open(path, "wb") as stream:
        stream.truncate(1 << 30)
        stream.seek(0, io.SEEK_END)
        stream.write(end)
    with pytest.raises(UserError, match="its list of members takes 1073741824 bytes, at most 33554432"):
        files.open_archive(path)


def test_an_archive_that_was_replaced_is_opened_anew(tmp_path):
    path = archive(tmp_path / "a.zip", b"old")
    assert member(path) == b"old"
    os.replace(archive(tmp_path / "b.zip", b"new"), path)
    assert member(path) == b"new"


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_that_fills_while_a_file_is_written_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    file = tmp_path / "a.json"
    file.write_text("before")
    told = r"a\.json: cannot be written \(No space left.*give another place"
    with pytest.raises(UserError, match=told), files.written_whole(file):
        full()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(UserError, match=told), files.written_whole(file) as temporary:
            temporary.write_text("after")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"] and file.read_text() == "before"


@pytest.mark.parametrize("look", [files.check_writable, lambda path: files.written_whole(path).__enter__()])
@pytest.mark.parametrize("place", ["folder", "file/below", "a\0b"])
def test_a_place_that_cannot_be_written_is_told_before_any_work(tmp_path, look, place):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="cannot be written"):
        look(tmp_path / place)
    assert {path.name for path in tmp_path.rglob("*")} == {"folder", "file"}


def test_looking_leaves_nothing_behind(tmp_path):
    files.check_writable(tmp_path / "new" / "page.html")
    assert not list(tmp_path.iterdir())


def test_a_fault_of_another_file_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError), files.written_whole(tmp_path / "a.json"):
        (tmp_path / "absent").read_text()

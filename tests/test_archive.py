"""Unpacking archives that may bite: all inside one folder, or nothing at all."""

import stat

import pytest
from archives import montgomery_zip, zip_of

from lungseg.datasets import archive
from lungseg.errors import DataError

ESCAPES = {
    "climbs": zip_of(("../../x", b"!")),
    "climbs inside": zip_of(("a/../../x", b"!")),
    "absolute": zip_of(("/x", b"!")),
    "drive": zip_of(("C:/x", b"!")),
    "backslash": zip_of(("..\\..\\x", b"!")),
    "newline": zip_of(("a\nb", b"!")),
    "symbolic link": zip_of(("x", b"/etc/passwd"), mode=stat.S_IFLNK | 0o777),
    "device": zip_of(("x", b""), mode=stat.S_IFCHR | 0o666),
    "pipe": zip_of(("x", b""), mode=stat.S_IFIFO | 0o666),
    "file as folder": zip_of(("x", b"!"), ("x/y", b"!")),
    "bomb": zip_of(("x", bytes(10**6))),
    "not a zip": b"PK\3\4 and then nothing",
}


@pytest.mark.parametrize("data", ESCAPES.values(), ids=ESCAPES)
def test_a_hostile_archive_writes_nothing(data, tmp_path):
    path = tmp_path / "inner" / "set.zip"
    path.parent.mkdir()
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"set\.zip: .*nothing was unpacked"):
        archive.unpack(path, path.parent / "out")
    assert sorted(tmp_path.rglob("*")) == [path.parent, path]


@pytest.mark.parametrize("flipped", range(30, 60, 7))
def test_a_damaged_archive_writes_nothing(flipped, tmp_path):
    damaged = bytearray(montgomery_zip(tmp_path))
    damaged[damaged.index(b"IHDR") + flipped] ^= 0xFF
    (tmp_path / "set.zip").write_bytes(damaged)
    with pytest.raises(DataError, match="damaged"):
        archive.unpack(tmp_path / "set.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_too_many_members_and_doubled_members_are_refused(tmp_path):
    path = tmp_path / "set.zip"
    path.write_bytes(zip_of(("a", b""), ("b", b""), ("./a", b"")))
    with pytest.raises(DataError, match=r"'\./a' occurs twice"):
        archive.unpack(path, tmp_path / "out")
    with pytest.raises(DataError, match="3 members, at most 2"):
        archive.unpack(path, tmp_path / "out", limits=archive.Limits(members=2))


def test_permissions_are_not_taken_over(tmp_path):
    path = tmp_path / "set.zip"
    path.write_bytes(zip_of(("x", b"!"), mode=stat.S_IFREG | stat.S_ISUID | 0o777))
    archive.unpack(path, tmp_path / "out")
    assert not (tmp_path / "out" / "x").stat().st_mode & 0o7111

"""Unpacking archives that may bite: all inside one folder, or nothing at all."""

import io
import stat
import tarfile

import pytest
from archives import montgomery_zip, zip_of

from lungseg import download
from lungseg.errors import DataError


def tar_with_a_device() -> bytes:
    """Only zip files are unpacked, so a tar is refused whatever it holds."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        member = tarfile.TarInfo("x")
        member.type, member.devmajor, member.devminor = tarfile.CHRTYPE, 1, 5
        tar.addfile(member)
    return data.getvalue()


ESCAPES = {
    "climbs": ("F97", zip_of(("../../x", b"!"))),
    "climbs inside": ("F97", zip_of(("a/../../x", b"!"))),
    "absolute": ("F97", zip_of(("/x", b"!"))),
    "drive": ("F97", zip_of(("C:/x", b"!"))),
    "backslash": ("F97", zip_of(("..\\..\\x", b"!"))),
    "newline": ("F97", zip_of(("a\nb", b"!"))),
    "symbolic link": ("F97", zip_of(("x", b"/etc/passwd"), mode=stat.S_IFLNK | 0o777)),
    "device": ("F99", zip_of(("x", b""), mode=stat.S_IFCHR | 0o666)),
    "block device": ("F99", zip_of(("x", b""), mode=stat.S_IFBLK | 0o666)),
    "pipe": ("F99", zip_of(("x", b""), mode=stat.S_IFIFO | 0o666)),
    "socket": ("F99", zip_of(("x", b""), mode=stat.S_IFSOCK | 0o666)),
    "file as folder": ("F97", zip_of(("x", b"!"), ("x/y", b"!"))),
    "bomb": ("F98", zip_of(("x", bytes(10**6)))),
    "bomb of many": ("F98", zip_of(*[(f"x{k}", bytes(10**5)) for k in range(30)])),
    "not a zip": ("F100", b"PK\3\4 and then nothing"),
    "tar with a device": ("F99", tar_with_a_device()),
}


@pytest.mark.parametrize(
    "data", [pytest.param(data, id=name, marks=pytest.mark.fault(fault)) for name, (fault, data) in ESCAPES.items()]
)
def test_a_hostile_archive_writes_nothing(data, tmp_path):
    path = tmp_path / "inner" / "set.zip"
    path.parent.mkdir()
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"set\.zip: .*nothing was unpacked"):
        download.unpack(path, path.parent / "out")
    assert sorted(tmp_path.rglob("*")) == [path.parent, path]


@pytest.mark.fault("F100")
@pytest.mark.parametrize("flipped", range(30, 60, 7))
def test_a_damaged_archive_writes_nothing(flipped, tmp_path):
    damaged = bytearray(montgomery_zip(tmp_path))
    damaged[damaged.index(b"IHDR") + flipped] ^= 0xFF
    (tmp_path / "set.zip").write_bytes(damaged)
    with pytest.raises(DataError, match="damaged"):
        download.unpack(tmp_path / "set.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.fault("F98")
def test_an_archive_within_an_archive_stays_one(tmp_path):
    """A nested bomb is never opened: its members are data, not archives to go on with."""
    inner = zip_of(("y", bytes(10**6)))
    path = tmp_path / "set.zip"
    path.write_bytes(zip_of(("inner.zip", inner)))
    download.unpack(path, tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").rglob("*")] == ["inner.zip"]
    assert (tmp_path / "out" / "inner.zip").read_bytes() == inner


@pytest.mark.fault("F98")
def test_too_many_members_and_doubled_members_are_refused(tmp_path):
    path = tmp_path / "set.zip"
    path.write_bytes(zip_of(("a", b""), ("b", b""), ("./a", b"")))
    with pytest.raises(DataError, match=r"'\./a' occurs twice"):
        download.unpack(path, tmp_path / "out")
    with pytest.raises(DataError, match="3 members, at most 2"):
        download.unpack(path, tmp_path / "out", limits=download.ArchiveLimits(members=2))


@pytest.mark.fault("F97")
def test_permissions_are_not_taken_over(tmp_path):
    path = tmp_path / "set.zip"
    path.write_bytes(zip_of(("x", b"!"), mode=stat.S_IFREG | stat.S_ISUID | 0o777))
    download.unpack(path, tmp_path / "out")
    assert not (tmp_path / "out" / "x").stat().st_mode & 0o7111

"""Which files `predict` takes from the paths that it is given, and what it says of the others."""

from __future__ import annotations

import os

import dicom_files
import pytest
from predicted import picture, rows, run, write

from lungseg import inputs, prediction
from lungseg.errors import DataError, UsageError
from lungseg.inputs import Item

pytestmark = pytest.mark.usefixtures("own_environment")


@pytest.mark.parametrize("name", ["Bildschirmfoto 3.45\u202fPM.png", "\u80ba\u3000\u6b63\u9762.png", "a\u00a0b.png"])
def test_a_name_with_other_spaces_is_that_of_its_mask(tmp_path, name):
    write(tmp_path / "in" / name, picture(0))
    out = tmp_path / "out"
    run([tmp_path / "in"], out)
    (row,) = rows(out)
    assert row["file"] == name
    assert (out / row["mask"]).is_file()


def test_a_folder_that_cannot_be_listed_is_named_and_links_are_followed_once(tmp_path, monkeypatch):
    write(tmp_path / "set" / "a.png", picture(0))
    write(tmp_path / "elsewhere" / "b.png", picture(1))
    (tmp_path / "set" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "round").symlink_to(tmp_path / "set")
    (tmp_path / "set" / ".hidden").mkdir()
    write(tmp_path / "set" / ".hidden" / "c.png", picture(2))
    result = inputs.items([str(tmp_path / "set")], tmp_path / "out")
    assert [item.name for item in result] == ["a.png", "link/b.png"]
    (tmp_path / "set" / "locked").mkdir()
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # a mode would not keep root out
    with pytest.raises(DataError, match=r"locked: cannot be listed \(Permission denied\)"):
        inputs.items([str(tmp_path / "set")], tmp_path / "out")


@pytest.mark.parametrize(("text", "words"), [("", "an empty path"), ("~nobody-of-that-name/x.png", "no home folder")])
def test_an_input_that_is_no_path_is_told(text, words, tmp_path):
    with pytest.raises(UsageError, match=words):
        inputs.items([text], tmp_path / "out")


def test_two_files_of_one_name_are_named_together(tmp_path):
    for folder in ("x", "y"):
        for name in ("one.png", "two.png"):
            write(tmp_path / folder / name, picture(0))
    with pytest.raises(UsageError, match=r"x/one\.png and .*y/one\.png have the same name"):
        inputs.items([str(tmp_path / "x"), str(tmp_path / "y")], tmp_path / "out")


def test_a_name_too_long_for_its_outputs_fails_alone_before_any_prediction(tmp_path):
    """A file system's names end at 255 bytes; an umlaut has two of them."""
    longest = "\u00fc" * 123  # and _mask.png: 255 bytes
    for k, name in enumerate(("a", longest, longest + "b")):
        write(tmp_path / "in" / f"{name}.png", picture(k))
    details = []
    tally = run([tmp_path / "in"], tmp_path / "out", watch=lambda *of: details.append(of[:2]))
    assert (tally.done, tally.failed) == (2, 1)
    assert details[0][0].stem == longest + "b"
    assert "have up to 256 bytes, where" in details[0][1]
    assert "rename the file" in details[0][1]
    assert [row["status"] for row in rows(tmp_path / "out")] == ["ok", "ok", "error"]
    assert run([tmp_path / "in"], tmp_path / "out", skip_existing=True).skipped == 2
    more = prediction.Wanted(probabilities=True)  # names of these are longer
    assert run([tmp_path / "in"], tmp_path / "more", more).failed == 2


@pytest.mark.parametrize("longest", [-1, 0])
def test_a_file_system_that_tells_no_longest_name_is_written_to(tmp_path, monkeypatch, longest):
    write(tmp_path / "a.png", picture(0))
    monkeypatch.setattr(prediction.os, "pathconf", lambda *_: longest)
    assert run([tmp_path / "a.png"], tmp_path / "out").done == 1


def test_folders_and_globs_find_what_is_there_and_not_what_was_written(tmp_path):
    for name in ("a.png", "sub/b.TIF", "sub/c.dcm", ".hidden/d.png", "e.txt", ".f.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a_mask.png").touch()
    out = tmp_path / "out"
    names = [item.name for item in inputs.items([str(tmp_path)], out)]
    assert names == ["a.png", "sub/b.TIF", "sub/c.dcm"]
    assert [item.name for item in inputs.items([str(tmp_path / "**/*.png")], out)] == ["a.png"]
    twice = inputs.items([str(tmp_path), str(tmp_path / "a.png")], out)
    assert [item.stem for item in twice] == ["a", "sub/b", "sub/c"]
    (tmp_path / "[1].png").touch()
    assert inputs.items([str(tmp_path / "[1].png")], out) == [Item(tmp_path / "[1].png", "[1].png", "[1]")]
    (tmp_path / "nothing").mkdir()
    for given, match in ((tmp_path / "none.png", "no such file"), (tmp_path / "*.gif", "matches no file"),
                         (tmp_path / "nothing", "holds no file")):  # fmt: skip
        with pytest.raises(DataError, match=match):
            inputs.items([str(given)], out)
    for given in (out, out / "*.png"):
        with pytest.raises(UsageError, match="is the folder of the images"):
            inputs.items([str(given)], out)
    assert [item.name for item in inputs.items([str(tmp_path / "sub")], tmp_path)] == ["b.TIF", "c.dcm"]


def test_dicom_files_without_an_ending_are_found_in_a_folder(tmp_path):
    """As archives name them on a disc; the directory of it and other files are passed over."""
    for name in ("IM000001", "DICOM/1.2.840.7", "DICOM/1.2.840.8", "DICOMDIR", "DICOM/dicomdir", ".IM2"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(bytes(128) + b"DICM")
    (tmp_path / "README").write_bytes(bytes(128) + b"DICO")
    os.mkfifo(tmp_path / "pipe")
    result = inputs.items([str(tmp_path)], tmp_path / "out")
    assert [item.name for item in result] == ["DICOM/1.2.840.7", "DICOM/1.2.840.8", "IM000001"]
    assert [item.stem for item in result] == [item.name for item in result]


def test_dicom_reports_without_an_ending_are_passed_over_and_images_cut_off_are_not(tmp_path):
    pytest.importorskip("pydicom")
    from pydicom import dcmread, uid

    path = dicom_files.write(tmp_path / "whole", picture(0))
    for name, kind in (
        ("report", uid.BasicTextSRStorage),
        ("contours", uid.RTStructureSetStorage),
        ("lost", uid.DigitalXRayImageStorageForPresentation),
        ("private", "1.2.3.4.5"),
    ):
        dataset = dcmread(path)
        dataset.SOPClassUID = kind
        for tag in ("PixelData", "Rows", "Columns"):
            delattr(dataset, tag)
        dataset.save_as(tmp_path / name)
    (tmp_path / "cut").write_bytes(path.read_bytes()[:-500])
    result = inputs.items([str(tmp_path)], tmp_path / "out")
    assert [item.name for item in result] == ["cut", "lost", "private", "whole"]
    given = inputs.items([str(tmp_path / "report")], tmp_path / "out")
    assert [item.name for item in given] == ["report"], "what is named is read, and refused in words"


@pytest.mark.parametrize("given", ["", "**/*.png"])
def test_what_earlier_runs_wrote_into_other_folders_is_not_read(tmp_path, given):
    """``predict .`` after ``cd sub; predict x``, whose masks lie in ``sub/lungs``."""
    write(tmp_path / "a.png", picture(0))
    write(tmp_path / "sub" / "x" / "part" / "g8.png", picture(1))
    wanted = prediction.Wanted(overlays=True, sides=True)
    run([tmp_path / "sub" / "x"], tmp_path / "sub" / "lungs", wanted)
    write(tmp_path / "sub" / "lungs" / "part" / "mine.png", picture(2))
    details = []
    result = inputs.items([str(tmp_path / given)], tmp_path / "out", details.append)
    names = {item.path.relative_to(tmp_path).as_posix() for item in result}
    assert names == {"a.png", "sub/x/part/g8.png", "sub/lungs/part/mine.png"}
    assert details == [f"{tmp_path / given}: left out of its files: 4 that earlier runs wrote"]
    mask = tmp_path / "sub" / "lungs" / "part" / "g8_mask.png"
    assert [item.path for item in inputs.items([str(mask)], tmp_path / "out")] == [mask], "what is named is read"


def test_a_table_of_that_name_that_is_another_hides_nothing(tmp_path):
    write(tmp_path / "a.png", picture(0))
    (tmp_path / "lungs.csv").write_text("file,mask\nb.png,a.png\n")
    assert [item.name for item in inputs.items([str(tmp_path)], tmp_path / "out")] == ["a.png"]


def test_files_of_other_endings_are_counted(tmp_path):
    write(tmp_path / "a.png", picture(0))
    (tmp_path / "IM1").write_bytes((tmp_path / "a.png").read_bytes())
    for name in ("b.bmp", "c.BMP", "d.gif", "e.webp", "f.txt", "g.xml", "h.avi", ".hidden"):
        (tmp_path / name).touch()
    details = []
    inputs.items([str(tmp_path)], tmp_path / "out", details.append)
    words = "2 .bmp, 1 without an ending, 1 .avi, 1 .gif, 1 .txt, 2 of other endings"
    assert details == [f"{tmp_path}: left out of its files: {words}"]
    (tmp_path / "only").mkdir()
    write(tmp_path / "only" / "a.png", picture(0))
    inputs.items([str(tmp_path / "only")], tmp_path / "out", details.append)
    assert len(details) == 1, "of a folder of radiographs there is nothing to say"

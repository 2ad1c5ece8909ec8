"""`lungs.csv`: whose row and mask is whose, over several commands and years of edits by hand."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace

import pytest
from predicted import CARD, bright, outputs, picture, rows, run, write

from lungseg import inputs, prediction, prediction_table
from lungseg.errors import DataError, UsageError

pytestmark = pytest.mark.usefixtures("own_environment")


def test_a_mask_of_an_earlier_run_is_not_replaced_by_one_of_another_file(tmp_path):
    """``a.png`` and ``a.jpg`` would both have ``a_mask.png``, and the table would tell of one mask as if of two."""
    write(tmp_path / "a.png", picture(0))
    write(tmp_path / "a.jpg", picture(1))
    out = tmp_path / "out"
    run([tmp_path / "a.png"], out)
    before = outputs(out)
    for more in ({}, {"skip_existing": True}):
        with pytest.raises(UsageError, match=r"a_mask.png: is the mask of a.png, which that of a.jpg would replace"):
            run([tmp_path / "a.jpg"], out, **more)
    assert outputs(out) == before
    run([tmp_path / "a.png", tmp_path / "a.jpg"], out)  # as the message says
    assert {row["file"]: row["mask"] for row in rows(out)} == {"a.png": "a.png_mask.png", "a.jpg": "a.jpg_mask.png"}
    assert outputs(out)["a_mask.png"] == before["a_mask.png"]


@pytest.mark.parametrize("more", [{}, {"skip_existing": True}])
def test_a_mask_is_not_replaced_by_one_of_another_image_of_the_same_name(tmp_path, more):
    """``for study in */; do lungseg predict $study; done``, where each study has its ``1.dcm``."""
    for k, study in enumerate(("one", "two")):
        write(tmp_path / study / "1.png", picture(k))
    out = tmp_path / "out"
    run([tmp_path / "one"], out)
    before = outputs(out)
    with pytest.raises(UsageError, match=r"1_mask\.png: is the mask of another image named 1\.png.*two/1\.png would"):
        run([tmp_path / "two"], out, **more)
    assert outputs(out) == before
    assert run([tmp_path / "one"], out, **more).failed == 0  # the same image
    assert outputs(out) == before
    (out / "1_mask.png").unlink()  # as the message says
    assert run([tmp_path / "two"], out, **more).done == 1
    assert outputs(out)["1_mask.png"] != before["1_mask.png"]
    sha256 = hashlib.sha256((tmp_path / "two" / "1.png").read_bytes()).hexdigest()
    assert [row["input_sha256"] for row in rows(out)] == [sha256]


def test_a_file_that_no_earlier_run_wrote_is_not_replaced(tmp_path):
    """Shenzhen's own masks are named as a prediction's are: ``mask/<name>_mask.png``."""
    write(tmp_path / "in" / "scan.png", picture(0))
    write(tmp_path / "mask" / "scan_mask.png", picture(1))
    drawn = (tmp_path / "mask" / "scan_mask.png").read_bytes()
    with pytest.raises(UsageError, match=r"scan_mask\.png: exists, and no lungs\.csv beside it"):
        run([tmp_path / "in"], tmp_path / "mask")
    assert outputs(tmp_path / "mask") == {"scan_mask.png": drawn}


def test_a_run_cut_off_before_its_first_mask_keeps_the_rows_of_the_earlier(tmp_path, monkeypatch):
    for name in ("a.png", "b.png"):
        write(tmp_path / "in" / name, picture(0))
    out = tmp_path / "out"
    run([tmp_path / "in"], out)
    before = rows(out)

    def cut(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(prediction, "_read", cut)
        with pytest.raises(KeyboardInterrupt):
            run([tmp_path / "in"], out)
    assert rows(out) == before
    assert run([tmp_path / "in"], out, skip_existing=True).skipped == 2


def test_of_a_file_that_is_damaged_now_the_table_still_says_whose_the_earlier_mask_is(tmp_path):
    write(tmp_path / "one" / "1.png", picture(0))
    write(tmp_path / "two" / "1.png", picture(1))
    out, sound = tmp_path / "out", (tmp_path / "one" / "1.png").read_bytes()
    run([tmp_path / "one"], out)
    (first,) = rows(out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prediction.radiograph, "read", failing)
        assert run([tmp_path / "one"], out).failed == 1
    (row,) = rows(out)
    assert (row["status"], row["mask"], row["input_sha256"]) == ("error", "1_mask.png", first["input_sha256"])
    with pytest.raises(UsageError, match="is the mask of another image"):
        run([tmp_path / "two"], out)
    assert (tmp_path / "one" / "1.png").read_bytes() == sound
    assert run([tmp_path / "one"], out, skip_existing=True).done == 1


def failing(path):
    raise DataError(f"{path}: the disk gave up")


def test_a_name_that_a_spreadsheet_would_run_is_no_formula(tmp_path):
    write(tmp_path / "=cmd|' /C calc'!A0.png", picture(0))
    run([tmp_path], tmp_path / "out")
    text = (tmp_path / "out" / "lungs.csv").read_text()
    assert "\n'=cmd" in text
    assert rows(tmp_path / "out")[0]["file"] == "=cmd|' /C calc'!A0.png"
    assert run([tmp_path], tmp_path / "out", skip_existing=True).skipped == 1


def test_rows_of_other_files_stay_and_one_done_again_is_told_once(tmp_path):
    for k, name in enumerate(("a.png", "b.png", "new\nline.png")):
        write(tmp_path / name, picture(k))
    out = tmp_path / "out"
    run([tmp_path / "a.png"], out)
    run([tmp_path / "b.png"], out)
    run([tmp_path / "a.png"], out)
    assert [row["file"] for row in rows(out)] == ["b.png", "a.png"]
    run([tmp_path / "new\nline.png"], out)
    assert [row["file"] for row in rows(out)] == ["b.png", "a.png", "new line.png"]
    assert run([tmp_path / "new\nline.png"], out, skip_existing=True).skipped == 1
    (tmp_path / "a.png").write_bytes(b"no longer an image")
    (out / "a_mask.png").unlink()
    run([tmp_path / "a.png"], out)
    assert [(row["file"], row["status"]) for row in rows(out)][-1] == ("a.png", "error")


@pytest.mark.parametrize(
    "text",
    [
        b"another,table\n1,2\n",
        b"file;status;remarks\na.png;ok;effusion\n",
        f"{','.join(prediction_table.COLUMNS)}\nb.png,ok{',' * 16}effusion, left\nc.png,ok{',' * 15}\n".encode(),
        f"{','.join(prediction_table.COLUMNS)}\nb.png,entz\u00fcndet{',' * 15}\n".encode("latin-1"),
    ],
)
def test_a_table_that_somebody_edited_is_not_replaced(tmp_path, text):
    write(tmp_path / "a.png", picture(0))
    table = tmp_path / "out" / "lungs.csv"
    table.parent.mkdir()
    table.write_bytes(text)
    with pytest.raises(UsageError, match=r"lungs\.csv: .* rename it, or choose another --out"):
        run([tmp_path / "a.png"], tmp_path / "out")
    assert table.read_bytes() == text


def test_two_commands_at_once_do_not_drop_each_others_rows(tmp_path, capsys):
    for k, name in enumerate(("a.png", "b.png")):
        write(tmp_path / name, picture(k))
    out = tmp_path / "out"
    other = threading.Thread(target=run, args=([tmp_path / "b.png"], out))

    def begin_another(item, error, tally):
        other.start()
        other.join(0.3)
        assert other.is_alive(), "it waits for this one's end"
        assert not (out / "b_mask.png").exists()

    run([tmp_path / "a.png"], out, watch=begin_another)
    other.join(60)
    assert [row["file"] for row in rows(out)] == ["a.png", "b.png"]
    assert {path.name for path in out.glob("*_mask.png")} == {"a_mask.png", "b_mask.png"}
    assert capsys.readouterr().err == f"{out}: another command predicts into it; waiting for its end\n"


def test_what_somebody_wrote_into_rows_of_other_files_stays(tmp_path):
    for k, name in enumerate(("a.png", "b.png", "c.png")):
        write(tmp_path / name, picture(k))
    (tmp_path / "c.png").write_bytes(b"no image")
    out = tmp_path / "out"
    run([tmp_path], out)
    table = out / "lungs.csv"
    edited = table.read_text().replace("a.png,ok", "a.png,excluded: rotated")
    table.write_text(edited)
    run([tmp_path / "b.png"], out)
    assert sorted(table.read_text().splitlines()) == sorted(edited.splitlines())
    assert run([tmp_path], out, skip_existing=True).skipped == 2, "it is done, whatever was written beside it"
    assert "a.png,excluded: rotated" in table.read_text()


def test_what_another_model_has_segmented_is_not_skipped(tmp_path):
    write(tmp_path / "a.png", picture(0))
    items, out = inputs.items([str(tmp_path / "a.png")], tmp_path / "out"), tmp_path / "out"
    other = replace(CARD, name="other", weights_sha256="f" * 64)

    def again(card, **more):
        return prediction.predict(items, out, card, bright, prediction.Wanted(), skip_existing=True, **more).skipped

    assert [again(CARD), again(CARD), again(other), again(other), again(other, tta=True)] == [0, 1, 0, 1, 0]
    assert [row["model"] for row in rows(out)] == ["other ffffffffffff tta post-processed"]


EVERYTHING = prediction.Wanted(overlays=True, probabilities=True, sides=True)
COMPANIONS = {"a_overlay.png", "a_probability.png", "a_right.png", "a_left.png"}


def speckled(folder):
    """A picture whose mask post-processing changes."""
    pixels = picture(0, (64, 64))
    pixels[60:62, 30:34] = 230
    return write(folder / "a.png", pixels)


def test_what_is_beside_a_mask_belongs_to_it(tmp_path):
    """Masks as the network gives them, then post-processed: overlay and sides of the first would be of another mask."""
    path, out = speckled(tmp_path), tmp_path / "out"
    run([path], out, EVERYTHING, postprocess=False)
    write(out / "a_notes.png", picture(1))  # somebody's own
    assert run([path], out).done == 1
    assert set(outputs(out)) == {"lungs.csv", "a_mask.png", "a_notes.png"}
    (row,) = rows(out)
    assert row["beside"] == ""
    assert run([path], out, EVERYTHING, skip_existing=True).done == 1
    run([path], tmp_path / "once", EVERYTHING)
    once = outputs(tmp_path / "once")
    assert {name: data for name, data in outputs(out).items() if name != "a_notes.png"} == once
    assert set(once) == {"lungs.csv", "a_mask.png"} | COMPANIONS
    assert run([path], out, EVERYTHING, skip_existing=True).skipped == 1
    assert run([path], out, skip_existing=True).skipped == 1, "all that is asked for is there"


def test_a_file_that_no_run_wrote_is_neither_removed_nor_taken_for_a_companion(tmp_path):
    path, out = speckled(tmp_path), tmp_path / "out"
    run([path], out, postprocess=False)
    drawn = write(out / "a_right.png", picture(1)).read_bytes()
    run([path], out)
    assert (out / "a_right.png").read_bytes() == drawn
    assert run([path], out, prediction.Wanted(sides=True), skip_existing=True).done == 1


def test_the_same_mask_keeps_what_is_beside_it(tmp_path):
    path, out = speckled(tmp_path), tmp_path / "out"
    run([path], out, prediction.Wanted(sides=True))
    assert run([path], out, prediction.Wanted(overlays=True, longest=30), skip_existing=True).done == 1
    assert set(outputs(out)) == {"lungs.csv", "a_mask.png", "a_right.png", "a_left.png", "a_overlay.png"}
    (row,) = rows(out)
    assert row["beside"] == "overlay 30; right; left"
    both = prediction.Wanted(sides=True, overlays=True, longest=30)
    assert run([path], out, both, skip_existing=True).skipped == 1
    (out / "a_left.png").unlink()
    assert run([path], out, both, skip_existing=True).done == 1


def test_an_overlay_of_another_size_is_not_skipped(tmp_path):
    path, out = speckled(tmp_path), tmp_path / "out"
    run([path], out, prediction.Wanted(overlays=True))
    smaller = prediction.Wanted(overlays=True, longest=30)
    assert [run([path], out, smaller, skip_existing=True).done for _ in range(2)] == [1, 0]
    assert [row["beside"] for row in rows(out)] == ["overlay 30"]


def test_a_run_killed_between_a_masks_files_leaves_none_of_two_runs_together(tmp_path, monkeypatch):
    path, out = speckled(tmp_path), tmp_path / "out"
    run([path], out, EVERYTHING, postprocess=False)
    whole = prediction.atomic.write_bytes

    def killed(target, *parts):
        if target.name == "a_left.png":
            raise KeyboardInterrupt
        whole(target, *parts)

    with monkeypatch.context() as patch:
        patch.setattr(prediction.atomic, "write_bytes", killed)
        with pytest.raises(KeyboardInterrupt):
            run([path], out, EVERYTHING)
    assert "a_mask.png" not in outputs(out)
    assert run([path], out, EVERYTHING, skip_existing=True, postprocess=False).done == 1


def test_what_was_written_beside_a_mask_and_is_an_input_now_is_not_removed(tmp_path):
    path, out = speckled(tmp_path), tmp_path / "out"
    run([path], out, prediction.Wanted(sides=True), postprocess=False)
    with pytest.raises(UsageError, match=r"a_right\.png: would replace the input"):
        run([path, out / "a_right.png"], out)
    assert (out / "a_right.png").exists()


def test_a_file_that_fails_now_keeps_what_the_table_says_is_beside_its_mask(tmp_path):
    path, out = speckled(tmp_path), tmp_path / "out"
    run([path], out, prediction.Wanted(sides=True), postprocess=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prediction.radiograph, "read", failing)
        assert run([path], out).failed == 1
    assert [row["beside"] for row in rows(out)] == ["right; left"]
    run([path], out)
    assert set(outputs(out)) == {"lungs.csv", "a_mask.png"}

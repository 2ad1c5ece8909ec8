"""Pictures whose mask is plain, the network that finds it, and what `predict` makes of them, for tests of it."""

from __future__ import annotations

import cv2
import dicom_files
import model_folders
import numpy as np
import pytest

from lungseg import csv_file, inputs, prediction, prediction_table

USUAL = {"mean": [0.0, 1.0], "standard_deviation": [0.0, 1.0], "lung_share": [0.0, 1.0]}
CARD = model_folders.card([np.zeros(1, np.float32)], size=(32, 32), exposure=USUAL)
BROKEN = {
    "empty.png": b"", "text.png": b"not an image", "cut.png": None, "start.jpg": b"\xff\xd8\xff", "page.tif": b"II*\0",
    "report.dcm": b"no prefix", "nul.png": bytes(100), "html.jpg": b"<html>404</html>", "zip.png": b"PK\3\4" * 9,
    "claims.png": None, "colour.png": None, "tail.jpg": None, "deep.tif": None, "gif.png": b"GIF89a" + bytes(40),
    "pdf.png": b"%PDF-1.7", "bmp.png": b"BM" + bytes(60), "webp.png": b"RIFF0000WEBP", "crc.png": None,
    "multi.dcm": None, "rgb.dcm": None,
}  # fmt: skip


def bright(images):
    """A network that finds lung where the picture is bright; its probability is the grey itself."""
    assert images.shape[1:] == (32, 32)
    assert images.dtype == np.float32
    return images


def picture(k, size=(60, 44)):
    """Two bright fields on black, another place for each k, and their mask."""
    pixels = np.zeros(size, np.uint8)
    rows, columns = slice(5 + k % 7, size[0] - 10), size[1] // 2
    pixels[rows, 4 : columns - 4] = pixels[rows, columns + 4 : -4] = 230
    return pixels


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(path.suffix, pixels)
    assert done
    path.write_bytes(data.tobytes())
    return path


def rows(out):
    return csv_file.rows((out / "lungs.csv").read_text(), prediction_table.COLUMNS)


def run(given, out, wanted=None, **more):
    result = inputs.items([str(path) for path in given], out)
    return prediction.predict(result, out, CARD, bright, wanted or prediction.Wanted(), **more)


def broken(folder):
    """Twenty files that are broken in twenty ways."""
    good = write(folder / "temporary.png", picture(0)).read_bytes()
    (folder / "temporary.png").unlink()
    for name, data in BROKEN.items():
        if data is not None:
            (folder / name).write_bytes(data)
    (folder / "cut.png").write_bytes(good[: len(good) // 2])
    (folder / "claims.png").write_bytes(good[:16] + bytes([0, 1, 0, 0, 0, 1, 0, 0]) + good[24:])
    (folder / "crc.png").write_bytes(good[:-20] + bytes([good[-20] ^ 1]) + good[-19:])
    colours = np.zeros((40, 30, 3), np.uint8)
    colours[..., 0] = 200
    write(folder / "colour.png", colours)
    write(folder / "tail.jpg", picture(2))
    (folder / "tail.jpg").write_bytes((folder / "tail.jpg").read_bytes()[:-300])
    write(folder / "deep.tif", picture(2).astype(np.float32))
    dicom_files.write(folder / "multi.dcm", picture(1), NumberOfFrames=2, Rows=30)
    dicom_files.write(folder / "rgb.dcm", np.zeros((30, 120), np.uint8), SamplesPerPixel=3, Columns=40,
                      PhotometricInterpretation="RGB", PlanarConfiguration=0)  # fmt: skip


def mixed(folder, good=180):
    pytest.importorskip("pydicom")
    for k in range(good):
        ending = (".png", ".jpg", ".tif", ".dcm")[k % 4]
        path = folder / f"part{k % 3}" / f"good{k:03d}{ending}"
        size = (40 + k % 13, 32 + k % 17)
        if ending == ".dcm":
            path.parent.mkdir(parents=True, exist_ok=True)
            dicom_files.write(path, picture(k, size))
        else:
            write(path, picture(k, size))
    broken(folder)


def outputs(out):
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}

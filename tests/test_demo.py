"""The page to try a model: how it is made, and in a real browser the masks, areas, flags and refusals of Python."""

from __future__ import annotations

import base64
import csv
import hashlib
import html
import io
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import dicom_files
import numpy as np
import pytest

from lungseg import demo, engine, images, inputs, model_folder, prediction
from lungseg.__main__ import main
from lungseg.datasets import phantom
from lungseg.errors import EnvironmentFailure, UsageError

HERE = Path(__file__).resolve().parent
SHELL = "<p><!-- about --></p> <!-- model -->"
DIFFERENT = 2  # pixels of a whole mask that may differ from Python's: those whose probability is 0.5 to the last bits

# -- how it is made --------------------------------------------------------------------------------------------------


def quiet(text):
    pass


def program(folder, name, text):
    """A stand-in for node or npm on the path."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """An empty folder as the path, and an empty cache."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def test_without_node_the_user_is_told_what_to_install(tools, tmp_path, capsys):
    assert main(["demo", str(tmp_path / "page.html")]) == EnvironmentFailure.exit_code
    assert "apt-get install nodejs npm" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


def test_what_npm_says_is_told(tools):
    program(tools, "node", "exit 0")
    program(tools, "npm", "echo npm error code EINTEGRITY >&2; exit 1")
    with pytest.raises(EnvironmentFailure, match=r"npm cannot fetch the page's libraries .*EINTEGRITY"):
        demo.shell(quiet)
    assert not demo.cache().exists(), "nothing half-built is kept"


def test_a_shell_is_built_once_and_a_page_then_made_offline(tools, tmp_path, capsys):
    demo.cache().parent.mkdir(parents=True)
    demo.cache().write_text(SHELL)
    assert main(["demo", str(tmp_path / "page.html")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "page.html")
    graph = re.search(r'id="graph">([^<]*)<', (tmp_path / "page.html").read_text())[1]
    assert base64.b64decode(graph) == model_folder.find("lwnet-128").onnx


@pytest.mark.parametrize("starts", [True, False])
def test_the_page_is_opened_on_request_and_written_in_any_case(tools, tmp_path, monkeypatch, capsys, starts):
    demo.cache().parent.mkdir(parents=True)
    demo.cache().write_text(SHELL)
    requested = []
    monkeypatch.setattr("webbrowser.open", lambda url: requested.append(url) or starts)
    assert main(["demo", str(tmp_path / "page.html"), "--open"]) == 0
    assert requested == [(tmp_path / "page.html").as_uri()]
    assert ("open the file yourself" in capsys.readouterr().err) is not starts
    assert (tmp_path / "page.html").is_file()


def test_other_sources_make_another_shell(tmp_path, monkeypatch):
    before = demo.cache()
    shutil.copytree(demo.SOURCES, tmp_path / "demo")
    monkeypatch.setattr(demo, "SOURCES", tmp_path / "demo")
    assert demo.cache() == before
    with (tmp_path / "demo" / "src" / "lungs.js").open("a") as file:
        file.write("\n")
    assert demo.cache() != before


def test_a_card_cannot_leave_its_place_in_the_page():
    from dataclasses import replace

    card = replace(model_folder.find("lwnet-128").card, name="</script><script>alert(1)</script>")
    page = demo.filled(SHELL, card, b"graph").decode()
    assert "<script>" not in page
    metadata = re.search(r'id="card">(.*?)</script>', page)[1]
    assert json.loads(metadata)["name"] == card.name


def test_a_shell_without_places_is_refused():
    with pytest.raises(EnvironmentFailure, match="has no place for its model; remove"):
        demo.filled("<!-- about -->", model_folder.find("lwnet-128").card, b"")


def test_an_image_is_not_replaced_by_the_page(tmp_path, capsys):
    (tmp_path / "scan.png").write_bytes(b"x")
    assert main(["demo", str(tmp_path / "scan.png")]) == UsageError.exit_code
    assert "expected a file name that ends in .html" in capsys.readouterr().err
    assert (tmp_path / "scan.png").read_bytes() == b"x"


def test_the_picture_of_the_page_shows_the_model_that_ships():
    """Another model, or other words on it: draw the picture anew by tests/tools/demo_picture.py."""
    model = model_folder.find("lwnet-128")
    data = (HERE.parent / "examples" / "demo.png").read_bytes()
    at = data.index(b"tEXtDescription\0")
    length = int.from_bytes(data[at - 4 : at], "big")
    said = data[at + 4 : at + 4 + length].partition(b"\0")[2].decode("latin-1")
    assert said == html.unescape(demo.about(model.card, model.onnx))
    assert hashlib.sha256(model.onnx).hexdigest()[:16] in said


def test_libraries_are_pinned_by_version_and_hash():
    wanted = json.loads((demo.SOURCES / "package.json").read_text())
    locked = json.loads((demo.SOURCES / "package-lock.json").read_text())["packages"]
    for name, version in (wanted["dependencies"] | wanted["devDependencies"]).items():
        assert locked[f"node_modules/{name}"]["version"] == version
    assert all(entry["integrity"].startswith("sha512-") for path, entry in locked.items() if path)
    notices = (demo.SOURCES / "NOTICES.txt").read_text()
    assert notices.startswith(f"onnxruntime-web {wanted['dependencies']['onnxruntime-web']}\n")
    assert f"v{wanted['dependencies']['onnxruntime-web']}/ThirdPartyNotices.txt" in notices


# -- in a browser ----------------------------------------------------------------------------------------------------


def drawn(seed, size):
    return phantom.thorax(seed, size).image


def jpeg_bytes(pixels, orientation=None):
    """A JPEG of uint8 (H, W); orientation: what an Exif segment says of it, which must turn nothing."""
    data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    if orientation is None:
        return data
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01" + bytes([0, orientation, 0, 0]) + bytes(4)
    segment = b"Exif\0\0" + tiff
    return data[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + data[2:]


def write_all(root):
    """Files of every kind that the page reads, and those that it must refuse, by name."""
    bits8 = np.rint(drawn(1, (512, 427)) * 255).astype(np.uint8)
    bits12 = np.rint(drawn(2, (613, 507)) * 4095).astype(np.uint16)
    good = {
        "8-bit.png": bits8,
        "12-in-16-bit.png": bits12,
        "16-bit.png": np.rint(drawn(3, (400, 640)) * 65535).astype(np.uint16),
        "small.png": np.rint(drawn(4, (100, 90)) * 255).astype(np.uint8),
        "wide.png": np.rint(drawn(5, (96, 300)) * 255).astype(np.uint8),
        "grey in colours.png": np.repeat(bits8[..., None], 3, 2),
        "black.png": np.zeros((200, 150), np.uint8),
        "<img src=x onerror=alert(1)>.png": np.rint(drawn(6, (256, 256)) * 255).astype(np.uint8),
    }
    for name, pixels in good.items():
        images.write_png(root / name, pixels)
    (root / "1-bit.png").write_bytes(cv2.imencode(".png", bits8, [cv2.IMWRITE_PNG_BILEVEL, 1])[1].tobytes())
    clear = np.dstack([bits8, bits8, bits8, np.zeros_like(bits8)])
    (root / "see-through.png").write_bytes(cv2.imencode(".png", clear)[1].tobytes())
    (root / "grey.jpg").write_bytes(jpeg_bytes(bits8))
    (root / "turned by exif.jpg").write_bytes(jpeg_bytes(bits8, orientation=6))
    signed = (bits12.astype(np.int32) - 2048).astype(np.int16)
    dicom_files.write(root / "plain.dcm", bits12, BitsStored=12)
    dicom_files.write(root / "mirrored.dcm", bits12, BitsStored=12, PatientOrientation=["R", "F"])
    dicom_files.write(root / "turned.dcm", bits12, BitsStored=12, PatientOrientation=["F", "R"], ViewPosition="LL")
    dicom_files.write(root / "12 bits of 16.dcm", bits12)
    dicom_files.write(
        root / "inverted, window, spacing.dcm", (4095 - bits12).astype(np.uint16), BitsStored=12,
        PhotometricInterpretation="MONOCHROME1", WindowCenter=["2000", "100"], WindowWidth=["3600", "50"],
        PixelSpacing=[0.5, 0.55], ImagerPixelSpacing=[0.6, 0.6],
    )  # fmt: skip
    dicom_files.write(root / "signed, rescaled.dcm", signed, BitsStored=12, RescaleSlope=2, RescaleIntercept=-7)
    dicom_files.write(root / "sigmoid, 8 bit.dcm", bits8, WindowCenter=128, WindowWidth=150, VOILUTFunction="SIGMOID")
    dicom_files.write(
        root / "lookup table.dcm",
        bits12,
        BitsStored=12,
        VOILUTSequence=lookup(),
        Modality="CT",
        RescaleSlope=0.5,
        RescaleIntercept=0,
    )
    dicom_files.write(
        root / "two tables.dcm", bits12, BitsStored=12, ModalityLUTSequence=lookup(), VOILUTSequence=lookup()
    )
    implicit(root / "implicit.dcm", root / "lookup table.dcm")
    whole = (root / "8-bit.png").read_bytes()
    bad = {
        "cut off.png": whole[: len(whole) // 2],
        "flipped.png": whole[:3000] + bytes([whole[3000] ^ 255]) + whole[3001:],
        "huge.png": whole[:16] + (20_000).to_bytes(4, "big") * 2 + whole[24:],
        "empty.png": b"",
        "text.txt": b"no image",
        "text.dcm": b"no image",
        "scan.tif": cv2.imencode(".tif", bits8)[1].tobytes(),
        "cut off.jpg": jpeg_bytes(bits8)[:100],
    }
    for name, data in bad.items():
        (root / name).write_bytes(data)
    with (root / "large.png").open("wb") as file:
        file.truncate((512 << 20) + 1)  # takes no room on the disk
    images.write_png(root / "coloured.png", np.dstack([bits8, bits8, bits8 // 2]))
    data = dicom_files.write(root / "frames.dcm", bits8, NumberOfFrames=2).read_bytes()
    (root / "cut off.dcm").write_bytes(data[: len(data) // 2])
    compressed(root / "compressed.dcm", bits8)
    return [*bad, "large.png", "coloured.png", "frames.dcm", "cut off.dcm", "compressed.dcm"]


def lookup():
    from pydicom.dataset import Dataset

    item = Dataset()
    item.LUTDescriptor, item.LUTData = [4096, 0, 16], (np.linspace(0, 1, 4096) ** 2 * 65535).astype("<u2").tobytes()
    item["LUTDescriptor"].VR, item["LUTData"].VR = "US", "OW"
    return [item]


def implicit(path, source):
    import pydicom

    dataset = pydicom.dcmread(source)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    dataset.save_as(path, implicit_vr=True, little_endian=True)


def compressed(path, pixels):
    import pydicom

    dataset = pydicom.dcmread(dicom_files.write(path, pixels))
    dataset.compress(pydicom.uid.RLELossless)
    dataset.save_as(path)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """What the page and Python said of each file, and what the browser asked for: one browser for all tests."""
    for name, package in (("node", "nodejs"), ("npm", "npm"), ("chromium", "chromium")):
        if shutil.which(name) is None:
            pytest.skip(f"needs {name}: apt-get install {package}")
    pytest.importorskip("onnxruntime", reason="pip install 'lungseg[predict]'")
    pytest.importorskip("pydicom", reason="pip install 'lungseg[dicom]'")
    work, root, out = (tmp_path_factory.mktemp(name) for name in ("work", "files", "out"))
    try:
        shell = demo.build(work, quiet, with_tools=True)
    except EnvironmentFailure as error:
        if "npm cannot fetch" in str(error) and re.search("ENOTFOUND|EAI_AGAIN|ECONN|ETIMEDOUT|network", str(error)):
            pytest.skip(f"needs npm's registry once: {error}")
        raise
    model = model_folder.find("lwnet-128")
    (work / "page.html").write_bytes(demo.filled(shell, model.card, model.onnx))
    bad = write_all(root)
    names = sorted(path.name for path in root.iterdir())
    items = inputs.items([str(root)], out)
    prediction.predict(items, out, model.card, engine.start(model, "onnx"), prediction.Wanted())
    rows = {Path(row["file"]).name: row for row in csv.DictReader(io.StringIO((out / "lungs.csv").read_text()))}
    requested = {
        "page": (work / "page.html").as_uri(),
        "files": [
            {"path": str(root / name), "name": name, "drop": k % 2 == 0 and name != "large.png"}
            for k, name in enumerate(names)
        ],
        "chromium": shutil.which("chromium"),
        "screenshots": os.environ.get("LUNGSEG_SCREENSHOTS"),  # a folder, for whoever wants to look
    }
    done = subprocess.run(
        ["node", HERE / "demo" / "browse.mjs"], cwd=work, input=json.dumps(requested), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return {
        **json.loads(done.stdout),
        "page": requested["page"],
        "python": rows,
        "out": out,
        "bad": bad,
        "names": names,
    }


def good(session):
    return [name for name in session["names"] if name not in session["bad"]]


@pytest.mark.slow
def test_the_browser_asks_for_the_page_and_nothing_else(session):
    assert session["requests"] == [session["page"]]
    assert session["errors"] == []


@pytest.mark.slow
def test_masks_are_those_of_python(session):
    worst = {}
    for name in good(session):
        result = session["results"][name]
        assert "error" not in result, (name, result)
        mask = cv2.imdecode(np.frombuffer(base64.b64decode(result["mask"]), np.uint8), cv2.IMREAD_UNCHANGED)
        expected = cv2.imread(str(session["out"] / session["python"][name]["mask"]), cv2.IMREAD_UNCHANGED)
        assert mask.shape == expected.shape, name
        assert set(np.unique(mask)) <= {0, 255}
        worst[name] = int(np.count_nonzero(mask != expected))
    print(worst)
    beyond = {name: n for name, n in worst.items() if n > DIFFERENT}
    assert not beyond
    assert sum(row["area"] not in ("", "0") for row in session["python"].values()) > 10, "masks are not all empty"


@pytest.mark.slow
def test_areas_sides_flags_and_spacing_are_those_of_python(session):
    for name in good(session):
        result, row = session["results"][name], session["python"][name]
        assert "; ".join(result["flags"]) == row["flags"], name
        factor = 0.5 * 0.55 if "spacing" in name else 1.0
        for side, column in (("whole", "area"), ("right", "right_area"), ("left", "left_area")):
            if row[column] == "":  # sides of what lies turned
                assert result[side] == "not told apart"
                continue
            assert result["pixels"][side] * factor == pytest.approx(float(row[column]), abs=DIFFERENT), (name, side)
            assert ("mm²" if row["unit"] == "mm2" else "px") in result[side]
        assert (row["spacing_from"] or "not known") in result["spacing"], name
        assert result["name"] == name


REFUSED = {
    "cut off.png": "truncated", "flipped.png": "CRC mismatch", "huge.png": "20000 x 20000 pixels",
    "large.png": "536,870,913 bytes; 536,870,912 at most",
    "empty.png": "empty file", "text.txt": "is no PNG, JPEG or DICOM file", "text.dcm": "no DICM prefix",
    "scan.tif": "TIFF, which this page does not read", "cut off.jpg": "damaged JPEG",
    "coloured.png": "colour image whose channels differ", "frames.dcm": "2 frames",
    "cut off.dcm": "damaged", "compressed.dcm": "transfer syntax 1.2.840.10008.1.2.5",
}  # fmt: skip


@pytest.mark.slow
def test_what_cannot_be_used_is_named_with_its_reason(session):
    assert sorted(REFUSED) == sorted(session["bad"])
    for name, reason in REFUSED.items():
        error = session["results"][name].get("error", "none")
        assert error.startswith(f"{name}: "), error
        assert reason in error, error


@pytest.mark.slow
def test_the_made_up_radiograph_shows_two_lungs(session):
    pixels = session["results"]["the made-up one"]["pixels"]
    assert min(pixels["right"], pixels["left"]) > 0.3 * pixels["whole"]

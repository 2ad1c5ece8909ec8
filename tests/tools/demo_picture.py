"""Draws examples/demo.png: the page of the model that ships, in Chromium, on the phantom that it holds.

    PYTHONPATH=tests:. python tests/tools/demo_picture.py

Run it when the model or the page changes; a test then fails, because the picture keeps what the page says of its model
as a PNG text chunk. Needs Node.js, npm's registry once, and Chromium.
"""

from __future__ import annotations

import html
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import cv2
import png_files

from lungseg import demo, model_folder

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "examples" / "demo.png"
KEYWORD = b"Description"
WIDTH = 826  # pixels
TRIES = 5  # of which the fastest is kept: the page shows how long it took
ENDS = 12  # bytes of the last chunk


def described() -> str:
    """What the page says of the model that ships."""
    model = model_folder.find("lwnet-128")
    assert model.onnx is not None
    return html.unescape(demo.about(model.card, model.onnx))


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="lungseg-picture-") as folder:
        work = Path(folder)
        model = model_folder.find("lwnet-128")
        assert model.onnx is not None
        (work / "page.html").write_bytes(
            demo.filled(demo.build(work, print, with_tools=True), model.card, model.onnx)
        )  # fmt: skip
        shots = {}
        for k in range(TRIES):
            shot = work / f"shot{k}"
            shot.mkdir()
            shots[seconds(work, shot)] = shot / "sample.png"
        pixels = cv2.imread(str(shots[min(shots)]))
    assert pixels is not None
    height = round(pixels.shape[0] * WIDTH / pixels.shape[1])
    small = cv2.resize(pixels, (WIDTH, height), interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode(".png", small, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()
    text = png_files.chunk(b"tEXt", KEYWORD + b"\0" + described().encode("latin-1"))
    PICTURE.write_bytes(encoded[:-ENDS] + text + encoded[-ENDS:])
    print(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes, {min(shots):g} s")


def seconds(work: Path, shots: Path) -> float:
    """Opens the page as the tests do and leaves its pictures in a folder; how long the page says that it took."""
    requested: dict[str, Any] = {
        "page": (work / "page.html").as_uri(), "files": [], "chromium": shutil.which("chromium"),
        "screenshots": str(shots),
    }  # fmt: skip
    done = subprocess.run(
        ["node", ROOT / "tests" / "demo" / "browse.mjs"], cwd=work, input=json.dumps(requested), capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    return float(json.loads(done.stdout)["results"]["the made-up one"]["seconds"].split()[0])


if __name__ == "__main__":
    main()

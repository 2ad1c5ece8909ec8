"""A model as a release file: ``python -m bench.release_model ARCH DATA OUT`` trains, exports, scores and packs it.

DATA holds Montgomery and Shenzhen. One training on all of Montgomery, whose masks' licence lets weights travel; each
form is held to its limit and the ONNX graph kept; the card states the Dice on all of Shenzhen and, with
``--expected SUITE``, the out-of-fold one of a suite's same training. ``OUT/<name>.zip`` is what to attach to a release,
and the line that is printed pins it. Goes on where it was cut off. Needs the extra ``export``. Sends nothing anywhere.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from bench import expected_score
from lungseg import atomic, model_folder
from lungseg.model_folder import ModelFolder
from lungseg.terminal import path

EPOCH = (1980, 1, 1, 0, 0, 0)  # of every entry, so that equal folders make equal files


def main(arguments: Sequence[str] | None = None) -> int:
    """Make what is missing; the exit code of the first step that fails."""
    options = _parser().parse_args(arguments)
    out: Path = options.out
    folder = out / f"{options.arch}-{options.size}"
    for step in steps(options, folder):
        code = subprocess.run([sys.executable, "-m", "lungseg", *step], check=False).returncode
        if code:
            return code
    if options.expected and (code := expected_score.main([str(folder), options.expected])):
        return code
    data = packed(model_folder.open_folder(folder))
    atomic.write_bytes(out / f"{folder.name}.zip", data)
    print(f"{folder.name}.zip  {len(data):,} bytes  sha256 {hashlib.sha256(data).hexdigest()}")
    return 0


def steps(options: argparse.Namespace, folder: Path) -> list[list[str]]:
    """The `lungseg` commands to run, in order, as lists of arguments."""
    shenzhen, threads = ["shenzhen", str(options.data / "Shenzhen")], ["--threads", "1"]
    network = ["--arch", options.arch, "--width", str(options.width), "--size", str(options.size)]
    train = ["train", "montgomery", str(options.data / "Montgomery"), str(folder), *network]
    result = [] if folder.is_dir() else [[*train, "--recipe", options.recipe, "--all", *threads]]
    exported = folder.with_name(f"{folder.name}-export")
    return [
        *result,
        ["export", str(folder), str(exported), "--forms", "onnx", "--data", *shenzhen, *threads],
        ["evaluate", str(folder), *shenzhen, "--to-card", "Shenzhen", *threads],
    ]


def packed(model: ModelFolder) -> bytes:
    """The folder as a zip, byte for byte the same for the same folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(model_folder.files_of(model).items()):
            archive.writestr(zipfile.ZipInfo(f"{model.path.name}/{name}", EPOCH), data)
    return buffer.getvalue()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.release_model", description="Make a model to be released.")
    parser.add_argument("arch", help="architecture, such as unet or m2unet")
    parser.add_argument("data", type=path, help="folder that holds Montgomery and Shenzhen")
    parser.add_argument("out", type=path, help="folder for the model and its zip")
    parser.add_argument("--width", type=int, default=64, help="channels of the first level (default: 64)")
    parser.add_argument("--size", type=int, default=128, help="image side in pixels (default: 128)")
    parser.add_argument("--recipe", default="strong", help="recipe (default: strong)")
    parser.add_argument("--expected", metavar="SUITE", help="put the out-of-fold Dice of this suite's row on the card")
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""A page to try a model in a browser: one HTML file that opens from disk, needs no server and sends nothing.

Its sources lie in this folder (README.md). npm fetches four libraries by locked hashes and builds the page without a
model, once: that shell is kept in the user's cache under a hash of the sources. A model's graph and card, and a made-up
radiograph to begin with, are put in here, so that any model folder with an ONNX graph gets its page offline.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lungseg import atomic, images
from lungseg.card import Card
from lungseg.datasets import phantom
from lungseg.errors import EnvironmentFailure, UsageError
from lungseg.intervals import words
from lungseg.model_folder import ModelFolder

SOURCES = Path(__file__).resolve().parent
FILES = ("NOTICES.txt", "build.mjs", "package-lock.json", "package.json", "page.html")
SAMPLE, SAMPLE_SIZE = 7, (512, 427)  # a phantom's seed and rows, columns
BUILD_SECONDS = 600
OLDEST_NODE = 18


def page(model: ModelFolder, say: Callable[[str], None]) -> bytes:
    """The HTML file for a model. say: told what takes time.

    Raises UsageError for a model without an ONNX graph, EnvironmentFailure where Node.js or npm's registry is missing
    and no shell was built before.
    """
    if model.onnx is None:
        raise UsageError(f"{model.path}: has no ONNX graph, which the page runs; `lungseg export` makes one")
    return filled(shell(say), model.card, model.onnx)


def filled(text: str, card: Card, graph: bytes) -> bytes:
    """The shell with a model's graph, what of its card the page needs, and the sample."""
    metadata = {"name": card.name, "size": card.size, "threshold": card.threshold, "exposure": dict(card.exposure)}
    drawn = phantom.thorax(SAMPLE, SAMPLE_SIZE)
    sample = images.png_bytes(np.rint(drawn.image * 255).astype(np.uint8))
    model = [
        f'<script type="application/json" id="card">{json.dumps(metadata).replace("<", chr(92) + "u003c")}</script>',
        f'<script type="text/plain" id="graph">{base64.b64encode(graph).decode()}</script>',
        f'<script type="text/plain" id="phantom">{base64.b64encode(sample).decode()}</script>',
    ]
    for place, value in (("about", about(card, graph)), ("model", "\n".join(model))):
        before, result, after = text.partition(f"<!-- {place} -->")
        if not result:
            raise EnvironmentFailure(f"the page's shell has no place for its {place}; remove {cache()} and try again")
        text = before + value + after
    return text.encode()


def about(card: Card, graph: bytes) -> str:
    """One paragraph on the model, as HTML; the picture of the page keeps it, too."""
    stated = [score for score in card.scores if score["metric"] == "dice" and score["at"] == "stored"]
    scores = "".join(
        f" Mean Dice on {score['set']} ({score['images']} images): {score['value']:.3f} {words(score, '.3f')}."
        for score in stated
    )
    text = f"Model {card.name}: {card.architecture}, {card.parameters:,} parameters, licence {card.licence}.{scores} "
    text += " ".join(card.limits) + f" SHA-256 of its graph: {hashlib.sha256(graph).hexdigest()[:16]}."
    return html.escape(text)


def sources() -> list[Path]:
    """All files that decide the page's shell."""
    return [*(SOURCES / name for name in FILES), *sorted((SOURCES / "src").glob("*.js"))]


def cache() -> Path:
    """Path of this version's cached shell, which need not exist."""
    digest = hashlib.sha256()
    for path in sources():
        digest.update(path.relative_to(SOURCES).as_posix().encode() + b"\0" + path.read_bytes())
    root = os.environ.get("XDG_CACHE_HOME", "")
    return Path(root or "~/.cache").expanduser() / "lungseg" / f"demo-{digest.hexdigest()[:16]}.html"


def shell(say: Callable[[str], None]) -> str:
    """The page without a model, from the cache or built."""
    kept = cache()
    if not kept.is_file():
        with tempfile.TemporaryDirectory(prefix="lungseg-demo-") as work:
            atomic.write_bytes(kept, build(Path(work), say).encode())
    return kept.read_text(encoding="utf-8")


def build(work: Path, say: Callable[[str], None], *, with_tools: bool = False) -> str:
    """Copy the sources to a folder, fetch what package-lock.json pins, and bundle; returns the page without a model.

    with_tools: fetch what the page's tests need, too. Raises EnvironmentFailure that says what is missing.
    """
    node, npm = (shutil.which(name) for name in ("node", "npm"))
    if node is None or npm is None:
        raise EnvironmentFailure(
            f"the page is built by Node.js {OLDEST_NODE} or newer and npm, which are not installed; on Debian: "
            "apt-get install nodejs npm"
        )
    for path in sources():
        target = work / path.relative_to(SOURCES)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    say("Fetching the page's libraries by npm, once: 175 MB unpacked, which are removed again")
    # No script of a package is run, and each is what package-lock.json says by SHA-512 or is refused.
    words = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", *([] if with_tools else ["--omit=dev"])]
    _run(words, work, "npm cannot fetch the page's libraries")
    say("Building the page")
    _run([node, "build.mjs", "shell.html"], work, "the page cannot be built")
    return (work / "shell.html").read_text(encoding="utf-8")


def _run(words: list[str], work: Path, failure: str) -> None:
    try:
        done = subprocess.run(
            words, cwd=work, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
            timeout=BUILD_SECONDS,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFailure(f"{failure} ({error})") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if re.search("error", line, re.IGNORECASE)]
        first = (lines or done.stderr.splitlines() or [f"exit code {done.returncode}"])[0].strip()
        raise EnvironmentFailure(f"{failure} ({first[:200]}); it needs npm's registry once, and Node.js {OLDEST_NODE}")

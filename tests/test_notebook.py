"""The notebook: the same cells as its script, no outputs, and it runs."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT, NOTEBOOK = (ROOT / "examples" / f"LungImageSeg.{ending}" for ending in ("py", "ipynb"))
SECONDS = 1800  # of a cell, on a machine that others use too


def cells_of_script():
    """(kind, text) of each cell of the percent script."""
    parts = re.split(r"^# %%( \[markdown\])?\n", SCRIPT.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    for kind, text in zip(parts[::2], parts[1::2], strict=True):
        text = text.strip("\n")
        if kind:
            yield "markdown", re.sub(r"^# ?", "", text, flags=re.MULTILINE)
        else:
            yield "code", text


def cells_of_notebook():
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def test_script_and_notebook_hold_the_same_cells():
    result = [(cell["cell_type"], "".join(cell["source"])) for cell in cells_of_notebook()]
    assert result == list(cells_of_script()), "run: jupytext --to ipynb examples/LungImageSeg.py"


def test_the_notebook_is_kept_without_outputs():
    for cell in cells_of_notebook():
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
        assert "attachments" not in cell


def test_another_set_is_one_line():
    text = SCRIPT.read_text(encoding="utf-8")
    assert text.count("\nchosen = PHANTOM\n") == 1
    assert len(re.findall(r"\bPHANTOM\b", text.replace("`", ""))) == 4, "the words on it, its definition and its choice"


@pytest.mark.slow
def test_the_notebook_runs_and_compares_the_three(tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat", reason="pip install 'lungseg[notebook]'")
    nbclient = pytest.importorskip("nbclient", reason="pip install 'lungseg[notebook]'")
    pytest.importorskip("ipykernel", reason="pip install 'lungseg[notebook]'")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in [name for name in os.environ if name.startswith("TF_NUM_")] + ["OMP_NUM_THREADS", "MPLBACKEND"]:
        monkeypatch.delenv(name, raising=False)  # as a user has it
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    if folder := os.environ.get("LUNGSEG_SCREENSHOTS"):
        nbformat.write(notebook, Path(folder) / "executed.ipynb")
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    details = "".join(output.get("text", "") for output in outputs if output.output_type == "stream")
    shown = [output["data"] for output in outputs if "data" in output]
    assert "40 images: 32 to train and validate on, 8 to test on" in details
    assert details.count("macro avg") == 3
    assert sum("image/png" in data for data in shown) == 5
    (table,) = [data["text/plain"] for data in shown if "mean Dice" in data.get("text/plain", "")]
    scores = {row.split()[0]: [float(value) for value in row.split()[1:]] for row in table.splitlines()[2:]}
    assert list(scores) == ["unet", "resunet", "r2unet"]
    assert all(dice > 0.8 for _, _, _, _, dice, _, _ in scores.values()), "trained, not drawn by chance"
    assert "WARNING" not in details
    assert [output["text"] for output in outputs if output.get("name") == "stderr"] == []

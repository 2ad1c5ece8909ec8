"""Parameters and work of every architecture beside its paper's.

``python tests/architecture_table.py`` writes the table. Built at width 64 for 256 x 256 x 1; takes a minute and 2 GB.
"""

from __future__ import annotations

from pathlib import Path

from references import REFERENCE, SOURCE

PATH = Path(__file__).with_name("ARCHITECTURES.md")
HEAD = """<!-- Written by `python tests/architecture_table.py`; edits are lost. -->

# Architectures

At width 64, for images of 256 x 256 x 1. Parameters are trainable ones; 1 GMAC is 10^9 multiply-accumulates of one
image's forward pass, convolutions, dense layers and attention's products counted. `tests/references.py` derives each
reference; what differs from the paper stands in the architecture's docstring.

"""


def measured() -> dict[str, tuple[int, float]]:
    """Parameters and GMACs by name."""
    import keras

    import lungseg
    from lungseg import complexity

    result = {}
    for name in lungseg.ARCHITECTURES:
        model = lungseg.build(name, (256, 256, 1), 64)
        result[name] = complexity.parameters(model), complexity.gmacs(model)
        keras.utils.clear_session()
    return result


def table(result: dict[str, tuple[int, float]]) -> str:
    """The page."""
    from bench.markdown import table as lines

    rows = []
    for name, (parameters, gmacs) in result.items():
        wanted, work = REFERENCE[name]
        rows.append([
            name, SOURCE[name], f"{parameters:,}", f"{wanted:,.0f}", f"{parameters / wanted - 1:+.2%}",
            f"{gmacs:.3f}", f"{work:.3f}", f"{gmacs / work - 1:+.2%}",
        ])  # fmt: skip
    headers = ["Architecture", "Source", "Parameters", "Reference", "Difference", "GMACs", "Reference", "Difference"]
    return HEAD + lines(headers, rows, left=2) + "\n"


if __name__ == "__main__":
    PATH.write_text(table(measured()), encoding="utf-8")
    print(f"written: {PATH}")

"""``results/SPEED.md``: throughput, a table for each file, so that no two devices or precisions ever share one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.markdown import NONE, escape, generated, listed, paragraph, percent, shown, table, unbroken
from bench.names import backend, device, file_slug
from bench.speed.throughput_table import OURS, PeerTable, ThroughputTable, number, unreliable

HEADERS = (
    "Network", "Width, batch", "Training", "Epochs", "Inference", "Fraction of peak", "Determinism",
)  # fmt: skip
PEER_HEADERS = ("Size, precision", "PyTorch", "Training", "Ratio", "Inference", "Ratio")
FOOTNOTES = {  # of a row that is not to be relied on: its mark and meaning
    "not steady": ("¹", "the rate still drifted after the warm-up. It is rough and gives no cost of determinism."),
    "contended": ("²", "other work ran on the machine. The rate is a lower bound and gives no cost of determinism."),
}
PEER_FOOTNOTES = {
    "not steady": "one of the two rates still drifted after the warm-up, so the ratio is approximate.",
    "contended": "other work ran on the machine while one of the two was measured, so the ratio is approximate.",
}
DRIFTED = "the warm-up did not reach a steady state"  # what the mark says already
MEANING = "\n".join(
    paragraph(line, "- ")
    for line in (
        "**Training**, **Inference**: images per second of steps alone on data in memory, as median (and IQR) over"
        " repeats in a separate process. **Epochs**: the rate of a training after its first epoch, with validation.",
        "**Fraction of peak**: the rate of multiplications in training and at inference, divided by the peak rate. The"
        " peak is the rate of a large matrix product in the same precision and run. It varies with the machine's state"
        " (last line under each table), so compare fractions, not rates, between tables.",
        "**Determinism**: the fraction of training speed lost to deterministic operations. All CPU scores were computed"
        " with them. A few per cent are noise.",
        "The CSV files contain step times, memory and further columns.",
    )
)
PEERS = paragraph(
    "Both networks were measured on one machine in one run. The columns show ours / PyTorch's in images per second; a"
    " ratio above 1 means that ours is faster. The PyTorch network is the same architecture in idiomatic PyTorch:"
    " channels last, automatic mixed precision for bfloat16, eager or with `torch.compile`."
)


def speed_page(measured: Sequence[ThroughputTable], peers: Sequence[PeerTable] = ()) -> str:
    """The Markdown of the page."""
    kinds = sorted({escape(device(m.device_kind)) for m in measured})
    blocks = [generated("the tables under throughput/"), f"# Speed{f' on {listed(kinds)}' if kinds else ''}"]
    if measured:
        blocks += [paragraph(_machines(measured)), MEANING]
    else:
        blocks.append("Not measured yet: `python -m bench speed SUITE`.")
    for m in sorted(measured, key=lambda m: (m.device_kind, m.backend, m.size, m.precision)):
        rows = [_row(row) for row in m.rows]
        size = f"{m.size[0]} x {m.size[1]} px"
        blocks += [
            f"## {escape(device(m.device_kind))}, {escape(backend(m.backend))}, {escape(m.precision)}, {size}",
            table(HEADERS, rows, left=2),
        ]
        flaws = [flaw for flaw in FOOTNOTES if flaw in map(unreliable, m.rows)]
        blocks += [
            paragraph(f"{mark} {flaw.capitalize()}: {text}") for flaw in flaws for mark, text in [FOOTNOTES[flaw]]
        ]
        blocks.append(paragraph(f"{_metadata(m)} File [{escape(m.file)}](throughput/{file_slug(m.file)})."))
        blocks += _notes(m)
    return "\n\n".join([*blocks, *_peers(peers, measured)]) + "\n"


def _machines(measured: Sequence[ThroughputTable]) -> str:
    """On what all of it was measured, and that on no other device."""
    kinds: dict[str, set[str]] = {}
    for m in measured:
        kinds.setdefault(m.device_kind, set()).update(row["device"] for row in m.rows if row.get("device"))
    devices = [
        f"{escape(device(kind))} ({escape(', '.join(sorted(names)) or 'model not recorded')})"
        for kind, names in sorted(kinds.items())
    ]
    lacking = " These tables contain no GPU measurements." if set(kinds) == {"cpu"} else ""
    return f"Speeds were measured on {listed(devices)}.{lacking} `python -m bench speed SUITE` measures your machine."


def _row(row: Mapping[str, str]) -> list[str]:
    flaw, cost = unreliable(row), _share(row, "determinism_cost")
    mark = FOOTNOTES[flaw][0] if flaw else ""
    return [
        f"{shown(row.get('architecture') or NONE)}{mark}",
        unbroken(", ".join(escape(row.get(name) or NONE) for name in ("width", "batch"))),
        _rate(row, "train"),
        _rate(row, "epochs", described=False),
        _rate(row, "inference"),
        f"{_share(row, 'train_fraction_of_peak')},\u00a0{_share(row, 'inference_fraction_of_peak')}",
        unbroken(flaw) if flaw and cost != NONE else cost,
    ]


def _rate(row: Mapping[str, str], mode: str, described: bool = True) -> str:
    """A rate, with its interquartile range where the table has one."""
    value = number(row, f"{mode}_images_per_second")
    spread = number(row, f"{mode}_iqr") if described else math.nan
    if math.isnan(value):
        return NONE
    digits = 2 if value < 10 else 1 if value < 1000 else 0
    return f"{value:,.{digits}f}" + ("" if math.isnan(spread) else f"\u00a0({spread:,.{digits}f})")


def _share(row: Mapping[str, str], column: str) -> str:
    value = number(row, column)
    return NONE if math.isnan(value) else unbroken(percent(value))


def _metadata(m: ThroughputTable) -> str:
    """The conditions of the rows; where they differ, each value once."""
    parts = []
    for name, text in (("device", ""), ("versions", ""), ("measured", "measured "), ("commit", "commit ")):
        values = sorted({row[name] for row in m.rows if row.get(name)})
        parts += [text + listed([escape(value) for value in values])] if values else []
    peaks = [peak for row in m.rows if (peak := number(row, "peak_gflops")) > 0]
    if peaks:
        low, high = f"{min(peaks):,.0f}", f"{max(peaks):,.0f}"
        parts.append(f"peak {low if low == high else f'{low} to {high}'} GFLOP/s")
    return "; ".join(parts) + "." if parts else "The machine was not recorded."


def _notes(m: ThroughputTable) -> list[str]:
    """What else the rows say of themselves, each note once with the networks that it is of."""
    by_note: dict[str, list[str]] = {}
    for row in m.rows:
        note = "; ".join(part for part in (row.get("note") or "").split("; ") if part != DRIFTED)
        if note:
            name = shown(row.get("architecture", ""))
            by_note.setdefault(note, []).append(f"{name} (width {escape(row.get('width') or NONE)})")
    lines = [paragraph(f"{listed(names)}: {escape(note)}", "- ") for note, names in by_note.items()]
    return ["\n".join(lines)] if lines else []


# -- beside PyTorch ------------------------------------------------------------------------------------------------


def _peers(peers: Sequence[PeerTable], measured: Sequence[ThroughputTable]) -> list[str]:
    if not peers:
        return []
    blocks = ["## U-Net compared with a native PyTorch U-Net", paragraph(_against_the_fastest(peers)), PEERS]
    blocks.append(table(PEER_HEADERS, [_peer_row(m, row) for m in peers for row in m.rows], left=2))
    flaws = {_peer_flaw(row) for m in peers for row in m.rows}
    blocks += [paragraph(f"{FOOTNOTES[f][0]} {f.capitalize()}: {PEER_FOOTNOTES[f]}") for f in FOOTNOTES if f in flaws]
    blocks += [paragraph(remarks)] if (remarks := _remarks(peers, measured)) else []
    about = sorted({
        f"{escape(device(m.device_kind))}, width {escape(row.get('width'))}, batch {escape(row.get('batch'))},"
        f" {escape(backend(row.get('our_backend', '')))} against {escape(row.get('versions'))},"
        f" measured {escape(row.get('measured'))}"
        for m in peers for row in m.rows
    })  # fmt: skip
    files = listed([f"[{escape(m.file)}](throughput/peers/{file_slug(m.file)})" for m in peers])
    return [*blocks, paragraph(f"{'; '.join(about)}. Files {files}.")]


def _peer_row(m: PeerTable, row: Mapping[str, str]) -> list[str]:
    flaw = _peer_flaw(row)
    mark, bold = (FOOTNOTES[flaw][0], "") if flaw else ("", "**")
    return [
        unbroken(f"{m.size[0]} px, {escape(row.get('precision') or NONE)}{mark}"),
        escape((row.get("peer") or NONE).removeprefix("torch, ").partition(",")[0]),
        *(
            cell
            for mode in ("train", "inference")
            for cell in (
                f"{_rate(row, f'our_{mode}')}\u00a0/\u00a0{_rate(row, mode)}",
                f"{bold}{number(row, f'{mode}_ratio'):.2f}{bold}" if row.get(f"{mode}_ratio") else NONE,
            )
        ),
    ]


def _peer_flaw(row: Mapping[str, str]) -> str:
    """Why a ratio is not to be relied on, by either network's rate; empty where it is, or where it is not known."""
    ours = {key: row.get(f"our_{key}", "") for key in ("contended", "steady_state")}
    flaws = {unreliable(row), unreliable(ours)}
    return next((flaw for flaw in ("contended", "not steady") if flaw in flaws), "")


def _remarks(peers: Sequence[PeerTable], measured: Sequence[ThroughputTable]) -> str:
    """Sizes of which an unmarked row does not say whether its rates were steady, and those of which our rates are of
    another run than in the tables above."""
    unknown, other = [], []
    for m in peers:
        size = f"{m.size[0]} px"
        unmarked = [row for row in m.rows if number(row, "train_ratio") > 0 and not _peer_flaw(row)]
        if any(not row.get(name) for row in unmarked for name in ("our_steady_state", "steady_state")):
            unknown.append(size)
        if any(_differs(m, row, measured) for row in m.rows):
            other.append(size)
    sentences = []
    if unknown:
        sentences.append(f"At {listed(unknown)} the records do not state whether each rate was steady.")
    if other:
        sentences.append(
            f"At {listed(other)} our rates differ from those in the table above, which come from another run."
        )
    return " ".join(sentences)


def _differs(m: PeerTable, row: Mapping[str, str], measured: Sequence[ThroughputTable]) -> bool:
    """Whether a table above has our U-Net's rates under the same conditions, and others."""
    alike = (m.device_kind, row.get("our_backend"), OURS.get(row.get("precision", "")), m.size)
    key = ("width", "batch", "threads")
    above = [
        one
        for table in measured if (table.device_kind, table.backend, table.precision, table.size) == alike
        for one in table.rows if one.get("architecture") == "unet" and all(one.get(k) == row.get(k) for k in key)
    ]  # fmt: skip
    rates = [f"{mode}_images_per_second" for mode in ("train", "inference")]
    return any(one.get(rate) != row.get(f"our_{rate}") for one in above for rate in rates)


def _against_the_fastest(peers: Sequence[PeerTable]) -> str:
    """The span of ratios over sizes and precisions, each against the faster of PyTorch's ways; of those alone that no
    row of is marked, where there are any."""
    marked = {(m.file, row.get("precision", "")) for m in peers for row in m.rows if _peer_flaw(row)}
    spans, left_out, rough = [], False, False
    for mode, where in (("train", "in training"), ("inference", "at inference")):
        least: dict[tuple[str, str], float] = {}
        for m in peers:
            for row in m.rows:
                if (ratio := number(row, f"{mode}_ratio")) > 0:
                    key = (m.file, row.get("precision", ""))
                    least[key] = min(ratio, least.get(key, math.inf))
        steady = [ratio for key, ratio in least.items() if key not in marked]
        rough |= bool(least) and not steady
        left_out |= 0 < len(steady) < len(least)
        if ratios := steady or list(least.values()):
            low, high = min(ratios), max(ratios)
            word = "slower" if high < 1 else "faster" if low > 1 else "slower or faster, by precision and size"
            ends = sorted({f"{low:.2f}", f"{high:.2f}"}, key=float)
            spans.append(f"{' to '.join(ends)} times as fast {where} ({word})")
    if not spans:
        return "PyTorch could not be measured; the file says why."
    about = (
        " All ratios are marked below, so this is approximate." if rough else " Marked ratios are excluded." * left_out
    )
    return f"Compared with the faster of PyTorch's two modes, ours is {' and '.join(spans)}.{about}"

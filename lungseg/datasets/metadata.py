"""Reads ``metadata.csv``: finds the file, maps its columns, validates the values of each image."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from lungseg.datasets import Case, images_in, table_file
from lungseg.datasets.table_file import key, plain
from lungseg.errors import DataError

NAME = "metadata.csv"
MOST_BYTES = 16 << 20  # of a table of another name that is looked into
MOST_YEARS = 120
MOST_SIDE = 100_000  # pixels of a native image
MOST_MM = 100.0
Columns = dict[str, str]

# Keys of headers (see ``table_file.key``) that are read for each column of ours; ours itself comes first.
SPELLINGS: dict[str, tuple[str, ...]] = {
    "id": ("id", "imageid", "image", "imagename", "imagefile", "imageindex", "filename", "file"),
    "patient": ("patient", "patientid", "patientidentifier", "patientnumber", "patientno", "patientnr", "patientkey",
                "patientcode", "subject", "subjectid", "subjectnumber", "subjectno", "person", "personid",
                "participant", "participantid", "pid", "mrn"),
    "sex": ("sex", "gender", "patientsex", "patientgender"),
    "age": ("age", "patientage", "ageyears", "ageinyears", "ageyrs", "agey"),
    "tb": ("tb", "tuberculosis", "ptb"),
    "spacing_row_mm": ("spacingrowmm", "rowspacingmm", "spacingrow", "rowspacing"),
    "spacing_column_mm": ("spacingcolumnmm", "columnspacingmm", "spacingcolumn", "columnspacing", "spacingcolmm",
                          "colspacingmm"),
    "native_height": ("nativeheight", "nativeheightpx"),
    "native_width": ("nativewidth", "nativewidthpx"),
}  # fmt: skip
_KNOWN = frozenset(spelling for spellings in SPELLINGS.values() for spelling in spellings)
# Parts of a header that speak of a person, and of one's properties, which tell no two persons apart.
_PERSON = ("patien", "subject", "person", "participant", "proband", "sujet", "pacient", "pazient")
_PROPERTY = ("age", "sex", "gender", "birth", "weight", "height", "size", "position", "orientation", "comment",
             "ethnic")  # fmt: skip
_MISSING = frozenset({"", "-", "?", "na", "n/a", "nan", "none", "null", "nil", "unknown", "#n/a"})
_SEXES = {"f": "F", "female": "F", "woman": "F", "m": "M", "male": "M", "man": "M"}
_BITS = {"0": "0", "false": "0", "1": "1", "true": "1"}


@dataclass(frozen=True)
class Metadata:
    """rows: by image, under our own column names, each value already as ``Case`` wants it or empty.
    unread: columns of the file that nothing reads. has_patients: whether it has a column of patients."""

    rows: Mapping[str, Columns] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    has_patients: bool = False


def find(root: Path) -> Path | None:
    """The metadata file of a set, whatever the case of its letters; None where there is none.

    Raises DataError where there are two, where it is there in another format only (metadata.xlsx, metadata.tsv), or
    where another table in the folder names these images' patients: read as none, each image would be its own patient.
    """
    files = _files(root)
    result = [path for path in files if path.name.casefold() == NAME]
    if len(result) > 1:
        raise DataError(f"{root}: holds {' and '.join(path.name for path in result)}; keep one of them, as {NAME}")
    if result:
        return result[0]
    for path in files:
        if path.name.casefold().split(".")[0] in ("metadata", "meta-data", "meta_data"):
            raise DataError(f"{path}: is not read, so each image would count as its own patient; save it as {NAME}")
    for path in others(root):
        if path.is_relative_to(root) and _names_patients(path):
            raise DataError(f"{path}: names patients and is not read; call it {root / NAME}, or move it elsewhere")
    return None


def folders(root: Path) -> list[Path]:
    """Folders of a set in which a table that names patients is refused, as it is not read."""
    return [root, root / "img", root / "mask", root / "CXR_png"]


def others(root: Path) -> list[Path]:
    """Tables in the set's folder, or among its images, that are not read; also a metadata file beside the folder."""
    endings = (".csv", ".tsv", ".xlsx", ".xls", ".ods", ".parquet")
    within = [path for folder in folders(root) for path in _files(folder)]
    alongside = [path for path in _files(root.resolve().parent) if path.name.casefold().split(".")[0] == "metadata"]
    local = [path for path in within if path.parent == root and path.name.casefold() == NAME]
    return [path for path in (*within, *alongside) if path.suffix.casefold() in endings and path not in local]


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError:  # whoever reads the images says so
        return []


def _names_patients(path: Path) -> bool:
    try:
        if path.suffix.casefold() not in (".csv", ".tsv") or path.stat().st_size > MOST_BYTES:
            return False
        keys = {key(column) for column in table_file.read(path, _KNOWN).columns}
    except (OSError, DataError):
        return False
    return bool(keys & set(SPELLINGS["patient"])) or any(_is_person(name) for name in keys)


def read(path: Path | None, stems: Set[str], optional: Set[str] = frozenset()) -> Metadata:
    """Rows of a metadata file by image; none where ``path`` is None.

    stems: images that need a row. optional: that may have one, such as images without a mask. Column names are read
    whatever their case, blanks and underscores, and by the spellings above; an id may end in .png or name a folder.
    Raises one DataError that lists rows without an image, images without a row, ids given twice and every value that
    cannot be, each with its line; and names a column that seems to hold patients and is not understood.
    """
    if path is None:
        return Metadata()
    table = table_file.read(path, _KNOWN)
    columns = _columns(path, table, stems | optional)
    by_name = {plain(stem): stem for stem in stems | optional}
    result: dict[str, Columns] = {}
    problems: list[str] = []
    times: Counter[str] = Counter()
    if not table.rows:
        raise DataError(f"{path}: has no rows below its header; give one an image")
    for row in table.rows:
        details = {ours: row.cells[other] for ours, other in columns.items()}
        named = details["id"]
        stem = _stem(named, by_name)
        if stem is None:
            problems.append(f"{path}: line {row.line}: row {named!r} has no image{_hint(named, by_name)}")
            continue
        times[stem] += 1
        where = f"{path}: line {row.line} ({named!r})"
        result[stem] = {"id": stem}
        for column, text in details.items():
            if column != "id":
                try:
                    result[stem][column] = "" if text.casefold() in _MISSING else _READ[column](text)
                except ValueError as error:
                    problems.append(f"{where}: {column} {text!r} {error}")
        problems += [f"{where}: {problem}" for problem in _unpaired(result[stem], columns)]
    problems += [f"{path}: image {stem!r} has no row" for stem in sorted(stems - result.keys())]
    problems += [f"{path}: id {stem!r} occurs more than once ({n} rows)" for stem, n in sorted(times.items()) if n > 1]
    if problems:
        raise DataError(problems)
    _unite_spellings(result)
    unread = tuple(name for name in table.columns if name not in columns.values())
    return Metadata(result, unread, "patient" in columns)


def remarks(cases: Sequence[Case], root: Path) -> dict[str, list[str]]:
    """Kinds of oddity of a set's table -> the columns, cases or files concerned; no kind without one."""
    try:
        path, ids = find(root), {case.id for case in cases}
        pictures = images_in(root / "CXR_png")[0].keys() if (root / "CXR_png").is_dir() else set()
        about = read(path, ids, optional=pictures - ids)  # Shenzhen has images without a mask
    except DataError:  # loading the set has told
        return {}
    lacking = [case.id for case in cases if not about.rows.get(case.id, {}).get("patient")]
    kinds = {
        f"columns of {path.name if path else NAME} that are ignored": list(about.unread),
        "no patient given (each of these images counts as a separate patient)": lacking if about.has_patients else [],
        f"tables that are ignored (only {NAME} in the dataset's folder is read)": [
            str(other.relative_to(root)) if other.is_relative_to(root) else str(other) for other in others(root)
        ],
    }
    return {kind: names for kind, names in kinds.items() if names}


def _columns(path: Path, table: table_file.Table, stems: Set[str]) -> dict[str, str]:
    """Our column -> the header under which the file has it."""
    chosen: dict[str, str] = {}
    for ours, spellings in SPELLINGS.items():
        fitting = [name for name in table.columns if key(name) in spellings]
        if ours == "id" and len(fitting) > 1:  # "id" may number the patients, beside the names of files
            by_name = {plain(stem): stem for stem in stems}
            fitting.sort(key=lambda name: -sum(_stem(row.cells[name], by_name) is not None for row in table.rows))
        elif len(fitting) > 1:
            raise DataError(f"{path}: columns {' and '.join(map(repr, fitting))} both mean {ours!r}; keep one")
        if fitting:
            chosen[ours] = fitting[0]
    if "id" not in chosen:
        listed = ", ".join(map(repr, table.columns)) or "unnamed"
        raise DataError(f"{path}: has no column 'id' (names of images); its columns are {listed}")
    if "patient" not in chosen:
        rest = [name for name in table.columns if name not in chosen.values()]
        left = [name for name in rest if _is_person(key(name)) or _numbers_others(name, table)]
        if left:
            raise DataError(
                f"{path}: column {left[0]!r} seems to identify patients but is not read, so each image would count as "
                "its own patient; name it 'patient', or remove it"
            )
    return chosen


def _is_person(name: str) -> bool:
    """Whether a header's key seems to tell one person from another."""
    return any(part in name for part in _PERSON) and not any(part in name for part in _PROPERTY)


def _numbers_others(name: str, table: table_file.Table) -> bool:
    """Whether a second column of ids has some of them in several rows: they are not images'."""
    values = [row.cells[name] for row in table.rows if row.cells[name]]
    return key(name) in SPELLINGS["id"] and len(set(values)) < len(values)


def _stem(named: str, by_name: Mapping[str, str]) -> str | None:
    """The image that an id names: its name, with .png or without, with folders or without."""
    last = re.split(r"[/\\]", named)[-1]
    for name in (named, last, re.sub(r"\.png$", "", last, flags=re.IGNORECASE)):
        if name in by_name:
            return by_name[name]
    return None


def _hint(named: str, by_name: Mapping[str, str]) -> str:
    alike = [name for name in by_name if _loosened(name) == _loosened(named)]
    return f"; is {alike[0]!r} meant (letters' case, or zeros that a spreadsheet dropped)?" if named and alike else ""


def _loosened(name: str) -> str:
    return re.sub(r"^0+|\.0+$", "", name.casefold())


def _unite_spellings(rows: Mapping[str, Columns]) -> None:
    """One patient under one spelling: blanks, letters' case, forms of a letter and pandas' ``12.0`` tell nobody apart.

    Too large a group costs nothing; one in two parts would be on both sides of a fold.
    """
    first: dict[str, str] = {}
    for stem in sorted(rows):
        if patient := rows[stem].get("patient"):
            loose = " ".join(unicodedata.normalize("NFKC", patient).casefold().split())
            rows[stem]["patient"] = first.setdefault(re.sub(r"^(\d+)\.0+$", r"\1", loose), patient)


def _unpaired(row: Columns, columns: Mapping[str, str]) -> list[str]:
    """Pairs of columns of which one value is given and the other is not; an invalid value is reported elsewhere."""
    pairs = (("spacing_row_mm", "spacing_column_mm"), ("native_height", "native_width"))
    return [
        f"{one} is given and {other} is not; give both or neither"
        for pair in pairs
        for one, other in (pair, pair[::-1])
        if row.get(one) and not row.get(other) and (other in row or other not in columns)
    ]


def _sex(text: str) -> str:
    if text.casefold() not in _SEXES:
        raise ValueError("must be F or M, or left empty")
    return _SEXES[text.casefold()]


def _age(text: str) -> str:
    """Completed years. DICOM writes ``040Y`` and, of infants, months, weeks or days."""
    details = re.fullmatch(r"(\d+(?:[.,]\d+)?)\s*(y|yo|yr|yrs|year|years|m|w|d)?\.?", text.casefold())
    if not details:
        raise ValueError("must be whole numbers of years, or left empty")
    years = float(details[1].replace(",", ".")) / {"m": 12, "w": 52.18, "d": 365.25}.get(details[2] or "y", 1)
    if years > MOST_YEARS:
        raise ValueError(f"is more than {MOST_YEARS} years; correct it or leave it empty")
    return str(int(years))


def _tb(text: str) -> str:
    bit = re.sub(r"\.0+$", "", text.casefold())
    if bit not in _BITS:
        raise ValueError("must be 0 or 1, or left empty")
    return _BITS[bit]


def _millimetres(text: str) -> str:
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        raise ValueError("is not a number of millimetres") from None
    if not 0 < value < MOST_MM:
        raise ValueError("mm is not plausible; expected more than 0 and less than 100")
    return repr(value)


def _pixels(text: str) -> str:
    if not re.fullmatch(r"\d+(\.0+)?", text) or not 0 < float(text) <= MOST_SIDE:
        raise ValueError("must be whole numbers of pixels, 1 or more")
    return str(int(float(text)))


_READ: dict[str, Callable[[str], str]] = {
    "patient": str, "sex": _sex, "age": _age, "tb": _tb, "spacing_row_mm": _millimetres,
    "spacing_column_mm": _millimetres, "native_height": _pixels, "native_width": _pixels,
}  # fmt: skip

"""The table of a prediction, ``lungs.csv``: a row a file, on disk as soon as its mask is there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lungseg import atomic, csv_file
from lungseg.errors import DataError, UsageError
from lungseg.inputs import TABLE, Item

COLUMNS = (
    "file", "status", "mask", "height", "width", "area", "right_area", "left_area", "unit", "spacing_from",
    "pieces", "stability", "flags", "model", "input_sha256", "beside", "error",
)  # fmt: skip


def _read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a ``lungs.csv``, without one that a kill cut off. Raises UsageError for what cannot be kept as it is when
    the table is written again: other columns, a row of another length, text that is not UTF-8."""
    data = path.read_bytes()
    if not data.strip():
        return []
    try:
        whole = data[: data.rfind(b"\n") + 1].decode()
    except UnicodeDecodeError:
        whole = ""
    lines = [line for line in whole.split("\n") if line]
    if not whole.startswith(",".join(COLUMNS) + "\n") or len(csv_file.rows(whole, COLUMNS)) != len(lines) - 1:
        raise UsageError(  # somebody's remarks, perhaps
            f"{path}: is not as lungs.csv is written (another table, columns or cells added, another encoding), so it "
            "would be replaced; rename it, or choose another --out"
        )
    return csv_file.rows(data.decode(errors="replace"), COLUMNS)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes. Raises DataError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error


def _of_another_image(folder: Path, row: Mapping[str, str], item: Item) -> bool:
    """Whether the row, of a file of the item's name, tells of a mask that is there, of other bytes than the item's."""
    if not row["input_sha256"] or not (folder / row["mask"]).is_file():
        return False
    try:
        return file_sha256(item.path) != row["input_sha256"]
    except DataError:  # told when it is read; its mask is not written
        return False


class Table:
    """``lungs.csv`` of a folder while it grows: rows of earlier runs, then of this one in the order in which files are
    done.

    masks: of this run by their items. Rows of other files stay as they are, with whatever somebody wrote into them.
    written: every file that the run will write. Raises UsageError where a row of another file tells of a mask that
    would be replaced, where an earlier row of an item's name is of another image, whose mask is still there, and where
    a file is there that no earlier run wrote.
    """

    def __init__(self, folder: Path, masks: Mapping[Item, Path], written: Iterable[Path] = ()) -> None:
        self.folder, self.path, self.rows = folder, folder / TABLE, dict[str, dict[str, str]]()
        if self.path.is_file():
            rows = _read_rows(self.path)
            items = {csv_file.on_one_line(item.name): item for item in masks}
            owners = {
                csv_file.on_one_line(mask.relative_to(folder).as_posix()).casefold(): item.name
                for item, mask in masks.items()
            }
            for row in rows:
                item = items.get(row["file"])
                if item is None and row["mask"] and (name := owners.get(row["mask"].casefold())):
                    raise UsageError(
                        f"{folder / row['mask']}: is the mask of {row['file']}, which that of {name} would "
                        "replace; choose another --out, or give both files to one command, which keeps them apart"
                    )
                if item is not None and _of_another_image(folder, row, item):
                    raise UsageError(
                        f"{folder / row['mask']}: is the mask of another image named {row['file']}, or of that file "
                        f"before it was changed, which that of {item.path} would replace; choose another --out, give "
                        "the folder above both images to one command, or delete that mask first"
                    )
            # also rows of this run's files: until one is done again, its earlier mask is what the row says of it
            self.rows = {row["file"]: row for row in rows}
        else:  # the table is written before any mask, so where none is no file is an earlier prediction
            for path in filter(os.path.exists, written):
                raise UsageError(f"{path}: exists, and no {TABLE} beside it says who wrote it; choose another --out")
        self._write(list(self.rows))

    def __enter__(self) -> Table:
        try:
            self.file = self.path.open("a", encoding="utf-8", newline="")
        except OSError as error:
            raise atomic.refused(self.path, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def row_of(self, name: str, mask: Path) -> Mapping[str, str]:
        """The row of this file, where it tells of this mask; else none."""
        row = self.rows.get(csv_file.on_one_line(name))
        its = csv_file.on_one_line(mask.relative_to(self.folder).as_posix())
        return row if row is not None and row["mask"] == its else {}

    def is_done(self, name: str, model: str, paths: Mapping[str, Path], described: Iterable[str]) -> bool:
        """Whether the row of this file says that this model predicted it, and that its files ``paths`` belong to the
        mask and are there. described: how a row names those beside the mask."""
        row = self.row_of(name, paths["mask"])
        if not row or row["model"] != model:
            return False
        written = row["beside"].split("; ")
        missing = {kind for kind, path in paths.items() if not path.exists()}
        missing -= {text.removeprefix("no ") for text in written if text.startswith("no ")}
        return not missing and all(text in written or f"no {text}" in written for text in described)

    def add(self, row: dict[str, str]) -> None:
        """Append a row, on disk at once."""
        self.rows[csv_file.on_one_line(row["file"])] = row
        try:
            self.file.write(csv_file.line(COLUMNS, row))
            self.file.flush()
        except OSError as error:
            raise atomic.refused(self.path, error) from error

    def add_failed(self, name: str, error: str) -> None:
        """Append the row of a file that cannot be used. Of a mask that an earlier run made of it, it still says so."""
        old = self.rows.get(csv_file.on_one_line(name))
        there = old is not None and old["mask"] != "" and (self.folder / old["mask"]).is_file()
        kept = {column: old[column] for column in ("mask", "input_sha256", "beside")} if old and there else {}
        self.add({"file": name, "status": "error", **kept, "error": error})

    def finish(self, order: Sequence[str]) -> None:
        """Replace the file by the same rows in this order, those of other files first."""
        local = dict.fromkeys(csv_file.on_one_line(name) for name in order)
        self.file.close()
        self._write(
            [*(name for name in self.rows if name not in local), *(name for name in local if name in self.rows)]
        )

    def _write(self, names: Sequence[str]) -> None:
        text = csv_file.text(COLUMNS, [self.rows[name] for name in names])
        atomic.write_bytes(self.path, text.encode("utf-8", errors="replace"))

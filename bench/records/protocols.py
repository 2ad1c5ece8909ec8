"""By which protocol a record was made: numbers of different ones never meet in a table, a comparison or a mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

Some = TypeVar("Some", bound=Mapping[str, Any])


def protocol(record: Mapping[str, Any]) -> int:
    """The protocol that its inputs name; 1, the first, of a record that names none."""
    return int((record.get("inputs") or {}).get("protocol") or 1)


def newest(records: Sequence[Some]) -> list[Some]:
    """Those of the newest protocol among them."""
    last = max(map(protocol, records), default=1)
    return [record for record in records if protocol(record) == last]

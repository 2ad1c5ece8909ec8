"""Entries of a leaderboard that train nothing: means of trained members, of several views, or of both.

A record of an entry is told from a training's by its inputs, which name its members and views.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SEEDS = "+seeds"  # after an architecture's name: the mean of all of its seeds' probabilities
VIEWS = "+views"  # the mean over views of each image


def members(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Cell, fingerprint and weights_sha256 of each training behind an entry; none where the record is a training's."""
    return list((record.get("inputs") or {}).get("members") or ())


def views(record: Mapping[str, Any]) -> int:
    """How often each image is predicted by each member."""
    return len((record.get("inputs") or {}).get("views") or ()) or 1


def trainings(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The records that are a training each: what was spent is theirs alone."""
    return [record for record in records if not members(record)]

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
    return [member for member in _listed(record, "members") if isinstance(member, Mapping)]


def networks(record: Mapping[str, Any]) -> int:
    """How many networks predict each image: one a seed, as each seed holds an image out once."""
    named = [member.get("seed", member.get("cell")) for member in members(record)]
    return len(set(map(str, named))) or 1


def views(record: Mapping[str, Any]) -> int:
    """How often each image is predicted by each member."""
    return len(_listed(record, "views")) or 1


def trainings(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The records that are a training each: what was spent is theirs alone."""
    return [record for record in records if not members(record)]


def _listed(record: Mapping[str, Any], key: str) -> list[Any]:
    """A list of the record's inputs; empty where it is anything else, as in a record that was edited."""
    made_from = record.get("inputs")
    found = made_from.get(key) if isinstance(made_from, Mapping) else None
    return found if isinstance(found, list) else []

"""The verbs of ``lungseg``, a module each; none imports more than it needs to be listed."""

from __future__ import annotations

from lungseg.cli import data, demo, evaluate, export, fetch_model, predict, train

VERBS = (data, predict, train, evaluate, export, demo, fetch_model)  # in the order of --help

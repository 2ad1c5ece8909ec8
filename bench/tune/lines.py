"""What a person sees while a search runs: a line when something begins or ends, and one now and then in between."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from bench.running.progress import indented, numbers


class Lines:
    """Plain lines on standard output, from several threads."""

    interval_s = 15.0

    def __init__(self) -> None:
        self.lock, self.printed = threading.Lock(), dict[str, float]()

    def say(self, text: str) -> None:
        """A line, at once even through a pipe."""
        with self.lock:
            print(text, flush=True)

    def told(self, label: str, event: Mapping[str, Any]) -> None:
        """A training reports; a line of it if the last is old enough."""
        if event["event"] != "epoch":
            return
        now = time.monotonic()
        if now - self.printed.setdefault(label, now) >= self.interval_s:
            self.printed[label] = now
            self.say(f"{label}: {numbers(dict(event))}")

    def failed(self, what: str, error: Mapping[str, str]) -> None:
        """A failure, with its message and the end of its log."""
        self.say(f"{what}\n  {error['type']}: {error['message']}\n{indented(error['stderr_tail'])}")

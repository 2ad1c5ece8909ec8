"""Model cards: the ``card.json`` of a model folder, validated when read."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from lungseg.architectures import ARCHITECTURES, DIVISOR
from lungseg.errors import DataError, UsageError

SCHEMA = 1
MOST_BYTES = 1 << 20  # of a card, which is a page of text
MOST_SIDE, MOST_WIDTH = 4096, 1024  # of a network; larger ones would take all memory before a look at weights
PREPROCESSING = "grey in [0, 1] by the true bit depth; resized by pixel area, bilinear if enlarged"
INTENDED_USE = (
    "Research: lung fields on frontal chest radiographs like those of the training set, masks for a reader to check."
)
LIMITS = (
    "Not a medical device; not for diagnosis or treatment.",
    "Lateral views, patients and devices unlike those of the training set were not tried unless a score says so.",
)

PRETRAINED = "pretrained"  # in ``training``: what the training started from, where it was other weights than random
UNKNOWN_LICENCE = "not stated; that of the training data decides"

# A file's place has no business in a card: whoever opens the folder could be led to another file, and it would tell
# the machine and the user that wrote it. A URL of the web is none.
_PLACE = re.compile(r"(?:^|[\s\"'(=:,;])(?:~?/[\w.]|~/|\.{1,2}[/\\]|[A-Za-z]:[\\/]|\\\\)|file:|%2e%2e", re.IGNORECASE)


@dataclass(frozen=True)
class Card:
    """A model folder's card.

    size: (height, width) that the network takes. width: channels of its first level. momentum: of BatchNormalization.
    threshold: probability from which a pixel is lung. recipe: all its settings. data: name, n images, n patients,
    sha256 of prepared pixels, and how they were split. training: seed, epochs, best epoch, backend, versions, source.
    scores: each with set, images, patients, metric, what its mean is over (patients; of one patient's images first),
    value, low, high (95 % over patients; where ``interval`` says none, the value), and what it was measured on.
    exposure: mean and standard deviation, low and high over training images at the network's size, by which an
    unusual image is recognised.
    """

    name: str
    architecture: str
    width: int
    size: tuple[int, int]
    momentum: float
    threshold: float
    recipe: Mapping[str, Any]
    data: Mapping[str, Any]
    training: Mapping[str, Any]
    weights_sha256: str
    parameters: int
    protocol: int = 2  # PROTOCOL of bench.records.record (tests/test_golden.py)
    scores: tuple[Mapping[str, Any], ...] = ()
    exposure: Mapping[str, Any] = field(default_factory=dict)
    licence: str = UNKNOWN_LICENCE
    intended_use: str = INTENDED_USE
    limits: tuple[str, ...] = LIMITS
    sources: tuple[str, ...] = ()
    preprocessing: str = PREPROCESSING
    schema: int = SCHEMA

    def text(self) -> str:
        """The card as JSON, keys in the order above."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=True, allow_nan=False) + "\n"

    @property
    def train_sets(self) -> list[Mapping[str, Any]]:
        """The sets whose images shaped the weights, the last one first: {"set", "raw_sha256"} each."""
        start = self.training.get(PRETRAINED)
        earlier = start.get("train_sets") if isinstance(start, Mapping) else None
        own = {name: self.data.get(name) for name in ("set", "raw_sha256")}
        return [own, *(one for one in earlier or () if isinstance(one, Mapping))]

    def has_train_set(self, fingerprint: str) -> bool:
        """Whether the set of this ``lungseg.evaluation.fingerprint``, no more and no fewer images, is one of those."""
        return fingerprint in [one.get("raw_sha256") for one in self.train_sets]


def parse(text: bytes, where: str) -> Card:
    """The card in these bytes. Raises DataError, in one sentence that begins with ``where``, for anything else."""
    if len(text) > MOST_BYTES:
        raise DataError(f"{where}: {len(text):,} bytes; a card has {MOST_BYTES:,} at most")
    try:
        result = json.loads(text.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: is not JSON ({error}); get the folder again from its source") from error
    if not isinstance(result, dict) or result.get("schema") != SCHEMA:
        raise DataError(f"{where}: is not a card of schema {SCHEMA}; get a newer lungseg, or the folder again")
    if place := next((value for value in _strings(result) if _PLACE.search(value)), None):
        raise DataError(f"{where}: holds the path {place[:80]!r}; a card must not name files of a machine")
    names = {entry.name for entry in fields(Card)}
    if wrong := sorted(result.keys() ^ names):
        raise DataError(f"{where}: {wrong[0]!r} is {'unknown' if wrong[0] in result else 'missing'}")
    _check(result, where)
    result["size"] = tuple(result["size"])
    for name in ("scores", "limits", "sources"):
        result[name] = tuple(result[name])
    return Card(**result)


def require_valid(card: Card, where: str) -> None:
    """Raise UsageError, which begins with ``where``, for a card that ``parse`` would refuse: before the work whose
    result it is to state."""
    try:
        parse(card.text().encode(), where)
    except DataError as error:
        raise UsageError(str(error)) from error
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where}: has a value that is no text, number or list of these ({error})") from error


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not a number")


def _check(result: dict[str, Any], where: str) -> None:
    size, known = result["size"], ", ".join(ARCHITECTURES)
    sides = isinstance(size, list) and len(size) == 2 and all(_whole(side, MOST_SIDE) for side in size)
    rules = [
        (result["architecture"] in ARCHITECTURES if isinstance(result["architecture"], str) else False,
         "architecture", f"one of {known}"),
        (sides and all(side % DIVISOR == 0 for side in size), "size", f"two multiples of {DIVISOR} up to {MOST_SIDE}"),
        (_whole(result["width"], MOST_WIDTH), "width", f"a whole number from 1 to {MOST_WIDTH}"),
        (_share(result["threshold"]), "threshold", "above 0 and below 1"),
        (_share(result["momentum"]), "momentum", "above 0 and below 1"),
        (_whole(result["parameters"], 1 << 40), "parameters", "a whole number"),
        (_whole(result["protocol"], 1000), "protocol", "a whole number"),
        (isinstance(result["weights_sha256"], str) and re.fullmatch("[0-9a-f]{64}", result["weights_sha256"]),
         "weights_sha256", "64 hexadecimal digits"),
        *((isinstance(result[name], dict), name, "an object") for name in ("recipe", "data", "training", "exposure")),
        *((isinstance(result[name], str), name, "text")
          for name in ("name", "licence", "intended_use", "preprocessing")),
        *((isinstance(result[name], list) and all(isinstance(one, kind) for one in result[name]), name, "a list")
          for name, kind in (("scores", dict), ("limits", str), ("sources", str))),
    ]  # fmt: skip
    for right, name, expected in rules:
        if not right:
            raise DataError(f"{where}: {name} is {str(result[name])[:60]!r}; expected {expected}")


def _whole(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def _share(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and 0 < value < 1


def _strings(value: Any) -> Iterator[str]:
    """Every text in a JSON value, keys too."""
    rest = [value]
    while rest:
        one = rest.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            rest += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            rest += one

"""Folds grouped by patient and stratified by disease: the same for every architecture, backend and file order."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from lungseg.datasets import Case
from lungseg.errors import DataError, UsageError

VALIDATION_PARTS = 8  # one part in eight of the training patients validates


@dataclass(frozen=True)
class Fold:
    """Ids of one fold, sorted; the three are disjoint in patients and together hold every case."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


def folds(cases: Sequence[Case], n: int, seed: int = 0) -> list[Fold]:
    """Split into ``n`` folds such that each case is tested once and no patient is on both sides.

    A patient's place is drawn from a hash of seed and name, not from file order or a library's generator, so
    the folds outlive both. seed: of the partition; another seed deals the patients differently.
    Raises UsageError for n < 2, DataError for fewer patients than folds or none left to train on.
    """
    if n < 2:
        raise UsageError(f"{n} folds: at least 2 are needed to predict every image out of fold")
    patients = _by_patient(cases)
    tested = -(-len(patients) // n)  # at most, in one fold; two others must train and validate
    if len(patients) < n or len(patients) - tested < 2:
        raise DataError(
            f"{len(patients)} patients cannot be split into {n} folds of training, validation and test; "
            f"at least {4 if n == 2 else n} are needed"
        )
    parts = _deal(patients, n, f"test:{seed}")
    result = []
    for k, part in enumerate(parts):
        rest = {p: patients[p] for p in patients if p not in part}
        held = _deal(rest, min(VALIDATION_PARTS, len(rest)), f"validation:{seed}:{k}")[0]
        result.append(
            Fold(
                train=_ids(rest[p] for p in rest if p not in held),
                validation=_ids(rest[p] for p in held),
                test=_ids(patients[p] for p in part),
            )
        )
    return result


def cross_dataset(train_set: Sequence[Case], test_set: Sequence[Case], seed: int = 0) -> Fold:
    """One fold that trains and validates on all of one set and tests on all of another.

    Validation is dealt as in ``folds``, differently for each seed. Raises DataError for a patient of both sets, which
    ``joined`` makes of images of the same pixels, and for fewer than two patients to train on.
    """
    patients = _by_patient(train_set)
    _refuse_shared(patients, test_set)
    if len(patients) < 2:
        raise DataError(f"{len(patients)} patients cannot be split into training and validation; at least 2 are needed")
    held = _deal(patients, min(VALIDATION_PARTS, len(patients)), f"validation:{seed}:across")[0]
    return Fold(
        train=_ids(patients[p] for p in patients if p not in held),
        validation=_ids(patients[p] for p in held),
        test=_ids([list(test_set)]),
    )


def with_extra_train(folds: Sequence[Fold], cases: Sequence[Case], others: Sequence[Case]) -> list[Fold]:
    """The folds of ``cases`` with all ``others`` added to each training part; validation and test are unchanged.

    Raises DataError for a patient of both sets: it could be trained on in one and tested in the other.
    """
    _refuse_shared(_by_patient(cases), others)
    return [replace(fold, train=tuple(sorted((*fold.train, *(case.id for case in others))))) for fold in folds]


def _refuse_shared(patients: Mapping[str, list[Case]], others: Sequence[Case]) -> None:
    if both := sorted({case.patient for case in others} & patients.keys()):
        raise DataError(
            [f"patient {p!r} is in both sets, {patients[p][0].image} in one; remove it from one" for p in both]
        )


def joined(cases: Sequence[Case], image_sha256: Mapping[str, str]) -> list[Case]:
    """The same cases, with one patient for all whose images have the same pixels, so that folds keep them together.

    image_sha256: hash of each id's pixels. A picture under two ids is one patient's, whatever the names say; in two
    folds the network would be tested on what it was trained on. The first name in the alphabet stays. A set
    without such doubles comes back as it is, so its folds do not move.
    """
    first: dict[str, str] = {}  # patient -> an earlier one of the same group, itself where there is none

    def group(patient: str) -> str:
        while first.setdefault(patient, patient) != patient:
            patient = first[patient]
        return patient

    owner: dict[str, str] = {}
    for case in cases:
        here, there = group(case.patient), group(owner.setdefault(image_sha256[case.id], case.patient))
        first[max(here, there)] = min(here, there)
    return [replace(case, patient=group(case.patient)) for case in cases]


def _by_patient(cases: Iterable[Case]) -> dict[str, list[Case]]:
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.patient].append(case)
    return groups


def _deal(patients: dict[str, list[Case]], parts: int, salt: str) -> list[set[str]]:
    """Deal patients round robin, stratum after stratum, in the order of their hashes.

    The dealing goes on where the stratum before left off, so that sizes differ by one patient at most.
    """

    def order(patient: str) -> tuple[int, str]:
        diseased = max(int(case.attributes.get("tb", 0)) for case in patients[patient])
        return diseased, hashlib.sha256(f"{salt}:{patient}".encode()).hexdigest()

    dealt: list[set[str]] = [set() for _ in range(parts)]
    for position, patient in enumerate(sorted(patients, key=order)):
        dealt[position % parts].add(patient)
    return dealt


def _ids(groups: Iterable[list[Case]]) -> tuple[str, ...]:
    return tuple(sorted(case.id for group in groups for case in group))

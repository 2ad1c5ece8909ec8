"""The trials of a study, in an Optuna journal file that several commands share. A killed command leaves it valid."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.running import lock
from bench.tune.space import Axis, Params
from lungseg import atomic
from lungseg.errors import DataError, EnvironmentFailure

OK, DIVERGED, INTERRUPTED, RUNNING, WAITING = "ok", "diverged", "interrupted", "running", "waiting"
ENOUGH = 40  # completed trials; where 2 of 11 parameters decided, 16 named neither of them and 40 both


@dataclass(frozen=True)
class Trial:
    """One trial of the journal. status: one of those above, or how it failed. value: mean inner Dice, None
    unless ok. about: what its worker noted when it ended."""

    number: int
    status: str
    params: Params
    value: float | None
    about: Mapping[str, Any]

    @property
    def answered(self) -> bool:
        """Whether it counts as tried: scored, or diverged, which is an answer too."""
        return self.status in (OK, DIVERGED)


class Journal:
    """A study's trials. ``ask`` and ``tell`` take turns with other workers; a killed one's trials are tried again.

    first: parameters of trial 0. Raises EnvironmentFailure without Optuna, DataError for a journal that cannot be read.
    """

    def __init__(self, folder: Path, axes: Sequence[Axis], first: Params) -> None:
        self.optuna, self.folder, self.axes, self.first = library(), folder, axes, first
        self.worker, self.requested = "", dict[int, Any]()
        self.path = folder / "journal.log"
        with self.turn():
            self.study = self._opened()
            if not self.study.get_trials(deepcopy=False):
                self.study.enqueue_trial(dict(first))

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the study's lock while the block runs. The journal has whole lines then: what a kill or a full disk left
        of one would be joined to the next."""
        with lock.turn(self.folder / "study.lock"):
            try:
                with self.path.open("ab+") as file:
                    file.seek(0)
                    text = file.read()
                    if not text.endswith(b"\n"):
                        file.truncate(text.rfind(b"\n") + 1)
            except OSError as error:
                raise atomic.refused(self.path, error) from error
            yield

    @contextmanager
    def working(self) -> Iterator[None]:
        """Register as one of the study's workers while the block runs; no other worker takes its trials then."""
        with ExitStack() as stack:
            with self.turn():
                for path in self.folder.glob("workers/*"):
                    if not lock.is_owned(path):
                        path.unlink()  # a missing lock has no owner either
                self.worker = uuid.uuid4().hex
                stack.enter_context(lock.owned(self._of(self.worker)))
            yield

    def ask(self, trials: int) -> Trial | None:
        """The next trial, marked as this worker's; None where as many as wished are answered or under way.

        First come those that a killed worker left. The sampler's seed is a function of how many trials were started and
        not interrupted: a search that was killed proposes what an undisturbed one would, and two workers that ask
        before either has told do not get the same random draw.
        """
        with self.turn():
            self._take_back()
            known = self.trials()
            if sum(trial.answered or trial.status == RUNNING for trial in known) >= trials:
                return None
            started = sum(trial.status not in (INTERRUPTED, WAITING) for trial in known)
            seed = int.from_bytes(hashlib.sha256(f"0:{started}".encode()).digest()[:4], "big")
            self.study.sampler = self.optuna.samplers.TPESampler(seed=seed)
            requested = self.study.ask(fixed_distributions=self._distributions())
            requested.set_user_attr("worker", self.worker)
            self.requested[requested.number] = requested
            return Trial(requested.number, RUNNING, dict(requested.params), None, {})

    def tell(self, number: int, status: str, value: float | None = None, **about: Any) -> None:
        """Store how a trial of this worker ended. about: further JSON-ready notes."""
        with self.turn():
            self.requested.pop(number).set_user_attr("about", {"status": status, "value": value, **about})
            self._end(number, status, value)

    def trials(self) -> list[Trial]:
        """All of them, in order."""
        return [_trial(trial) for trial in self.study.get_trials(deepcopy=False)]

    def others_run(self) -> bool:
        """Whether another worker has a trial under way."""
        with self.turn():
            self._take_back()
            return any(trial.status == RUNNING for trial in self.trials())

    def importances(self) -> dict[str, float] | None:
        """Share of each parameter in what sets good trials apart, None while there are too few trials.

        PED-ANOVA (Watanabe et al. 2023, IJCAI): by how much the parameter's distribution among the best tenth differs
        from the one among all.
        """
        if sum(trial.status == OK for trial in self.trials()) < ENOUGH:
            return None
        result = self.optuna.importance.get_param_importances(self.study)
        return {name: float(share) for name, share in result.items()}

    def _opened(self) -> Any:
        optuna = self.optuna
        try:
            # whoever writes holds the study's lock, which ends with its holder; Optuna's own outlives a kill
            backend = optuna.storages.journal.JournalFileBackend(str(self.path), lock_obj=threading.Lock())
            storage = optuna.storages.JournalStorage(backend)
            return optuna.create_study(
                storage=storage,
                study_name="tune",
                direction="maximize",
                sampler=optuna.samplers.RandomSampler(seed=0),  # of no draw: each ask sets its own
                load_if_exists=True,
            )
        except OSError as error:
            raise atomic.refused(self.path, error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{self.path}: cannot be read ({error}); remove {self.folder} to start again; its trainings are lost "
                "then"
            ) from error

    def _end(self, number: int, status: str, value: float | None) -> None:
        """A diverged trial is reported as pruned, so that the sampler learns to avoid it; a crash, a lack of memory or
        a time-out is not the recipe's fault and teaches nothing."""
        states = self.optuna.trial.TrialState
        self.study.tell(number, value, state={OK: states.COMPLETE, DIVERGED: states.PRUNED}.get(status, states.FAIL))

    def _take_back(self) -> None:
        """End the trials of workers that have ended, and put their parameters in line again, once.

        One whose end was noted but not reported is reported now. Where a kill came before all parameters were drawn,
        there is nothing to put in line: the same seed draws the same ones again.
        """
        trials = self.study.get_trials(deepcopy=False)
        repeated = {trial.user_attrs.get("again_of") for trial in trials}
        for trial in trials:
            worker = trial.user_attrs.get("worker")
            if trial.state.name != "RUNNING" or (worker and lock.is_owned(self._of(worker))):
                continue
            if about := trial.user_attrs.get("about"):
                self._end(trial.number, about["status"], about["value"])
                continue
            params = trial.system_attrs.get("fixed_params") or trial.params
            if params.keys() == self.first.keys() and trial.number not in repeated:
                self.study.enqueue_trial(dict(params), user_attrs={"again_of": trial.number})
            self._end(trial.number, INTERRUPTED, None)

    def _of(self, worker: str) -> Path:
        return self.folder / "workers" / worker

    def _distributions(self) -> dict[str, Any]:
        of = self.optuna.distributions
        return {
            axis.name: of.CategoricalDistribution(axis.choices)
            if axis.choices
            else of.IntDistribution(int(axis.low), int(axis.high))
            if axis.whole
            else of.FloatDistribution(axis.low, axis.high, log=axis.log)
            for axis in self.axes
        }


def _trial(frozen: Any) -> Trial:
    about = frozen.user_attrs.get("about", {"status": INTERRUPTED})
    status = {"RUNNING": RUNNING, "WAITING": WAITING}.get(frozen.state.name, about["status"])
    params = frozen.params or frozen.system_attrs.get("fixed_params", {})
    return Trial(frozen.number, status, dict(params), about["value"] if status == OK else None, about)


def library() -> Any:
    """Optuna, imported now. Raises EnvironmentFailure where it is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise EnvironmentFailure(
            f"tuning needs Optuna, which cannot be imported ({error}); pip install -e '.[tune]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # the study's own lines say what a person wants to know
    return optuna

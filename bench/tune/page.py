"""The page of a search and its table of trials, from its record: first the gain on held-out images, then how the
search was done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.markdown import (
    NONE,
    code,
    counted,
    duration,
    escape,
    generated,
    paragraph,
    percent,
    ratio,
    table,
    unbroken,
    with_interval,
)
from bench.names import display, file_slug
from bench.statistics import pairs
from bench.statistics.resampling import Interval
from bench.statistics.scores import Scores
from bench.statistics.verdicts import Pair
from bench.tune.space import Axis
from lungseg import csv_file

_TRIAL = {"trial": "number", "status": "status", "dice": "value", "seconds": "seconds", "error": "error"}
SHOWN = 4  # trials that stand side by side on a page


def page(result: Mapping[str, Any], trials_file: str) -> str:
    """The Markdown of one search; the same record gives the same bytes. trials_file: the table of all trials."""
    study = result["study"]
    blocks = [
        generated("the record beside it", "tune"),
        f"# Tuning {escape(display(study['architecture']))} at {' x '.join(map(str, study['size']))} px, width"
        f" {study['width']}, protocol {study['protocol']}: suite {escape(study['suite'])}, fold {study['fold']}",
        paragraph(f"**What is the held-out gain?** {held_out_gain(result)}"),
        paragraph(f"**What was the inner score?** {inner_score(result)}"),
        paragraph(f"**What did it cost?** {cost(result)}"),
    ]
    if len(result["sources"]) > 1:
        blocks.append(paragraph(
            f"**Mixed**: {len(result['sources'])} versions of the code made its trainings. For a consistent "
            "comparison, remove the study's folder and search again."
        ))  # fmt: skip
    blocks += ["## The two recipes", _recipes(result), paragraph(_influence(result))]
    if result["held_out"]:
        blocks += ["## Held-out images", _held_out(result)]
    blocks += ["## The best trials", *_trials(result, trials_file), "## How it was done", _protocol(result)]
    return "\n\n".join(blocks) + "\n"


def trials_csv(result: Mapping[str, Any]) -> str:
    """Every trial with its recipe: ``dice`` as the search compared them, a mean over images."""
    names = [axis["name"] for axis in result["study"]["space"]]
    rows = [
        {
            **{name: str(value) for name, value in (trial["recipe"] or {}).items()},
            **{name: "" if trial[key] is None else str(trial[key]) for name, key in _TRIAL.items()},
        }
        for trial in result["trials"]
    ]
    return csv_file.text([*_TRIAL, *names], rows)


def compared(search: Mapping[str, Any]) -> Pair | None:
    """The best recipe minus the suite's own on the held-out images: paired by image, resampled over patients and
    seeds. None where they are one recipe, not judged, or judged on too few patients."""
    held = search["held_out"]
    if not held or len(held["dice"]) < 2:
        return None
    result = pairs.compared(_scores(held))
    return result[0].seen_from("best") if result else None


def improvement(held: Mapping[str, Any]) -> Interval:
    """P(best recipe > suite's own) on an image of a patient."""
    of = _scores(held)
    return pairs.improvement(of["best"], of["default"])


def _scores(held: Mapping[str, Any]) -> dict[str, Scores]:
    """Held-out scores of each recipe."""
    shared = tuple(held["seeds"]), tuple(held["images"]), tuple(held["patients"])
    return {name: Scores((), *shared, {"dice": np.array(dice)}) for name, dice in held["dice"].items()}


def _mean(scores: Scores) -> float:
    """Mean Dice over patients, of each the mean over its images and all seeds: as on every leaderboard."""
    return scores.over_patients(scores.mean_over_seeds("dice"))


def held_out_gain(result: Mapping[str, Any]) -> str:
    """The answer, in words that say no more than the interval does."""
    held = result["held_out"]
    if not held:
        return "Not known yet: the two recipes were not trained and scored on the held-out fold."
    n, patients, seeds = len(held["images"]), len(set(held["patients"])), counted(len(held["seeds"]), "seed")
    mean = {name: ratio(_mean(one)) for name, one in _scores(held).items()}
    where = f"the {n} images ({patients} patients) of fold {result['study']['fold']}, unseen by the search"
    if "best" not in held["dice"]:
        return f"None: no recipe was better than the suite's own, which reaches Dice {mean['default']} on {where}."
    numbers = (
        f"the best recipe found reaches Dice {mean['best']} and the suite's own {mean['default']}"
        f" (means over patients), both {_budget(result['study'])}"
    )
    pair = compared(result)
    if pair is None:
        return f"On {where}, {numbers}. There are too few patients to generalise to others."
    if not pair.difference.excludes(0.0):
        verdict = "The 95 % interval includes 0, so no gain is shown."
    elif pair.difference.value > 0:
        verdict = "The 95 % interval excludes 0."
    else:
        verdict = "The 95 % interval excludes 0, so the search reduced Dice."
    weights = "" if pair.generalises_over_seeds else f" With {seeds} this compares these weights, not the recipes."
    return (
        f"On {where}, {numbers}. The difference is {with_interval(pair.difference, sign=True)} ({seeds}). {verdict}"
        f"{weights} This is the result of one fold; a search on another fold may find something else."
    )


def inner_score(result: Mapping[str, Any]) -> str:
    """The inner scores, and why they are not the answer."""
    inner = result["inner"]
    best, scored = inner["best"], sum(trial["status"] == "ok" for trial in result["trials"])
    if "best" not in result["recipes"]:
        return (
            f"On the {len(best['cases'])} images of the search, the suite's own recipe reached "
            f"{ratio(best['value'])} (out of fold, mean over images). None of {scored - 1} others scored higher."
        )
    local = (
        f"the suite's own recipe {ratio(inner['default']['value'])}"
        if "default" in inner
        else "the suite's own recipe has no score"
    )
    return (
        f"On the {len(best['cases'])} images of the search, trial {best['trial']} reached {ratio(best['value'])} and "
        f"{local} (out of fold, mean over images). The highest of {scored} scores is biased upwards by selection, so "
        "the gain above is measured on other images."
    )


def cost(result: Mapping[str, Any]) -> str:
    """Trials and time."""
    status = [trial["status"] for trial in result["trials"]]
    answered = status.count("ok") + status.count("diverged")
    failed = sum(one not in ("ok", "diverged", "interrupted", "running", "waiting") for one in status)
    extras = [
        f"{n} {what}"
        for n, what in (
            (status.count("diverged"), "of them diverged"),
            (failed, "more failed"),
            (status.count("interrupted"), "more interrupted with their command and not counted"),
        )
        if n
    ]
    words = f" ({', '.join(extras)})" if extras else ""
    machine = result["machine"]
    return (
        f"{answered} of {result['wished']} trials{words}. The training processes took {duration(result['seconds'])} in "
        f"total on {escape(machine['device'])}: {escape(machine['cpu'])}, {machine['threads']} thread each."
    )


def _recipes(result: Mapping[str, Any]) -> str:
    local, best, shares = result["recipes"]["default"], result["recipes"].get("best"), result["importances"] or {}
    rows = [
        [code(axis.name), axis.span, _value(local[axis.name]), _value(best[axis.name]) if best else NONE,
         percent(shares[axis.name]) if axis.name in shares else NONE]
        for axis in map(Axis.from_dict, result["study"]["space"])
    ]  # fmt: skip
    return table(["Parameter", "Searched", "Suite's own", "Best found", "Influence"], rows, left=2)


def _influence(result: Mapping[str, Any]) -> str:
    if result["importances"] is None:
        return "Influence is not estimated from fewer than 40 scored trials, because it would be noise."
    return (
        "Influence is estimated by PED-ANOVA (Watanabe et al. 2023). It measures how far a parameter's distribution in "
        "the best tenth of the trials differs from that in all trials, as a share of the sum over parameters."
    )


def _held_out(result: Mapping[str, Any]) -> str:
    held, pair = result["held_out"], compared(result)
    names = {"best": "Best found", "default": "Suite's own"}
    rows = []
    for name, result_of in _scores(held).items():
        of_seeds = [ratio(result_of.over_patients(seed)) for seed in result_of.values["dice"]]
        rows.append([names[name], ratio(_mean(result_of)), *of_seeds])
    rows.sort()
    text = table(["Recipe", "Dice", *(f"Seed {seed}" for seed in held["seeds"])], rows)
    if pair is None:
        return text
    ahead = improvement(held)
    lines = [
        f"Best found minus suite's own: {with_interval(pair.difference, sign=True)} (95 % interval over patients and"
        " seeds). Within these trainings, the best recipe has the higher Dice on an image with probability"
        f" {with_interval(ahead, digits=2)} (95 % interval over patients only)."
    ]
    if ahead.excludes(0.5) and not pair.difference.excludes(0.0):
        lines.append(
            "This is no contradiction. One recipe is better on most images, but the margin is small and varies between"
            " seeds, so other seeds could reverse the mean difference."
        )
    return "\n\n".join([text, paragraph(" ".join(lines))])


def _trials(result: Mapping[str, Any], trials_file: str) -> list[str]:
    """The trials of the highest scores side by side, and the errors of those that have one."""
    scored = sorted(
        (trial for trial in result["trials"] if trial["status"] == "ok"),
        key=lambda trial: (-trial["value"], trial["number"]),
    )[:SHOWN]
    rows = [["Dice", *(ratio(trial["value"]) for trial in scored)]]
    for axis in result["study"]["space"]:
        rows.append([code(axis["name"]), *(_value(trial["recipe"][axis["name"]]) for trial in scored)])
    rows.append(["Training time", *(unbroken(duration(trial["seconds"])) for trial in scored)])
    all_of_them = f"All {counted(len(result['trials']), 'trial')}: [{escape(trials_file)}]({file_slug(trials_file)})."
    blocks = [table(["Parameter", *(f"Trial {trial['number']}" for trial in scored)], rows), all_of_them]
    errors = [f"Trial {trial['number']}: {escape(trial['error'])}" for trial in result["trials"] if trial["error"]]
    return [*blocks, "\n".join(paragraph(line, "- ") for line in errors)] if errors else blocks


def _protocol(result: Mapping[str, Any]) -> str:
    study, images = result["study"], result["images"]
    lines = [
        f"Suite {escape(study['suite'])} with {escape(display(study['architecture']))} {_budget(study)}, recipe "
        f"{escape(study['recipe']['name'])}. Settings that the table of recipes does not list were left unchanged.",
        f"The search used the {images['searched']} training and validation images of fold {study['fold']} and none of "
        f"its {images['held_out']} test images. It split them by patient into {len(study['inner'])} inner folds. A "
        f"trial trained on each inner fold with seed {study['seed']} and kept the weights of the best validation "
        "epoch. Its score is the mean hard Dice over all images, each predicted out of fold.",
        "Trial 0 is the suite's own recipe. TPE (Bergstra et al. 2011) of Optuna "
        f"{escape(result['optuna'])} proposed the others, the first ten at random.",
        "Both recipes were then trained on the fold's own training images with the same seeds. The weights of the "
        "best epoch on its validation images were kept and scored on its test images.",
        f"The search has seen test images of the suite's other folds. Only fold {study['fold']} therefore shows how "
        "the recipe performs on patients that it was not selected on.",
        *_looks(result),
    ]
    return "\n".join(paragraph(line, "- ") for line in lines)


def _looks(result: Mapping[str, Any]) -> list[str]:
    looks = result["looks"]
    if len(looks) < 2:
        return []
    return [
        f"The held-out fold was evaluated {len(looks)} times as the search continued (best trials "
        f"{', '.join(map(str, looks))}), so the last evaluation is not the first look at it."
    ]


def _budget(study: Mapping[str, Any]) -> str:
    """What both recipes had, which need not be what the suite has."""
    size = " x ".join(map(str, study["size"]))
    return f"at {size} px, width {study['width']}, {study['recipe']['epochs']} epochs"


def _value(value: float | int | str) -> str:
    return f"{value:g}" if isinstance(value, float) else escape(value)

"""Dice and speed over commits, from records."""

from __future__ import annotations

import pytest
from records import grid, parsed, save, sealed

from bench.__main__ import main
from bench.figures.history import history, points

FIRST, SECOND = "a" * 40, "b" * 40


def made(commit: str | None, day: int, dirty: bool = False, **more: object) -> list[dict]:
    records = grid(("unet", "resunet"), suite="quick", folds=2, n=24, **more)
    for record in records:
        record["source"] = {"commit": commit, "dirty": dirty, "sha256": "0"}
        record["finished"] = f"2026-01-{day:02d}T00:00:00+00:00"
    return records


def test_a_point_is_a_network_s_mean_over_all_images_of_a_commit_in_the_order_of_time() -> None:
    later, earlier = made(FIRST, 9), made(SECOND, 3)
    result = points(parsed([*later, *earlier]))
    assert [point.commit for point in result] == ["bbbbbbb", "bbbbbbb", "aaaaaaa", "aaaaaaa"]
    unet = next(p for p in result if p.commit == "aaaaaaa" and p.network.startswith("unet"))
    local = [r for r in later if r["cell"]["architecture"] == "unet"]
    dice = [case["dice"] for r in local for case in r["cases"]]
    assert unet.dice == pytest.approx(sum(dice) / 24)
    assert unet.n == len(dice) == 24
    seconds = sum(sum(r["history"]["seconds"]) for r in local)
    seen = sum(len(r["split"]["train"]) * len(r["history"]["seconds"]) for r in local)
    assert unet.rate == pytest.approx(seen / seconds)


def test_what_knows_no_commit_is_left_out() -> None:
    assert points(parsed([*made(None, 1), *made(FIRST, 2, dirty=True)])) == []
    assert history(parsed(made(None, 1))) is None


def test_the_verb_draws_what_the_records_tell(tmp_path, capsys) -> None:
    save(tmp_path, [sealed(r) for r in made(FIRST, 3)])
    assert main(["history", "quick", "--results", str(tmp_path)]) == 0
    assert (tmp_path / "figures" / "quick-history.png").stat().st_size > 5000
    save(tmp_path / "changed", [sealed(r) for r in made(FIRST, 3, dirty=True)])
    assert main(["history", "quick", "--results", str(tmp_path / "changed")]) == 2
    assert "without uncommitted changes" in capsys.readouterr().err

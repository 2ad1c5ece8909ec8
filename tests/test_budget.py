"""Who had not converged when the epochs ran out."""

import pytest
from records import grid, leaderboards, sealed

from bench.pages.answers import converged, rising
from bench.records.record import not_converged


@pytest.mark.parametrize(("last", "count"), [(0.90, 5), (0.8001, 0)])
def test_who_was_still_rising_is_counted(last, count):
    curve = [0.8] * 9 + [last]
    made = grid(("unet",), n=30)
    history = {key: values[:10] for key, values in made[0]["history"].items()} | {"val_dice": curve}
    (leaderboard,) = leaderboards([sealed({**r, "history": history, "best_epoch": 9}) for r in made])
    assert [result[1:] for result in rising(leaderboard)] == [(count, 5)]


@pytest.mark.parametrize(
    ("curve", "expected"), [([0.5, 0.6], False), ([0.5] * 4 + [0.9], True), ([0.5, 0.9, 0.7, 0.7, 0.8], False)]
)
def test_still_rising_looks_at_the_best_of_the_last_fifth(curve, expected):
    assert not_converged(curve) is expected


def test_a_page_says_who_had_not_converged_off():
    """Two of five trainings of one row, none of the other: the order is that of this budget."""
    flat, steep = [0.8] * 10, [0.8] * 9 + [0.9]
    curves = {("unet", fold): steep if fold < 2 else flat for fold in range(5)}
    made = [
        sealed(
            {
                **r,
                "best_epoch": 9,
                "history": {key: values[:10] for key, values in r["history"].items()}
                | {"val_dice": curves.get((r["cell"]["architecture"], r["cell"]["fold"]), flat)},
            }
        )
        for r in grid(("unet", "resunet"), n=30)
    ]
    (leaderboard,) = leaderboards(made)
    assert "at the last epoch of unet in 2 of 5 trainings." in converged(leaderboard)
    (leaderboard,) = leaderboards([r for r in made if r["cell"]["architecture"] == "resunet"])
    assert converged(leaderboard) is None

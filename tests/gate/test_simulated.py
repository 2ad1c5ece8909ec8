"""The gate as a product, on the committed per-image scores; tests/gate/simulate.py has the model and a longer table."""

from pathlib import Path

import pytest
from simulate import alarms, everywhere, nothing, on_a_fifth

RESULTS = Path(__file__).resolve().parent.parent.parent / "results"


def test_no_false_alarm_in_100_reruns_of_equal_code():
    assert alarms(RESULTS, nothing, noise=1, reruns=100) == 0


@pytest.mark.parametrize("loss", [everywhere, on_a_fifth])
def test_a_loss_of_a_hundredth_in_one_architecture_is_found_in_99_of_100(loss):
    assert alarms(RESULTS, loss, noise=1, reruns=100, of="unet") >= 99

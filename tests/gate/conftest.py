"""A baseline for every test of the gate that does not make its own."""

import pytest
import summaries


@pytest.fixture
def baseline():
    return summaries.smoke()

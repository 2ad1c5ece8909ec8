"""Our metrics against independent ones. The long run (`make test-all`) tries thousands; MONAI and its like are the
extra `oracles`, which nothing else needs. What was found is in TABLE.md, by table.py."""

import pytest
from comparisons import COMPARISONS, tally

SHORT = {"scikit-learn": 60, "brute force": 200}


def check(name, n):
    comparison = COMPARISONS[name]
    pytest.importorskip(comparison.package, reason=f"{name} is not installed: pip install -e '.[oracles]'")
    result = tally(comparison, n)
    assert result
    for metric, row in result.items():
        allowed = comparison.allowed(metric)
        assert row.tried > n // 3, f"{metric}: only {row.tried} pairs"
        assert allowed is None or row.largest <= allowed, f"{metric}: {row.largest} apart"


@pytest.mark.parametrize("name", SHORT)
def test_metrics_agree_on_a_few_pairs(name):
    check(name, SHORT[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPARISONS)
def test_metrics_agree_on_many_pairs(name):
    check(name, COMPARISONS[name].long)

"""What every test shares: a fixed environment, Hypothesis profiles, the opt-in to real data, fixtures of many files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Set before anything imports keras: a backend reads these once. Child processes inherit them.
_ENVIRONMENT = {
    "KERAS_BACKEND": "tensorflow",
    "KERAS_HOME": str(ROOT / ".cache" / "keras"),  # no developer's keras.json may decide a test
    "MPLBACKEND": "agg",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # One thread: their number changes rounding, and so trained weights.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_ENABLE_ONEDNN_OPTS": "1",  # as in a cell: TensorFlow's own choice differs between makes of processor
}
for _name, _value in _ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)

import pytest  # noqa: E402
from hypothesis import HealthCheck, Phase, settings  # noqa: E402

# It asserts for the tests that import it: a failure tells both sides, as in a test.
pytest.register_assert_rewrite("chest_set")

# fast: the same examples every time, so that a failure is the change's and not the draw's.
settings.register_profile(
    "fast", derandomize=True, deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow]
)
# long: `make test ARGS=--hypothesis-profile=long` looks further, with new examples each time.
settings.register_profile(
    "long", deadline=None, max_examples=1000, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
# mutation: the first examples of `fast`; a failure is not made small, since nobody reads it (tests/mutation.py).
settings.register_profile(
    "mutation", settings.get_profile("fast"), max_examples=10, phases=[Phase.explicit, Phase.generate]
)
settings.load_profile("fast")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-table", type=Path, metavar="PATH", help="write the table of faults and their tests here")


def pytest_configure(config: pytest.Config) -> None:
    if path := config.getoption("--fault-table"):
        if config.getoption("numprocesses", None):
            raise pytest.UsageError("--fault-table sees the tests of one process only: add WORKERS=0")
        from fault_table import FaultTable

        config.pluginmanager.register(FaultTable(path), "fault-table")


@pytest.fixture(scope="module")
def faulty() -> Iterator[None]:
    """The small architectures of ``faulty/`` and their recipe, in this process and in the cells' processes."""
    from lungseg import ARCHITECTURES, recipes

    folder = ROOT / "tests" / "faulty"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(ROOT)]))
        patch.setattr(ARCHITECTURES, "_entries", dict(ARCHITECTURES._entries))
        patch.setattr(recipes, "RECIPES", dict(recipes.RECIPES))
        patch.delitem(sys.modules, "sitecustomize", raising=False)
        __import__("sitecustomize")
        yield
        del sys.modules["sitecustomize"]


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The labels of all trainings that a study asked for; they are made up (made_up_study.py)."""
    from made_up_study import made_up

    from bench.tune.study import Study

    requested = []

    def trained(self, recipe, fold, seed, label):
        requested.append(label)
        return made_up(self, recipe, fold, seed, label)

    monkeypatch.setattr(Study, "trained", trained)
    return requested


@pytest.fixture
def own_environment() -> Iterator[None]:
    """Variables of the environment as they were, after a command that sets some in this process."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder that LUNGSEG_DATA names, with `Montgomery/` and `Shenzhen/`; skips where it names none."""
    folder = os.environ.get("LUNGSEG_DATA")
    if not folder:
        pytest.skip("real data is opt-in: LUNGSEG_DATA=<folder with Montgomery/ and Shenzhen/>")
    if not Path(folder).is_dir():
        pytest.fail(f"LUNGSEG_DATA={folder!r} is not a folder", pytrace=False)
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def real_montgomery(real_data: Path) -> Path:
    """Root of the real Montgomery set (`img/`, `mask/`, `metadata.csv`)."""
    return _part(real_data, "Montgomery")


@pytest.fixture(scope="session")
def real_shenzhen(real_data: Path) -> Path:
    """Root of the real Shenzhen set (`img/`, `mask/`)."""
    return _part(real_data, "Shenzhen")


def _part(folder: Path, name: str) -> Path:
    if not (folder / name).is_dir():
        pytest.skip(f"LUNGSEG_DATA holds no {name}/")
    return folder / name

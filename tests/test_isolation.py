"""A cell that fails costs itself alone: the others' results are bit for bit what they are without it."""

from dataclasses import replace

import pytest
import two_seeds
from records import leaderboards

from bench import machine
from bench.pages import report
from bench.records import store
from bench.records.results import Results
from bench.running import data, suite_run
from bench.running.progress import Display
from bench.running.training import fingerprint_inputs
from bench.suites import cells
from lungseg.errors import DataError

pytestmark = pytest.mark.usefixtures("faulty")
SOUND = replace(two_seeds.SUITE, name="smoke", fold_subset=(0, 1), seeds=(0,))
LIMIT_S = 15.0  # of the one that sleeps


def run(folder, suite, wanted):
    """Outcomes and records by cell id."""
    root = data.resolve_root(suite, None, Results(folder))
    suite_data = data.load_suite_data(suite, root, Results(folder))
    made_from = {cell.id: fingerprint_inputs(cell, suite_data) for cell in wanted}
    with Display(wanted, suite.workers) as display:
        outcomes = suite_run.run_cells(wanted, suite, root, Results(folder), made_from, display)
    records = {r.name: dict(r.document) for r in Results(folder).all()}
    return dict(zip([cell.id for cell in wanted], outcomes, strict=True)), records


@pytest.fixture(scope="module")
def alone(tmp_path_factory, faulty):
    """Records of the two sound cells, from a run in which none fails: of the suite that other tests train, too."""
    wanted = {cell.id for cell in cells(SOUND)}
    records = {r.name: dict(r.document) for r in Results(two_seeds.trained(tmp_path_factory)).all()}
    return {name: record for name, record in records.items() if name in wanted}


@pytest.fixture(scope="module")
def among(tmp_path_factory, faulty):
    """Folder, outcomes and records of the two sound cells among six that fail."""
    mixed = replace(SOUND, architectures=("hog", "sleeper", "aborter", "tiny", "diverger", "liar", "irreproducible"))
    wanted = [c for c in cells(mixed) if c.architecture == "tiny" or c.fold == 0]
    wanted = [replace(c, timeout_s=LIMIT_S) if c.architecture == "sleeper" else c for c in wanted]
    folder = tmp_path_factory.mktemp("among")
    return (folder, *run(folder, mixed, wanted))


@pytest.mark.fault("F54", "F63")
def test_sound_cells_are_unchanged_to_the_bit(alone, among):
    _, outcomes, records = among
    assert len(alone) == 2
    for name, record in alone.items():
        assert outcomes[name].status == record["status"] == "ok"
        for key in ("fingerprint", "cases", "best_epoch", "weights_sha256", "data", "split"):
            assert records[name][key] == record[key], key
        for curve in ("loss", "val_loss", "val_dice"):
            assert records[name]["history"][curve] == record["history"][curve]


@pytest.mark.parametrize(
    ("name", "status", "message"),
    [
        pytest.param("hog", "oom", "allocate", marks=pytest.mark.fault("F54")),
        pytest.param("sleeper", "timeout", "not finished within 15 s", marks=pytest.mark.fault("F63")),
        pytest.param("aborter", "crashed", "code -6", marks=pytest.mark.fault("F54")),
        pytest.param("diverger", "diverged", "epoch 1: ", marks=pytest.mark.fault("F51")),
        pytest.param("liar", "contract", "instead of 0 to 1", marks=pytest.mark.fault("F56")),
        pytest.param("irreproducible", "contract", "no deterministic kernel", marks=pytest.mark.fault("F66")),
    ],
)
def test_a_failed_cell_is_recorded_with_its_cause_and_memory(among, name, status, message):
    _, outcomes, records = among
    record = records[f"{name}.phantom.f0.s0"]
    assert outcomes[f"{name}.phantom.f0.s0"].status == record["status"] == status
    assert message in record["error"]["message"]
    assert record["peak_memory_bytes"] > 50e6
    assert record["machine"]["device_kind"] == machine.device_kind()
    assert store.is_sealed(record)
    if name == "hog":  # no error of ours, so its log says where
        assert "Traceback" in record["error"]["stderr_tail"]
    if name == "diverger":
        assert record["history"]["loss"] == [None]


@pytest.mark.fault("F51", "F54", "F63")
def test_the_report_shows_failed_cells_and_ranks_nothing_because_of_them(among):
    folder, _, records = among
    report.write(Results(folder), figures=False)
    page = (folder / "smoke.md").read_text(encoding="utf-8")
    for name, record in records.items():
        if record["status"] != "ok":
            assert f"| {name}" in page.replace("\\", "")
    (leaderboard,) = leaderboards(Results(folder).all())
    assert len(leaderboard.failed) == 6


@pytest.mark.fault("F43")
def test_data_that_changed_after_the_parent_looked_ends_the_cell(tmp_path):
    root = data.resolve_root(SOUND, None, Results(tmp_path))
    suite_data = data.load_suite_data(SOUND, root, Results(tmp_path))
    cell = cells(SOUND)[0]
    stale = {**fingerprint_inputs(cell, suite_data), "data": "what it was before"}
    changed = pytest.raises(DataError, match="data of the set changed since the run began")
    with Display([cell], 1) as display, changed:
        suite_run.run_cells([cell], SOUND, root, Results(tmp_path), {cell.id: stale}, display)
    assert Results(tmp_path).all() == [], "it is not the cell that is at fault"

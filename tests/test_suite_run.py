"""What is kept and what is trained again, and what may fail after a training without costing its report."""

import sys
import threading
from dataclasses import replace

import pytest
from records import grid, record, save, unlike, validate

import lungseg
from bench import gate, machine, suites
from bench.__main__ import main
from bench.cli import training
from bench.cli.options import parser
from bench.figures import gallery
from bench.pages import report
from bench.records import store
from bench.records.results import Results
from bench.running import graphs, suite_run
from bench.running.executor import Local, Outcome
from bench.running.progress import Display
from bench.statistics import stats
from lungseg import complexity
from lungseg.architectures.blocks import LayerFactory
from lungseg.errors import DataError, UsageError

SUITE = replace(suites.suite("smoke"), architectures=("unet",))
CELL = suites.cells(SUITE)[0]
INPUTS = {"seed": 0}


def stored(results, graph, code):
    """A record of the cell that fits INPUTS, of a network with this graph and made by this code."""
    made_from = {**INPUTS, "graph": graph}
    whole = {**record("unet", 0, n=8, epochs=2), "inputs": made_from, "fingerprint": store.fingerprint(made_from)}
    path = Results(results).path(CELL)
    store.save_record(path, {**whole, "source": {"sha256": code}})
    return path


@pytest.mark.fault("F76")
def test_a_record_of_an_edited_network_is_trained_again(tmp_path, monkeypatch):
    requested = []
    monkeypatch.setattr(graphs, "_ask", lambda names, *_: requested.extend(names) or {"unet": "after"})
    path = stored(tmp_path, "before", "other code")
    today = graphs.graphs_of_edited([(CELL, path)], SUITE, Results(tmp_path))
    assert (requested, today) == (["unet"], {"unet": "after"})
    assert store.find(path, {**INPUTS, "graph": today["unet"]}) is None
    stored(tmp_path, "after", "other code")
    assert store.find(path, {**INPUTS, "graph": today["unet"]})


@pytest.mark.fault("F77")
def test_no_backend_is_asked_of_records_that_todays_code_made(tmp_path, monkeypatch):
    monkeypatch.setattr(graphs, "_ask", lambda *_: pytest.fail("costs seconds"))
    path = Results(tmp_path).path(CELL)
    assert graphs.graphs_of_edited([(CELL, path)], SUITE, Results(tmp_path)) == {}
    stored(tmp_path, "g", machine.sources_sha256("lungseg", "bench"))
    assert graphs.graphs_of_edited([(CELL, path)], SUITE, Results(tmp_path)) == {}


def test_the_child_tells_the_graph_that_a_cell_would_record(tmp_path):
    model = lungseg.build("unet", (*SUITE.size, 1), SUITE.width, LayerFactory())
    result = graphs._ask(["unet", "nonsense"], SUITE, Results(tmp_path), Local())
    assert result == {"unet": complexity.graph_sha256(model), "nonsense": ""}


class Ended:
    """An executor of one job, which stores its record where ``results`` are given and ends so."""

    def __init__(self, results, outcome):
        self.results, self.outcome, self.stopping = results, outcome, threading.Event()

    def submit(self, job, say=None):
        if self.results:
            stored(self.results.root, "g", "c")
        return self.outcome

    def stop(self):
        self.stopping.set()


def test_a_cell_that_dies_after_its_record_is_stored_has_succeeded(tmp_path, monkeypatch):
    executor = Ended(Results(tmp_path), Outcome("oom", 1.0, {"type": "Killed", "message": "", "stderr_tail": ""}))
    with Display([CELL], 1) as display:
        (outcome,) = suite_run.run_cells(
            [CELL], SUITE, tmp_path, Results(tmp_path), {CELL.id: INPUTS}, display, executor
        )
    assert outcome.status == "ok"
    assert [r.status for r in Results(tmp_path).all()] == ["ok"]


def test_a_backend_that_does_not_fit_the_machine_ends_the_run(tmp_path, monkeypatch):
    error = {"type": "UsageError", "message": "install its GPU version", "stderr_tail": ""}
    executor = Ended(None, Outcome("crashed", 1.0, error, explained=True))
    with Display([CELL], 1) as display, pytest.raises(UsageError, match="GPU version"):
        suite_run.run_cells([CELL], SUITE, tmp_path, Results(tmp_path), {CELL.id: INPUTS}, display, executor)


@pytest.mark.parametrize("broken", ["gallery", "speed"])
def test_what_follows_the_training_cannot_cost_its_report(tmp_path, monkeypatch, capsys, broken):
    def fails(*_, **__):
        raise DataError(f"{broken}: no such table; move it away")

    monkeypatch.setattr(suite_run, "train", lambda *_, **__: (save(tmp_path, grid(suite="smoke", n=24)), 0)[::-1])
    monkeypatch.setattr(gallery, "draw", fails if broken == "gallery" else lambda *_: None)
    monkeypatch.setattr(training, "_speed", fails if broken == "speed" else lambda *_, **__: 0)
    assert main(["run", "smoke", "--results", str(tmp_path)]) == 4
    assert (tmp_path / "smoke.md").exists()
    assert "move it away" in capsys.readouterr().err


def test_the_leaderboard_is_told_before_throughput_is_measured(tmp_path, monkeypatch, capsys):
    details = []
    monkeypatch.setattr(suite_run, "train", lambda *_, **__: (save(tmp_path, grid(suite="smoke", n=24)), 0)[::-1])
    monkeypatch.setattr(gallery, "draw", lambda *_: None)
    monkeypatch.setattr(training, "_speed", lambda *_, anew, **__: details.append((capsys.readouterr().out, anew)) or 0)
    assert main(["run", "smoke", "--results", str(tmp_path)]) == 0
    ((before, anew),) = details
    assert "r2unet" in before
    assert not anew
    assert "r2unet" not in capsys.readouterr().out, "once is enough"


def test_a_run_computes_its_leaderboards_once(tmp_path, monkeypatch):
    """Of all records that takes a second, and the page is written before and after what may fail."""
    computed, leaderboards = [], stats.leaderboards
    monkeypatch.setattr(stats, "leaderboards", lambda records: computed.append(records) or leaderboards(records))
    monkeypatch.setattr(suite_run, "train", lambda *_, **__: (save(tmp_path, grid(suite="smoke", n=24)), 0)[::-1])
    monkeypatch.setattr(gallery, "draw", lambda *_: None)
    assert main(["run", "smoke", "--no-speed", "--results", str(tmp_path)]) == 0
    assert (tmp_path / "smoke.md").exists()
    assert len(computed) == 1


@pytest.mark.parametrize(("verb", "code"), [("gate", 141), ("run", 141), ("list", 0)])
def test_a_reader_that_has_gone_never_makes_a_verdict_look_good(monkeypatch, verb, code):
    def gone(_):
        raise BrokenPipeError

    monkeypatch.setattr(f"bench.cli.{parser().parse_args([verb]).module}.{verb}", gone)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.stderr, "close", lambda: None)
        assert main([verb]) == code


def test_an_interruption_names_a_command_that_can_be_pasted(monkeypatch, capsys, tmp_path):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "run", interrupted)
    assert main(["run", "smoke", "--results", str(tmp_path / "my $x")]) == 130
    assert f"-m bench run smoke --results '{tmp_path}/my $x'" in capsys.readouterr().err


def mixed(**inputs):
    """Records of which one was made from something else."""
    records = [{**r, "inputs": {"recipe": {"epochs": 2}, "data": "d", "graph": "g", "fold": r["cell"]["fold"]}}
               for r in grid(("unet",), n=24)]  # fmt: skip
    records[1]["inputs"] = {**records[1]["inputs"], **inputs}
    return [store.sealed({**r, "fingerprint": store.fingerprint(r["inputs"])}) for r in records]


@pytest.mark.fault("F76")
@pytest.mark.parametrize("other", [{"recipe": {"epochs": 3}}, {"data": "e"}, {"graph": "h"}], ids=str)
def test_records_of_two_experiments_are_not_one_comparison(tmp_path, other):
    assert unlike(mixed()) == validate(mixed()) == []
    records = mixed(**other)
    (problem,) = validate(records)
    assert "f1.s0" in problem
    save(tmp_path, records)
    report.write(Results(tmp_path), figures=False)
    assert "**Mixed**" in (tmp_path / "fake.md").read_text()
    with pytest.raises(gate.NotComparable, match="cannot be compared with each other"):
        gate.summarise_results(Results(tmp_path), replace(SUITE, name="fake"))


def test_the_variants_asked_for_are_those_that_are_trained(tmp_path, monkeypatch):
    requested = []

    def interrupted(suite, *_, **__):
        requested.append(suite.recipes)
        raise KeyboardInterrupt

    monkeypatch.setattr(suite_run, "train", interrupted)
    run = ["run", "ablation", "--data", str(tmp_path), "--results", str(tmp_path / "results")]
    monkeypatch.setattr("bench.running.data.resolve_root", lambda *_: tmp_path)
    assert main([*run, "--variants", "plateau, batch-4+elastic"]) == 130
    assert main(run) == 130
    assert requested[0] == ("strong", "strong:plateau", "strong:batch-4+elastic")
    assert requested[1] == suites.suite("ablation").recipes
    assert main([*run, "--variants", "hflip+elastic"]) == 2
    for nothing in ("", "plateau,", ","):
        with pytest.raises(SystemExit):
            main([*run, "--variants", nothing])


def test_entries_of_a_variant_are_asked_of_a_suite_of_that_recipe(tmp_path, monkeypatch):
    requested = []
    monkeypatch.setattr("bench.running.ensemble.make", lambda suite, *_, **__: requested.append(suite) or 0)
    monkeypatch.setattr("bench.running.data.resolve_root", lambda *_: tmp_path)
    made = ["ensemble", "ablation", "--results", str(tmp_path)]
    assert main([*made, "--variant", "plateau"]) == main(made) == 0
    assert [suite.recipe for suite in requested] == ["strong:plateau", "strong"]
    assert requested[0].variants == ()
    assert main([*made, "--variant", "nope"]) == 2


@pytest.mark.parametrize(("columns", "details"), [("40", 60), ("100", 100), ("300", 120)])
def test_the_leaderboard_is_as_wide_as_the_terminal_and_eighty_columns_in_a_log(monkeypatch, columns, details):
    monkeypatch.setenv("COLUMNS", columns)
    assert training.columns() == 80
    monkeypatch.setattr(training.sys.stdout, "isatty", lambda: True)
    assert training.columns() == details


def test_speed_is_measured_at_another_image_size_on_request(tmp_path, monkeypatch, capsys):
    sizes = []
    monkeypatch.setattr(training, "_speed", lambda suite, *_, **__: sizes.append(suite.size) or 0)
    results = ["--results", str(tmp_path)]
    assert main(["speed", "smoke", *results]) == main(["speed", "smoke", "--size", "96", *results]) == 0
    assert sizes == [(48, 80), (96, 96)]
    with pytest.raises(SystemExit):
        main(["speed", "smoke", "--size", "15", *results])
    assert "--size: '15': expected a whole number of at least 16" in capsys.readouterr().err

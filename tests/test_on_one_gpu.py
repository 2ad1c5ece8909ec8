"""The script for a GPU names only verbs and options that exist, and says how it is called: it is run once, by the
minute."""

import shlex
import subprocess

import pytest

from bench.cli.options import parser
from lungseg.provenance import ROOT

SCRIPT = ROOT / "tests/tools/on_one_gpu.sh"
VALUES = {
    '"${one[@]}"': "--arch unet --folds 0 --seeds 1", '"$suite"': "montgomery", '"$workers"': "5", '"$out"': "out",
    '"$out/alone"': "out/alone", '"$precision"': "mixed_bfloat16",
}  # fmt: skip


def stages():
    """The arguments of each stage, its variables replaced."""
    for line in map(str.strip, SCRIPT.read_text(encoding="utf-8").splitlines()):
        if line.startswith("stage ") and not line.endswith("{"):
            for variable, value in VALUES.items():
                line = line.replace(variable, value)
            yield shlex.split(line)[2:]


@pytest.mark.parametrize("arguments", [*stages()], ids=" ".join)
def test_each_stage_is_a_command_of_bench(arguments):
    assert "$" not in " ".join(arguments)
    assert parser().parse_args(arguments).verb == arguments[0]


@pytest.mark.parametrize("arguments", [(), ("none", "out"), (".", "out", "soon")])
def test_nothing_is_begun_by_wrong_arguments(tmp_path, arguments):
    shown = subprocess.run(["bash", SCRIPT, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert (shown.returncode, list(tmp_path.iterdir())) == (2, [])
    assert "on_one_gpu.sh DATA OUT [SECONDS]" in shown.stdout


def test_a_stage_that_has_no_time_is_told_by_the_exit_code(tmp_path):
    shown = subprocess.run(["bash", SCRIPT, tmp_path, tmp_path / "out", "40"], capture_output=True, text=True)
    assert shown.returncode == 4
    assert shown.stdout.count("no time left") == len([*stages()]) + 1, "peers are measured in two precisions"

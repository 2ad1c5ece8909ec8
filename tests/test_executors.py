"""What every executor owes: a good, a crashing, a hanging, a memory-hungry and a killed job, and one that is stopped.

On Ray and SLURM where they are at hand: Ray where it is installed, SLURM where its tools answer.
"""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest
from test_launch import SRUN

from bench import machine
from bench.cli.options import parser
from bench.records import makespan
from bench.running import child
from bench.running.executor import EXECUTORS, LAUNCHES, Job, Stopped
from lungseg.errors import EnvironmentFailure
from lungseg.provenance import ROOT

LIMIT_KIB = 2**20  # of memory that a job may take of this machine's, where Ray watches over it
STARTS = 3  # tries to start Ray, which gives up where its own processes take half a minute to start
# As ssh and sshd: one text to a shell that has another folder and no variable of ours. Host ``down`` is not reached.
SSH = """#!/bin/sh
while [ "$1" != -- ]; do shift; done
[ "$2" != down ] || exit 255
[ "$3" = true ] || echo "$2" >> {hosts}
cd / && exec setsid --wait env -i PATH="$PATH" HOME="$HOME" KERAS_MAX_EPOCHS=1 sh -c "$3"
"""
EXECUTOR = [
    "local",
    "prefix",
    "ssh",
    pytest.param("ray", marks=pytest.mark.slow),  # half a minute to start
    pytest.param("slurm", marks=pytest.mark.slow),
]


def wait_for(what, seconds=20.0):
    end = time.monotonic() + seconds
    while not (result := what()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return result


def ray():
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed: extra `ray`")
    for k in range(STARTS):
        try:
            return EXECUTORS["ray"](workers=2)
        except EnvironmentFailure:
            if k == STARTS - 1:
                raise


def slurm(*more):
    """The executor, and what of its jobs is in the queue. more: words for ``srun``."""
    try:
        answer = subprocess.run(["sinfo", "--noheader", "--format=%T"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        answer = None
    if answer is None or answer.returncode or b"idle" not in answer.stdout:
        pytest.skip("no SLURM with an idle node answers `sinfo`")
    name = f"lungseg-{uuid.uuid4().hex[:8]}"
    words = [*LAUNCHES["slurm"].split(), "--cpus-per-task=1", f"--job-name={name}", *more]
    return EXECUTORS["local"](tuple(words)), lambda: subprocess.check_output(["squeue", "-h", f"--name={name}"])


@pytest.fixture
def ssh(tmp_path, monkeypatch):
    """The preset's words for these hosts, on an ``ssh`` of ours that writes down which hosts were asked."""
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(SSH.format(hosts=tmp_path / "hosts"))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return lambda hosts: parser().parse_args(["run", "quick", "--launch", f"ssh:{hosts}"]).launch


@pytest.fixture(params=EXECUTOR)
def executor(request, tmp_path, monkeypatch):
    """One of a kind; afterwards nothing of its jobs is left."""
    monkeypatch.setattr(child, "GRACE_S", 0.5)
    monkeypatch.setattr(machine, "_elsewhere", {})
    queue = None
    if request.param == "local":
        made = EXECUTORS["local"]()
    elif request.param == "prefix":
        path = tmp_path / "srun"
        path.write_text(SRUN.format(python=sys.executable))
        path.chmod(0o755)
        made = EXECUTORS["local"]((str(path), "--ntasks=1"))
    elif request.param == "ssh":
        monkeypatch.setattr(child, "GRACE_S", 5.0)  # ssh.GRACE_S comes first
        made = EXECUTORS["local"](request.getfixturevalue("ssh")("one,down,two"))
    elif request.param == "ray":
        made = ray()
    else:
        made, queue = slurm()
    yield made
    nothing_left(tmp_path, queue)


def nothing_left(tmp_path, queue):
    """Wait until no process of a job is left, nor anything in the queue, where there is one."""
    if (tmp_path / "pid").exists():
        wait_for(lambda: not runs(pids(tmp_path)[0]))
    if queue:
        wait_for(lambda: not queue(), 60)


@pytest.fixture(params=[pytest.param("ray", marks=pytest.mark.slow), pytest.param("slurm", marks=pytest.mark.slow)])
def executor_with_a_limit(request, tmp_path, monkeypatch):
    """One that ends a job for its memory: SLURM by a cgroup, Ray by its watch over all memory of the node."""
    monkeypatch.setattr(machine, "_elsewhere", {})
    if request.param == "slurm":
        made, queue = slurm("--mem=500M")
        if b"task/cgroup" not in subprocess.check_output(["scontrol", "show", "config"]):
            pytest.skip("this SLURM has no TaskPlugin=task/cgroup, so nothing holds a job to its --mem")
        yield made
        nothing_left(tmp_path, queue)
        return
    memory = {line.split(":")[0]: int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines()}
    taken = 1 - (memory["MemAvailable"] - LIMIT_KIB) / memory["MemTotal"]
    monkeypatch.setenv("RAY_memory_usage_threshold", f"{taken:.4f}")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "100")
    shut_down()
    yield ray()
    nothing_left(tmp_path, None)
    shut_down()


def shut_down():
    """End a cluster that an earlier test made: the watch's limit is set when one starts."""
    if "ray" in sys.modules:
        sys.modules["ray"].shutdown()


def runs(pid):
    """Whether the process is there; one that has ended and waits for its parent to hear of it is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def pids(tmp_path):
    """Of the job's process and of its parent, once it hangs."""
    path = tmp_path / "pid"
    return wait_for(lambda: [int(word) for word in path.read_text().split()] if path.exists() else [])


def ended(executor, tmp_path, then, timeout_s=60.0):
    heard = []
    requested = {"then": then, "pid": str(tmp_path / "pid")}
    outcome = executor.submit(Job("tests.launched", requested, 1, tmp_path / "log.txt", timeout_s), heard.append)
    return outcome, [event["event"] for event in heard]


@pytest.mark.parametrize(
    ("then", "status", "kind", "explained", "details"),
    [
        ("end", "ok", None, False, ["here", "done"]),
        ("raise", "crashed", "ValueError", True, ["here", "failed"]),
        ("exit", "crashed", "Exit", False, ["here"]),
        ("eat", "oom", "MemoryError", True, ["here", "failed"]),
        ("die", "oom", "Killed", False, ["here"]),
    ],
)
def test_a_job_ends_alike_whatever_runs_it(executor, tmp_path, then, status, kind, explained, details):
    outcome, heard = ended(executor, tmp_path, then)
    assert (outcome.status, outcome.explained, heard) == (status, explained, details)
    assert (outcome.error or {"type": None})["type"] == kind
    assert outcome.seconds > 0


def test_a_job_that_hangs_ends_when_its_time_does(executor, tmp_path):
    outcome, heard = ended(executor, tmp_path, "hang", timeout_s=6)
    assert (outcome.status, heard) == ("timeout", ["here"])


def test_a_job_that_its_engine_ends_for_its_memory_is_out_of_memory(executor_with_a_limit, tmp_path):
    outcome, heard = ended(executor_with_a_limit, tmp_path, "hoard")
    assert (outcome.status, outcome.explained, heard) == ("oom", False, ["here"])
    assert outcome.error["type"] in ("Killed", "Exit")
    outcome, heard = ended(executor_with_a_limit, tmp_path, "end")
    assert (outcome.status, heard) == ("ok", ["here", "done"])


@pytest.mark.parametrize("then", ["hang", "hang hard"])
def test_what_runs_ends_when_its_executor_is_stopped(executor, tmp_path, then):
    threading.Thread(target=lambda: pids(tmp_path) and executor.stop(), daemon=True).start()
    with pytest.raises(Stopped):
        ended(executor, tmp_path, then)
    with pytest.raises(Stopped):
        ended(executor, tmp_path, "end")


def test_ssh_takes_the_least_busy_host_that_answers_and_carries_words_and_variables(tmp_path, ssh, monkeypatch):
    words = ["a b", "$HOME", "'; exit 7", "*", "ö", "", "!x"]
    monkeypatch.setenv("XLA_FLAGS", "--one=1 --two='2'")
    monkeypatch.setenv("LUNGSEG_WORD", "line\nline")
    program = "import json, os, sys; print(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)])); sys.stdin.read()"
    launch = [*ssh("down,one,two"), sys.executable, "-c", program, *words]
    running = []
    for _ in range(4):
        started = subprocess.Popen(launch, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        running.append(started)
        details, folder, environment = json.loads(started.stdout.readline())
        assert (details, folder) == (words, str(ROOT))
        assert (environment["XLA_FLAGS"], environment["LUNGSEG_WORD"]) == ("--one=1 --two='2'", "line\nline")
        assert "KERAS_MAX_EPOCHS" not in environment, "the host's own would cut a training short"
    assert (tmp_path / "hosts").read_text().split() == ["one", "two", "one", "two"]
    running[1].communicate()
    running[2].kill()  # a lock lasts as long as its process
    running[2].communicate()
    for _ in range(2):
        subprocess.run(launch, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    assert (tmp_path / "hosts").read_text().split()[4:] == ["two", "two"], (
        "place 0 of `two` is free, of `one` it is not"
    )
    for started in (running[0], running[3]):
        started.communicate()


def test_hosts_that_no_ssh_reaches_are_an_error_that_names_them(ssh):
    with pytest.raises(EnvironmentFailure, match="none of the hosts down,down is reached by ssh"):
        machine.learn(machine.requested(ssh("down,down")))


@pytest.mark.parametrize("hosts", ["", "one,", "-oProxyCommand=x"])
def test_words_that_are_no_hosts_are_refused(ssh, hosts, capsys):
    with pytest.raises(SystemExit):
        ssh(hosts)
    assert "names no hosts" in capsys.readouterr().err


def test_a_running_process_takes_as_many_open_files_as_a_makespan_reckons_with(tmp_path):
    executor, opened = EXECUTORS["local"](), []
    before = len(os.listdir("/proc/self/fd"))

    def look():
        pids(tmp_path)
        opened.append(len(os.listdir("/proc/self/fd")) - before)
        executor.stop()

    threading.Thread(target=look, daemon=True).start()
    with pytest.raises(Stopped):
        ended(executor, tmp_path, "hang")
    assert opened == [makespan.FILES]


HERE = ["here"]
# A node that fails once its process hangs, so often: srun then says so in the log and gives 0, ssh gives 255.
FAILING = """
[ "$(wc -l < {count})" -lt {times} ] || exec "$@"
echo >> {count}
exec 3<&0
"$@" <&3 &
while ! [ -s {pid} ]; do sleep 0.1; done
echo "srun: error: Node failure on vm" >&2
kill -9 $!
[ {times} = 1 ] || rm {pid}
exit {code}
"""


@pytest.mark.parametrize("code", [0, 255])
@pytest.mark.parametrize(
    ("times", "status", "details"), [(1, "ok", ["here", "here", "done"]), (3, "crashed", ["here"] * 3)]
)
def test_a_job_whose_node_fails_is_begun_again_and_is_never_taken_for_done(
    tmp_path, capsys, code, times, status, details
):
    count = tmp_path / "count"
    count.touch()
    script = FAILING.format(count=count, pid=tmp_path / "pid", times=times, code=code)
    outcome, heard = ended(EXECUTORS["local"](("sh", "-c", script, "srun")), tmp_path, "hang once")
    assert (outcome.status, heard) == (status, details)
    lines = capsys.readouterr().err.splitlines()
    for attempt, line in enumerate(lines, start=1):
        assert line.endswith(f"lost its node, {attempt} of 3 times (srun: error: Node failure on vm)")
    assert len(lines) == min(times, 2)


def test_a_process_that_ends_well_without_having_finished_has_crashed(tmp_path):
    outcome, heard = ended(EXECUTORS["local"](), tmp_path, "vanish")
    assert (outcome.status, outcome.error["message"], heard) == (
        "crashed",
        "ended with code 0 without a word",
        ["here"],
    )


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["ray"], indirect=True)
def test_a_job_whose_ray_worker_is_lost_is_begun_again(executor, tmp_path, capsys):
    threading.Thread(target=lambda: os.kill(pids(tmp_path)[1], signal.SIGKILL), daemon=True).start()
    outcome, heard = ended(executor, tmp_path, "hang once")
    assert (outcome.status, heard) == ("ok", ["here", "here", "done"])
    assert "lost its node, 1 of 3 times" in capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="ray is installed")
def test_without_ray_its_executor_names_the_extra():
    with pytest.raises(EnvironmentFailure, match=r"pip install 'lungseg\[ray\]'"):
        EXECUTORS["ray"]()

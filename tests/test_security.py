"""What must never be in the code and in the workflows."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(path for folder in ("lungseg", "bench") for path in (ROOT / folder).rglob("*.py"))

# -- rules about the source ------------------------------------------------------------------------------------------

MODULES = {
    "pickle": "runs what a file says", "cPickle": "as pickle", "_pickle": "as pickle", "dill": "as pickle",
    "cloudpickle": "as pickle", "joblib": "as pickle", "shelve": "as pickle", "marshal": "as pickle",
    "yaml": "knows tags that run code; configuration here is Python and JSON", "tarfile": "only zip files are unpacked",
    "telnetlib": "unencrypted", "ftplib": "unencrypted", "xml": "entities", "runpy": "runs files", "code": "runs text",
}  # fmt: skip
CALLS = {
    "eval", "exec", "compile", "__import__", "execfile", "os.system", "os.popen", "os.execv", "os.spawnv",
    "tempfile.mktemp", "subprocess.getoutput", "subprocess.getstatusoutput", "random.seed", "extractall",
}  # fmt: skip
LOADERS = {  # of whole models, whose configuration or file may hold code (F101)
    "load_model", "model_from_json", "model_from_config", "from_config", "clone_model", "deserialize",
    "deserialize_keras_object", "enable_unsafe_deserialization", "Lambda", "TFSMLayer",
}  # fmt: skip


def dotted(node):
    """``a.b.c`` of a name or attribute, empty for anything else."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}".lstrip(".")
    return node.id if isinstance(node, ast.Name) else ""


def keyword(call, name):
    """The literal given for a keyword; None where there is none."""
    given = next((word.value for word in call.keywords if word.arg == name), None)
    return given.value if isinstance(given, ast.Constant) else given


def import_faults(node):
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
    banned = [f"imports {name}: {MODULES[name.split('.')[0]]}" for name in names if name.split(".")[0] in MODULES]
    taken = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
    return banned + [f"imports {name}" for name in taken if name in LOADERS | {"system", "popen", "mktemp"}]


def call_faults(call):
    name = dotted(call.func)
    last = name.rsplit(".", 1)[-1]
    if name in CALLS or last == "extractall":
        yield f"calls {name}"
    if last in LOADERS:
        yield f"calls {name}: weights only, the graph is rebuilt from the registry"
    if keyword(call, "shell") not in (None, False):
        yield f"{name}(shell=...)"
    arrays = re.fullmatch(r"(np|numpy)\.(load|save|savez|savez_compressed)", name)
    if arrays and keyword(call, "allow_pickle") is not False:
        yield f"{name} without allow_pickle=False"
    if keyword(call, "verify") is False or keyword(call, "safe_mode") is False:
        yield f"{name} with a safeguard turned off"
    if name.startswith(("csv.writer", "csv.DictWriter")):
        yield f"calls {name}: lungseg.csv_file alone writes CSV"
    if dotted(call.func).startswith("subprocess.") and call.args and not isinstance(call.args[0], ast.List | ast.Name):
        yield f"{name} of something else than a list of words"


def faults_of(source):
    """What a file must not do, each with its line."""
    result = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            result += [f"line {node.lineno}: {fault}" for fault in import_faults(node)]
        elif isinstance(node, ast.Call):
            result += [f"line {node.lineno}: {fault}" for fault in call_faults(node)]
    return result


ALLOWED = {  # file -> words of the fault that it may show, and why
    "lungseg/csv_file.py": "alone writes CSV",
    "bench/gate/reports.py": "imports xml.etree",  # writes JUnit's XML, reads none
    "bench/gate/scripted.py": "compile",  # Keras's, of a model
    "lungseg/__init__.py": "imports load_model",  # ours, which checks a folder or file first
    "lungseg/api.py": "keras.saving.load_model",  # of a user's own file, which it looks through for functions first
    "lungseg/testing/checks.py": "keras.models.load_model",  # of the file that the same call has just written
}


@pytest.mark.fault("F99", "F101", "F102", "F104", "F105")
@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_source_does_what_lets_files_or_values_run_code(path):
    faults = faults_of(path.read_text(encoding="utf-8"))
    allowed = ALLOWED.get(path.relative_to(ROOT).as_posix())
    assert [fault for fault in faults if not allowed or allowed not in fault] == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "import yaml", "from yaml import load", "import tarfile", "import joblib", "eval(x)",
        "exec(x)", "os.system(x)", "from os import system", "subprocess.run(x, shell=True)", "np.load(p)",
        "subprocess.run(x, shell=flag)", "np.load(p, allow_pickle=True)", "np.savez(p, a=a)", "archive.extractall()",
        "keras.models.load_model(p)", "keras.saving.load_model(p)", "from keras.models import load_model",
        "keras.layers.Lambda(f)", "keras.models.model_from_json(t)", "tempfile.mktemp()",
        "requests.get(u, verify=False)", "csv.DictWriter(f, c)", "subprocess.run(f'git {x}')", "subprocess.Popen('ls')",
    ],
)  # fmt: skip
def test_each_rule_finds_what_it_is_for(source):
    assert faults_of(source)


# -- workflows -------------------------------------------------------------------------------------------------------


def workflows():
    return sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))


def permissions(text):
    """The blocks of ``permissions`` of a workflow: (indentation, lines)."""
    blocks = re.findall(r"^( *)permissions:(.*)\n((?:\1 +\S.*\n)*)", text, flags=re.MULTILINE)
    return [(len(indent), [inline.strip(), *map(str.strip, body.splitlines())]) for indent, inline, body in blocks]


def test_there_is_a_workflow():
    assert workflows()


@pytest.mark.parametrize("path", workflows(), ids=lambda path: path.name)
def test_workflows_may_read_the_sources_and_nothing_else(path):
    text = path.read_text(encoding="utf-8")
    blocks = permissions(text)
    assert (0, ["", "contents: read"]) in blocks, "permissions of the whole workflow must be spelled out"
    assert all(lines == ["", "contents: read"] for _, lines in blocks), "a job asks for more"
    assert "pull_request_target" not in text, "it hands secrets to the code of strangers"
    assert "secrets." not in text
    checkouts = text.count("actions/checkout@")
    assert text.count("persist-credentials: false") == checkouts, "the token must not stay on disk"


@pytest.mark.parametrize("path", workflows(), ids=lambda path: path.name)
def test_workflows_put_no_value_of_an_event_into_a_shell(path):
    """A branch or a title may hold ``$(...)``: what an expression yields becomes part of the script."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip().lstrip("- ").startswith("run:"):
            assert "${{" not in line, line

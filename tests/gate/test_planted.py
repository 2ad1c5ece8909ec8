"""Bugs in a harness that otherwise runs for real on the phantom, all but the training: does the gate see them?

The network is a stand-in: a blurred ground truth, so that a threshold matters. tests/gate/planted.py trains for real,
and tests/gate/test_dry_run.py goes through the training's own code.
"""

import ast
import copy
import dataclasses
from dataclasses import replace

import cv2
import numpy as np
import planted
import pytest
from records import parsed, record

import lungseg
from bench import gate, suites
from bench.records.record import CaseScore, CellFields
from bench.records.results import Results
from bench.running import data, held_out
from lungseg import images, metrics, prepare, splits, training
from lungseg.batches import Batches
from lungseg.errors import LungsegError
from lungseg.metrics import METRICS
from lungseg.metrics.overlap import dilate

SMOKE = suites.suite("smoke")
FEW = dataclasses.replace(SMOKE, architectures=("unet",), phantoms=dataclasses.replace(SMOKE.phantoms, n=16))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return data.resolve_root(FEW, None, Results(tmp_path_factory.mktemp("set")))


@pytest.fixture(scope="module")
def outputs(root, tmp_path_factory):
    """Probabilities of the stand-in network by id, made before any bug."""
    prepared = data.load_suite_data(FEW, root, Results(tmp_path_factory.mktemp("clean"))).prepared
    blurred = (cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 2) for mask in prepared.masks)
    return dict(zip(prepared.ids, blurred, strict=True))


(MADE,) = parsed([record("unet", 0, folds=2, n=10, epochs=3)])  # before any bug


def run(root, outputs, results):
    """A summary as the gate makes it; a cell that raises leaves no record, as in the engine."""
    suite_data = data.load_suite_data(FEW, root, Results(results))
    fold = suite_data.folds[0]
    try:
        predictions = training.masks(np.stack([outputs[key] for key in fold.test]))
        held_out.check_unseen(suite_data, fold)
        cases = held_out.score(suite_data, fold.test, suite_data.prepared.take(fold.test)[1], predictions)
        scored = tuple(CaseScore(**case) for case in cases)
        records = [replace(MADE, cell=CellFields(**job.as_dict()), cases=scored) for job in suites.cells(FEW)]
    except LungsegError:
        records = []
    return gate.summarise(FEW, suite_data, records)


@pytest.fixture(scope="module")
def baseline(root, outputs, tmp_path_factory):
    return run(root, outputs, tmp_path_factory.mktemp("baseline"))


def nearest_neighbour(mask, size):
    return cv2.resize(mask.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST) > 0


def linear(mask, size):
    return cv2.resize(mask.astype(np.float32), size[::-1], interpolation=cv2.INTER_LINEAR) >= 0.5


def leaked(cases, n, seed=0, deal=splits.folds):
    return [dataclasses.replace(fold, train=(*fold.train, fold.test[0])) for fold in deal(cases, n, seed)]


def pooled_as_per_image(*all, score=held_out.score):
    cases = score(*all)
    total = metrics.pooled(cases)
    return [{**case, **{key: total[key] for key in ("dice", "f1", "iou")}} for case in cases]


def smoothed(name, factor):
    def ratio(c):
        return (factor * c.tp + 1) / (factor * c.tp + c.fp + c.fn + 1)

    return dataclasses.replace(METRICS[name], function=ratio)


def high_byte(path, decode=images._decode):
    pixels = decode(path)
    return (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels


def with_nan(path, bits=None, read=images.read_image):
    image = read(path, bits)
    image[5, 5] = np.nan
    return image


def mirrored(pixels):
    return pixels[:, ::-1]


def masks_read(change, read=images.read_mask_and_grey):
    def changed(path):
        mask, grey = read(path)
        return change(mask), grey

    return images, "read_mask_and_grey", changed


def images_read(change, read=images.read_image):
    return images, "read_image", lambda path, bits=None: change(read(path, bits))


def swapped(case, shape, size, right=prepare._resized_spacing):
    rows, columns = right(case, shape, size)
    return columns, rows


def stretched(mask, size, right=images.resize_mask):
    """Rows and columns of the size exchanged, and back into the shape that is asked for."""
    return np.resize(right(mask, size[::-1]), size)


def without_last(self, epoch, epochs=Batches.epoch):
    return iter([*epochs(self, epoch)][:-1])


BUGS = {
    # name: (what is replaced, by what), ..., the exit code
    "nearest-neighbour shift": ([(images, "resize_mask", nearest_neighbour)], 1),
    "linear masks": ([(images, "resize_mask", linear)], 1),
    "dilated masks": ([masks_read(dilate)], 1),
    "leaked fold": ([(splits, "folds", leaked)], 1),
    "pooled Dice reported as per-image": ([(held_out, "score", pooled_as_per_image)], 70),
    "+1 smoothing": ([(METRICS, name, smoothed(name, 2 - (name == "iou"))) for name in ("dice", "f1", "iou")], 70),
    "left and right of images swapped": ([images_read(mirrored)], 1),
    "left and right of masks swapped": ([masks_read(mirrored)], 1),
    "left and right of both swapped": ([images_read(mirrored), masks_read(mirrored)], 1),
    "spacing of rows and columns swapped": ([(prepare, "_resized_spacing", swapped)], 1),
    "size of rows and columns swapped": ([(images, "resize_mask", stretched)], 1),
    "high byte only": ([(images, "_decode", high_byte)], 1),
    "last batch dropped": ([(Batches, "epoch", without_last)], 1),
    "wrong threshold": ([(training, "masks", lambda p, threshold=0.5: p >= 0.2)], 1),
    "NaN": ([(images, "read_image", with_nan)], 1),
    "missing image": ([(lungseg, "load", lambda name, root, load=lungseg.load: load(name, root)[1:])], 5),
    "image not scored": ([(held_out, "score", lambda *all, score=held_out.score: score(*all)[1:])], 5),
}


def verdict(baseline, root, outputs, results):
    """The exit code, as the command line makes it."""
    try:
        return gate.exit_code(gate.compare(baseline, run(root, outputs, results)))
    except LungsegError as error:
        return error.exit_code


@pytest.mark.parametrize("bug", [bug for bug in planted.BUGS if bug.file], ids=lambda bug: bug.name)
def test_each_bug_that_is_trained_for_real_still_has_a_line_to_replace(bug):
    ast.parse(planted.planted(bug))
    with pytest.raises(SystemExit, match="renew the bug"):
        planted.planted(dataclasses.replace(bug, old="no such line"))


def test_what_asks_the_gate_as_of_another_machine_kind_calls_what_there_is():
    """It is a text, run in another process after minutes of training: a renamed function would show only there."""
    tree, names = ast.parse(planted.ELSEWHERE), {}
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    exec(compile(ast.Module(imports, []), "ELSEWHERE", "exec"), names)
    called = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
    requested = [node for node in called if node.value.id in names]
    assert len(requested) > 8
    assert [f"{node.value.id}.{node.attr}" for node in requested if not hasattr(names[node.value.id], node.attr)] == []


def test_the_phantom_tells_rows_from_columns(root):
    """In number, in size, and in how far they are scaled: a bug that swaps the two must change pixels."""
    (rows, columns), (height, width) = SMOKE.phantoms.size, SMOKE.size
    ((high, wide),) = {case.spacing_mm for case in lungseg.load("phantom", root)}
    assert rows != columns
    assert height != width
    assert min(high, wide) / max(high, wide) < 0.8
    assert high * rows / height > 1.5 * wide * columns / width
    assert rows / height != columns / width


@pytest.mark.parametrize("kind", ["same machine kind", "another"])
def test_without_a_bug_the_gate_passes(kind, baseline, root, outputs, tmp_path):
    before = copy.deepcopy(baseline)
    before["machine"]["cpu"] += kind.removeprefix("same machine kind")
    assert verdict(before, root, outputs, tmp_path) == 0


@pytest.mark.parametrize("kind", ["same machine kind", "another"])
@pytest.mark.parametrize("bug", BUGS)
def test_each_bug_is_found(bug, kind, baseline, root, outputs, tmp_path, monkeypatch):
    before = copy.deepcopy(baseline)
    before["machine"]["cpu"] += kind.removeprefix("same machine kind")
    replacements, code = BUGS[bug]
    for owner, name, new in replacements:
        if isinstance(owner, dict):
            monkeypatch.setitem(owner, name, new)
        else:
            monkeypatch.setattr(owner, name, new)
    assert verdict(before, root, outputs, tmp_path) == code

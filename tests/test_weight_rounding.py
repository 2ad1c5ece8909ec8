"""A LiteRT file's large weights become 16 or 8 bits wide; its biases and its smallest weights stay as they were."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lungseg
from lungseg import exporting

SIZES = st.lists(st.integers(1, 5000), min_size=1, max_size=30)


@given(SIZES, st.floats(0.01, 0.9))
def test_what_stays_is_the_smallest_and_within_the_share_but_for_equals(sizes, share):
    floor, most = exporting._floor(sizes, share), share * sum(sizes)
    assert sum(size for size in sizes if size < floor) <= most
    larger = [size for size in sizes if size > floor]
    assert not larger or sum(size for size in sizes if size <= floor) + min(larger) > most


@pytest.mark.parametrize(("sizes", "floor"), [([10, 90], 10), ([5, 5, 90], 5), ([11, 89], 0), ([100], 0)])
def test_a_tenth_stays(sizes, floor):
    assert exporting._floor(sizes, 0.1) == floor


@pytest.fixture(scope="module")
def plain():
    for package in ("ai_edge_litert", "ai_edge_quantizer"):
        pytest.importorskip(package, reason="pip install 'lungseg[export]'")
    return exporting.litert_bytes(lungseg.build("unet", (32, 32, 1), 4), "float32")


def constants(data):
    """Of a LiteRT file, by name: the values of each constant that is a number of any width, scaled back."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(data, 0)
    types = {schema.TensorType.FLOAT32: "<f4", schema.TensorType.FLOAT16: "<f2", schema.TensorType.INT8: "i1"}
    result = {}
    for tensor in model.subgraphs[0].tensors:
        buffer = model.buffers[tensor.buffer]
        held = b"" if buffer.data is None else bytes(buffer.data)
        if buffer.size:  # of large ones, which the quantizer puts behind the rest
            held = data[buffer.offset : buffer.offset + buffer.size]
        if held and tensor.type in types:
            values = np.frombuffer(held, types[tensor.type]).reshape(tensor.shape)
            scale = None
            if values.dtype == np.int8:
                axis = tensor.quantization.quantizedDimension
                scale = np.asarray(tensor.quantization.scale, np.float32)
                scale = scale.reshape([-1 if k == axis else 1 for k in range(values.ndim)])
                assert not np.any(tensor.quantization.zeroPoint)
            result[tensor.name.removesuffix(b"_quantized")] = (values, scale)
    return result


@pytest.mark.filterwarnings("ignore")  # of the quantizer's own libraries
@pytest.mark.parametrize("precision", ["float16", "weights-int8"])
def test_large_weights_alone_are_rounded_and_to_the_nearest(plain, precision):
    before, after = constants(plain), constants(exporting.rounded(plain, precision))
    assert set(before) == set(after)
    total = sum(values.size for values, _ in before.values())
    narrow = {name for name, (values, _) in after.items() if values.dtype != np.float32}
    wide = {name: values for name, (values, _) in before.items() if name not in narrow}
    assert narrow
    assert sum(values.size for values in wide.values()) <= 0.2 * total
    assert max(values.size for values in wide.values()) < min(before[name][0].size for name in narrow)
    for name, values in wide.items():
        np.testing.assert_array_equal(after[name][0], values)
    for name in narrow:
        was, (now, scale) = before[name][0], after[name]
        assert was.ndim > 1  # no bias
        if precision == "float16":
            np.testing.assert_array_equal(now, was.astype(np.float16))
        else:
            assert scale.size == was.shape[0]  # one a channel of the output
            assert np.all(np.abs(now * scale - was) <= 0.501 * scale)


def test_nothing_to_round_leaves_the_file(plain, monkeypatch):
    monkeypatch.setattr(exporting, "KEPT", 1.0)
    assert exporting.rounded(plain, "float16") == plain

"""Products of eight bits are the same whether a processor has VNNI or not."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from shared import onnx_graphs
from shared.onnx_graphs import opening

COUNT = 64  # products of a sum: pairs of them overflow 16 bits


def largest() -> onnx.ModelProto:
    """A product of the largest numbers of eight bits, as export quantises them."""
    weights = np.full((COUNT, 1), 127, np.int8)
    stored = {
        "one": np.float32(1), "none": np.uint8(0), "zero": np.int8(0), "weights": weights,
        "wide": np.float32(8192), "middle": np.uint8(0),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["input", "one", "none"], ["levels"]),
        helper.make_node("DequantizeLinear", ["levels", "one", "none"], ["seen"]),
        helper.make_node("DequantizeLinear", ["weights", "one", "zero"], ["kernel"]),
        helper.make_node("MatMul", ["seen", "kernel"], ["sum"]),
        helper.make_node("QuantizeLinear", ["sum", "wide", "middle"], ["coarse"]),
        helper.make_node("DequantizeLinear", ["coarse", "wide", "middle"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes, "largest",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, COUNT])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in stored.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_sums_of_the_largest_numbers_are_exact() -> None:
    """On x86 without VNNI, onnxruntime's own choice adds pairs of products in 16 bits."""
    session = onnx_graphs.open_session(largest())
    (found,) = session.run(None, {"input": np.full((1, COUNT), 255, np.float32)})
    assert float(found[0, 0]) == pytest.approx(255 * 127 * COUNT, rel=0.01)


@pytest.mark.parametrize(("flags", "wanted"), [("avx2 avx512_vnni", "0"), ("sse4_2 avx2", "1")])
def test_the_exact_way_is_taken_without_vnni(
    flags: str, wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(f"flags : {flags}\n")
    monkeypatch.setattr(opening, "Path", lambda _: tmp_path / "cpuinfo")
    opening.int8_saturates.cache_clear()
    try:
        options = onnx_graphs.make_options(1)
    finally:
        opening.int8_saturates.cache_clear()
    assert options.get_session_config_entry("session.x64quantprecision") == wanted
    assert options.intra_op_num_threads == 1

"""Networks with loops are refused before anything runs them: their rounds may never end."""

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from shared import onnx_graphs
from shared.errors import StageError
from tests import client_networks
from tests.torture.built.networks import add_loop

ENDLESS = 10**9


def plain() -> onnx.ModelProto:
    """A network without loops, whose first node has one."""
    return client_networks.graph(2)


def looping() -> onnx.ModelProto:
    model = plain()
    add_loop(model, ENDLESS)
    return model


def in_branch() -> onnx.ModelProto:
    """The loop stands in a branch of a condition."""
    model, graph = plain(), looping().graph
    body = helper.make_graph(graph.node[:1], "branch", [], [
        helper.make_tensor_value_info("looped", TensorProto.FLOAT, None)
    ])  # fmt: skip
    node = helper.make_node("If", ["yes"], ["chosen"], "choose", then_branch=body, else_branch=body)
    model.graph.initializer.extend(
        tensor for tensor in graph.initializer if tensor.name in ("rounds", "yes")
    )
    model.graph.node.insert(0, node)
    return model


def in_function() -> onnx.ModelProto:
    """The loop stands in a function of the file."""
    model, graph = plain(), looping().graph
    nodes = [
        helper.make_node("Constant", [], ["rounds"], value_int=ENDLESS),
        helper.make_node("Equal", ["rounds", "rounds"], ["yes"]),
        graph.node[0],
    ]
    nodes[2].output[0] = "y"
    nodes[2].input[2] = "x"
    opset = helper.make_opsetid("", 17)
    model.functions.append(helper.make_function("own", "Rest", ["x"], ["y"], nodes, [opset]))
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.graph.node.insert(0, helper.make_node("Rest", ["input"], ["rested"], domain="own"))
    return model


@pytest.mark.parametrize("make", [looping, in_branch, in_function])
def test_a_loop_is_refused_by_its_name(make: object, tmp_path: Path) -> None:
    assert callable(make)
    onnx.save(make(), tmp_path / "n.onnx")
    with pytest.raises(StageError, match=r"n\.onnx: expected a network without loops, found Loop"):
        onnx_graphs.load(tmp_path / "n.onnx")
    with pytest.raises(StageError, match=r"n\.onnx: expected a network without loops, found Loop"):
        onnx_graphs.check_rounds(tmp_path / "n.onnx")


def test_a_network_without_loops_is_read(tmp_path: Path) -> None:
    onnx.save(plain(), tmp_path / "n.onnx")
    assert onnx_graphs.load(tmp_path / "n.onnx") == plain()

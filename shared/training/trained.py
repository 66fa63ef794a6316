"""Trained networks of model folders as torch modules again, where gradients have to flow."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from shared import onnx_graphs
from shared.backend import weights
from shared.errors import StageError
from shared.models import Card
from shared.training import networks

STUDENT = "student.safetensors"  # what distill writes beside student.onnx
LAYERS = {"Conv", "Gemm", "MatMul"}  # nodes that hold the weight of a layer
TOLERANCE = 1e-3  # of logits, over the largest magnitude among them or 1
BATCH_NORM = nn.modules.batchnorm._BatchNorm


def read(folder: Path, card: Card) -> nn.Module:
    """The network of a card in evaluation mode, which says what its ONNX file says.

    Weights come from student.safetensors where it belongs to the file, else from the file itself.

    Args:
        folder: model folder.
        card: one of its networks, of an architecture that `networks.build` knows.

    Raises:
        StageError: an unknown architecture, or a network that is not that architecture.
    """
    bands, classes = len(card.bands), len(card.classes)
    network = networks.build(card.architecture, bands, classes, size=card.size).eval()
    path = folder / card.file
    model = onnx_graphs.load(path)
    shape = (2, bands, card.size, card.size)
    noise = np.random.default_rng(0).standard_normal(shape, np.float32)
    beside = folder / STUDENT
    if beside.is_file() and Path(card.file).stem == beside.stem:
        weights.fit(beside, network, weights.read(beside), card.architecture)
    else:
        _fill(path, network, model.graph, torch.from_numpy(noise[:1]))
    _check_parity(path, network, model, noise)
    return network


def _fill(path: Path, network: nn.Module, graph: onnx.GraphProto, example: Tensor) -> None:
    """Put tensors of a graph into a network: by name, and weights of layers by their order.

    The exporter moves batch norms into the convolutions before them, and turns matrices round;
    such tensors have lost their names. What is left of such a batch norm adds the bias alone.

    Raises:
        StageError: another number of layers, or of another shape.
    """
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    own = network.state_dict()
    named = {
        name: torch.from_numpy(np.array(values))
        for name, values in stored.items()
        if name in own and tuple(own[name].shape) == values.shape
    }
    layers, norms = _run(network, example)
    given = list(_stored_layers(graph, stored))
    if [tuple(layer.weight.shape) for layer in layers] != [weight.shape for weight, _ in given]:
        found = f"found {len(given)} layers that differ in number or shape"
        raise StageError(f"{path}: expected the {len(layers)} layers of its architecture, {found}")
    names = {module: name for name, module in network.named_modules()}
    for layer, (weight, bias) in zip(layers, given, strict=True):
        _set(named, names[layer], layer, weight=weight)
        norm = norms.get(layer)
        if norm is not None and f"{names[norm]}.running_mean" not in named:
            shift = np.zeros(len(weight), np.float32) if bias is None else bias
            _set(named, names[norm], norm, weight=1, bias=shift, running_mean=0,
                 running_var=1 - norm.eps)  # fmt: skip
            bias = np.zeros_like(shift)
        if layer.bias is not None and bias is not None:
            _set(named, names[layer], layer, bias=bias)
    network.load_state_dict(own | named)


def _set(
    tensors: dict[str, Tensor], name: str, module: nn.Module, **values: NDArray[np.float32] | float
) -> None:
    """Values for tensors of a module, spread over their shape."""
    for key, value in values.items():
        wanted: Tensor = getattr(module, key)
        spread = np.broadcast_to(np.asarray(value, np.float32), tuple(wanted.shape))
        tensors[f"{name}.{key}"] = torch.from_numpy(spread.copy())


def _run(
    network: nn.Module, example: Tensor
) -> tuple[list[nn.Conv2d | nn.Linear], dict[nn.Module, nn.BatchNorm2d]]:
    """Layers with weights in the order in which they run, and the batch norm right after each."""
    ran: list[nn.Conv2d | nn.Linear] = []
    outputs: list[tuple[nn.Module, Tensor]] = []
    norms: dict[nn.Module, nn.BatchNorm2d] = {}

    def after(layer: nn.Conv2d | nn.Linear, _: object, output: Tensor) -> None:
        ran.append(layer)
        outputs.append((layer, output))

    def before(norm: nn.BatchNorm2d, given: tuple[Tensor, ...]) -> None:
        norms.update({layer: norm for layer, output in outputs if output is given[0]})

    hooks = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            hooks.append(module.register_forward_hook(after))
        elif isinstance(module, BATCH_NORM):
            hooks.append(module.register_forward_pre_hook(before))
    with torch.no_grad():
        network(example)
    for hook in hooks:
        hook.remove()
    return ran, norms


def _stored_layers(
    graph: onnx.GraphProto, stored: dict[str, NDArray[np.float32]]
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32] | None]]:
    """(O, …) weight and (O,) bias of each node that holds one, in the order of the graph."""
    for node in graph.node:
        if node.op_type not in LAYERS or node.input[1] not in stored:
            continue
        weight = stored[node.input[1]]
        turned = any(a.name == "transB" and a.i for a in node.attribute)
        if node.op_type == "MatMul" or (node.op_type == "Gemm" and not turned):
            weight = weight.T
        yield weight, stored.get(node.input[2]) if len(node.input) > 2 else None


def _check_parity(
    path: Path, network: nn.Module, model: onnx.ModelProto, noise: NDArray[np.float32]
) -> None:
    """Refuse a network that says something else of (N, C, S, S) noise than its file."""
    session = onnx_graphs.open_session(model)
    entry = session.get_inputs()[0]
    try:
        given = np.concatenate([session.run(None, {entry.name: row[None]})[0] for row in noise])
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise StageError(f"{path}: does not run on single pictures ({reason})") from None
    with torch.no_grad():
        said = network(torch.from_numpy(noise)).numpy()
    allowed = TOLERANCE * max(1.0, float(np.abs(given).max()))
    apart = onnx_graphs.compare(said, given) if said.shape == given.shape else np.inf
    if not apart <= allowed:
        raise StageError(
            f"{path}: expected what its architecture computes with its weights, found other "
            f"outputs, by {apart:.3g}"
        )

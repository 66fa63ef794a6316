"""Classifiers by name, ours or of timm or torchvision, with weights from a file, as ONNX."""

import difflib
import re
from pathlib import Path

import numpy as np
import onnxruntime
import timm
import torch
import torchvision
from numpy.typing import NDArray
from torch import Tensor, nn

from shared.backend import weights
from shared.errors import StageError
from shared.names import open_by_name
from shared.training import students


def build(
    name: str, channels: int, classes: int, start: Path | None = None, size: int = students.SIZE
) -> nn.Module:
    """A network with a fresh linear head.

    Args:
        name: one of `students`, else any timm name, else any torchvision classifier.
        channels: input channels.
        classes: outputs; 0 gives pooled features instead of logits (not of torchvision).
        start: weights (.safetensors or .pth) of the same architecture; their head is not used.
        size: pixels per side of its pictures, on which the layers of `students` depend.

    Raises:
        StageError: unknown name, or weights that do not fit.
    """
    network: nn.Module
    if name in students.BUILDERS:
        network = students.build(name, channels, classes, size)
    elif timm.is_model(name):
        network = timm.create_model(name, pretrained=False, in_chans=channels, num_classes=classes)
    elif name in torchvision.models.list_models(torchvision.models) and channels == 3 and classes:
        network = torchvision.models.get_model(name, num_classes=classes)
    else:
        ours = ", ".join(students.BUILDERS)
        near = difflib.get_close_matches(name, [*students.BUILDERS, *timm.list_models()], 5)
        hint = f"; near: {', '.join(near)}" if near else ""
        raise StageError(
            f"--architecture: expected a timm or torchvision name, found {name!r}{hint}; "
            f"or one of our own: {ours}"
        )
    if start:
        load_body(network, start)
    return network


def check(name: str, classes: int, size: int, start: Path | None, channels: int = 3) -> None:
    """Build the network once and run it on zeros, so that a misfit shows before data is read.

    Raises:
        StageError: as `build`; or the network does not take pictures of this size.
    """
    network = build(name, channels, classes, start, size).eval()
    try:
        with torch.inference_mode():
            logits = network(torch.zeros(2, channels, size, size))
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise StageError(f"--architecture={name}: cannot take --size={size}: {reason}") from None
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        raise StageError(f"--architecture={name}: expected one output (N, K), found another form")


def load_body(network: nn.Module, path: Path) -> None:
    """Load all but the classification head; StageError says what misfits."""
    heads, own = _heads(network), network.state_dict()
    # Counters of batch norm are younger than some published files; training does not use them.
    kept = {key for key in own if key.startswith(heads) or key.endswith("num_batches_tracked")}
    given = weights.restore(own, weights.read(path))
    renamed = {_current_name(key): value for key, value in given.items()}
    body = given.copy_with(
        {key: value for key, value in renamed.items() if not key.startswith(heads)}
    )
    there = weights.main_part(body).keys() | own.keys() - kept
    wanted = {key: own[key] for key in own if key in there and not key.startswith(heads)}
    if fault := weights.misfit(wanted, body):
        raise StageError(f"{path}: does not fit: {fault}")
    network.load_state_dict({key: own[key] for key in kept} | body)
    weights.say(path, given)


def _heads(network: nn.Module) -> tuple[str, ...]:
    """Beginnings of the names of the classification head, as timm says, or torchvision's names."""
    names = getattr(network, "pretrained_cfg", {}).get("classifier")
    names = (names,) if isinstance(names, str) else names
    return tuple(f"{name}." for name in names or ("fc", "classifier", "head", "heads"))


def _current_name(key: str) -> str:
    """DenseNet files of torchvision spell norm.1 what every release since 2017 calls norm1."""
    return re.sub(r"(denselayer\d+\.(?:norm|conv))\.(?=\d)", r"\1", key)


def to_onnx(network: nn.Module, inputs: dict[str, Tensor], path: Path) -> float:
    """Write opset 17, one self-contained file, free batch size; the largest logit difference.

    Args:
        network: in any mode; exported in eval mode, on the CPU.
        inputs: example batch by input name, at least two rows.
        path: ONNX file to write.

    Returns:
        max |onnxruntime - torch| over the example batch.
    """
    network = network.cpu().eval()
    axes = {name: {0: "batch"} for name in [*inputs, "logits"]}
    with torch.no_grad(), path.open("wb") as file:  # given by name, it would have to be UTF-8
        torch.onnx.export(
            network,
            tuple(inputs.values()),
            file,
            input_names=list(inputs),
            output_names=["logits"],
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,  # the default exporter writes opset 18 or more and external data
        )
        expected = network(*inputs.values()).numpy()
    return float(np.abs(run_onnx(path, inputs) - expected).max())


def run_onnx(path: Path, inputs: dict[str, Tensor]) -> NDArray[np.float32]:
    """(N, K) logits of an ONNX file on the CPU."""
    session = onnxruntime.InferenceSession(open_by_name(path), providers=["CPUExecutionProvider"])
    feed = {name: tensor.numpy() for name, tensor in inputs.items()}
    logits: NDArray[np.float32] = session.run(["logits"], feed)[0]
    return logits

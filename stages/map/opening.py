"""A model folder opened for a scene: cards checked against its bands, networks on the CPU."""

from dataclasses import replace
from pathlib import Path

import onnx
import onnxruntime

from shared import lcz, onnx_graphs
from shared.errors import StageError
from shared.models import Card
from shared.reading import documents
from shared.scenes import Scene
from stages.map.classifiers import Ensemble, Member

STATIC = ("input", "image")  # names of the pictures in our own files, which may be for one row


def open_models(folder: Path, scene: Scene, precision: str, threads: int) -> Ensemble:
    """The networks of a folder, ready for the windows of a scene.

    Args:
        folder: product of distill, teacher or export, or ONNX files of others beside their
            description.
        scene: what they are going to see.
        precision: "fp32", or "int8" for the quantised network of an export.
        threads: windows at once, 0 for all cores.

    Raises:
        StageError: no model folder; a band that the scene lacks; a second input; members with
            different classes; no quantised network; not a usable ONNX file.
    """
    cards = onnx_graphs.read_cards(folder, lcz.CLASSES)
    if precision == "int8":
        cards = [replace(cards[0], file=name_int8(folder, cards))]
    for card in cards:
        check_card(folder, card, cards[0], scene)
    members = [
        Member(
            card, open_session(folder / card.file, card),
            list(lcz.indices(scene.bands, card.bands)),
        )
        for card in cards
    ]  # fmt: skip
    return Ensemble(members, threads)


def check_card(folder: Path, card: Card, first: Card, scene: Scene) -> None:
    """Refuse what a scene cannot feed."""
    if card.features:
        raise StageError(
            f"{folder}: expected networks of pictures alone, found one that takes "
            f"{card.features} tda features as well"
        )
    if missing := [band for band in card.bands if band not in scene.bands]:
        raise StageError(
            f"{folder}: expected networks of the bands of {scene.path} ({', '.join(scene.bands)}), "
            f"found {card.file} that reads {missing[0]}"
        )
    check_classes(folder, card, first)


def check_classes(folder: Path, card: Card, first: Card) -> None:
    """Refuse members of different classes, and more than a map of bytes can hold."""
    if card.classes != first.classes:
        raise StageError(f"{folder}: expected one list of classes, found another in {card.file}")
    if len(card.classes) > 254:
        raise StageError(
            f"{folder}: expected at most 254 classes for a map of bytes, found {len(card.classes)}"
        )


def name_int8(folder: Path, cards: list[Card]) -> str:
    """File of the quantised network of an export.

    Raises:
        StageError: there is none.
    """
    description = onnx_graphs.name_description(folder)
    name = documents.read_json(description).get("int8")
    if len(cards) != 1 or not isinstance(name, str) or Path(name).name != name:
        raise StageError(
            f"--precision: expected a folder of export with an INT8 network, found {folder}"
        )
    if not (folder / name).is_file():
        raise StageError(f"{folder / name}: expected the INT8 network, found no file")
    return name


def open_session(path: Path, card: Card) -> onnxruntime.InferenceSession:
    """A session of one thread: our own files as they are, others in our form."""
    model = onnx_graphs.load(path)
    if not is_ready(model, card):
        model = onnx_graphs.adopt(path, card).model
    return make_session(model.SerializeToString(), path)


def make_session(content: bytes, path: Path) -> onnxruntime.InferenceSession:
    """A session of one thread.

    Args:
        content: ONNX file.
        path: where it is from, for messages.

    Raises:
        StageError: onnxruntime does not take it.
    """
    options = onnx_graphs.make_options(1)
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise StageError(f"{path}: not a usable ONNX file ({str(error).splitlines()[0]})") from None


def is_ready(model: onnx.ModelProto, card: Card) -> bool:
    """Whether a file is as distill, teacher and export write it: one picture in, K logits out."""
    graph = model.graph
    if len(graph.input) != 1 or len(graph.output) != 1:
        return False
    sizes = [dim.dim_value for dim in graph.input[0].type.tensor_type.shape.dim]
    float32 = graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    named = graph.input[0].name in STATIC and graph.output[0].name == "logits"
    said = [dim.dim_value for dim in graph.output[0].type.tensor_type.shape.dim]
    fits = sizes[1:] == [len(card.bands), card.size, card.size] and sizes[0] in (0, 1)
    fits = fits and said[1:] == [len(card.classes)]
    ending = any("logits" in n.output and "Softmax" in n.op_type for n in graph.node)
    return named and float32 and fits and not ending

"""The rules about what the YAML points to: network, labels, class folders, pictures."""

import re
from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto
from PIL import Image

from shared.voyager import Bundle
from stages.voyager.sdk_names import identifier

# What belongs into the YAML: the compiler cuts it off the graph, or does not take it.
PREPARING = {"Resize", "Upsample", "Cast", "Transpose", "Sub", "Div", "Mul", "Add"}
DEPTH = 24  # byte of a PNG that tells its bits a channel
OPSETS, IR = range(14, 18), 10  # of SDK 1.2.5, whose onnx is 1.17 and onnxruntime 1.21


def paths(bundle: Bundle) -> Iterator[str]:
    """Every file and folder that the YAML names is in the bundle."""
    data = bundle.dataset
    for text in (bundle.model["weight_path"], data["labels_path"], data["repr_imgs_dir_path"]):
        if not bundle.path(text).exists():
            yield f"{text} is not there"
    if not bundle.validation.is_dir():
        yield f"{data['val_data']} is not there"


def explain_unusable_onnx(path: Path) -> str | None:
    """Why a file is no self-contained ONNX model, or None."""
    try:
        model = onnx.load(path, "protobuf", load_external_data=False)
        if any(t.data_location == TensorProto.EXTERNAL for t in model.graph.initializer):
            return "weights lie in another file"
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError) as error:
        reason = str(error).strip().splitlines() or ["unreadable"]
        return f"not a usable ONNX file ({reason[0]})"
    return None


def explain_unfit_onnx(path: Path, size: int) -> str | None:
    """As `explain_unusable_onnx`; also why a network is none that export wrote."""
    if reason := explain_unusable_onnx(path):
        return reason
    shapes = _input_shapes(onnx.load(path, "protobuf"))
    if shapes != [[1, 3, size, size]]:
        expected = f"expected the input [1, 3, {size}, {size}] in float32, as export writes it"
        return f"{expected}, found {shapes}; give the folder of export"
    return None


def _input_shapes(model: onnx.ModelProto) -> list[list[int | str]]:
    constants = {tensor.name for tensor in model.graph.initializer}
    return [_shape(value) for value in model.graph.input if value.name not in constants]


def network(bundle: Bundle) -> Iterator[str]:
    """Opset, IR, one file, float32, the YAML's static shape in, (1, K) out."""
    path = bundle.path(bundle.model["weight_path"])
    if reason := explain_unusable_onnx(path):
        yield f"{path.name}: {reason}"
        return
    model = onnx.load(path, "protobuf")
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    if opset not in OPSETS or model.ir_version > IR:
        yield f"opset {opset}, IR {model.ir_version}; the SDK takes opset 14 to 17, IR to {IR}"
    shapes = _input_shapes(model)
    if shapes != [list(bundle.model["input_tensor_shape"])]:
        yield f"input {shapes}, expected {bundle.model['input_tensor_shape']} float32"
    if [_shape(v) for v in model.graph.output] != [[1, bundle.model["num_classes"]]]:
        yield f"output {[_shape(v) for v in model.graph.output]}, expected one (1, num_classes)"


def graph(bundle: Bundle) -> Iterator[str]:
    """The network begins with a layer, not with what prepares a picture."""
    try:
        nodes = onnx.load(bundle.network, "protobuf", load_external_data=False).graph
    except (DecodeError, OSError):
        return  # told by another rule
    weights = {tensor.name for tensor in nodes.initializer}
    taken = {value.name for value in nodes.input} - weights  # old files list weights there as well
    for node in nodes.node:
        if node.op_type in PREPARING and taken & {*node.input}:
            yield f"{node.op_type} of the input belongs into the YAML, not into the graph"


def _shape(value: onnx.ValueInfoProto) -> list[int | str]:
    """Sizes, with the names of dynamic axes; the type in front when it is not float32."""
    kind = value.type.tensor_type.elem_type
    sizes = [dim.dim_value or dim.dim_param or "?" for dim in value.type.tensor_type.shape.dim]
    return sizes if kind == TensorProto.FLOAT else [TensorProto.DataType.Name(kind), *sizes]


def _lines(bundle: Bundle) -> list[str]:
    text = bundle.path(bundle.dataset["labels_path"]).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line.strip()]


def labels(bundle: Bundle) -> Iterator[str]:
    """One label per class, still different identifiers after the SDK's rewriting."""
    lines = _lines(bundle)
    if len(lines) != bundle.model["num_classes"] or len(lines) < 2:
        yield f"{len(lines)} labels for num_classes {bundle.model['num_classes']}"
    if aliases := [line for line in lines if ", " in line]:
        yield f"{aliases[0]!r} would be split into a name and aliases"
    identifiers = [identifier(line) for line in lines]
    if twice := sorted({name for name in identifiers if identifiers.count(name) > 1}):
        yield f"labels become the same identifier {twice[0]!r}"
    if bad := [name for name in identifiers if not name.isidentifier()]:
        yield f"{bad[0]!r} is no identifier"


def folders(bundle: Bundle) -> Iterator[str]:
    """Folders in plain string order are the labels in order, none missing, none empty."""
    classes = sorted(path for path in bundle.validation.iterdir() if path.is_dir())
    lines = _lines(bundle)
    if len(classes) != len(lines):
        yield f"{len(classes)} class folders for {len(lines)} labels: later classes would shift"
        return
    for number, (path, line) in enumerate(zip(classes, lines, strict=True)):
        if not matches_label(path.name, line, number):
            yield f"class {number} is folder {path.name!r} but label {line!r}"
    if deep := [path.name for path in classes if any(p.is_dir() for p in path.iterdir())]:
        yield f"class folder {deep[0]!r} holds folders, whose pictures would count, too"
    if empty := [path.name for path in classes if not any(path.iterdir())]:
        yield f"class folder {empty[0]!r} is empty, which is an error of the loader"


def matches_label(folder: str, label: str, number: int) -> bool:
    """Whether a folder has the name of a label, which may have got its own number at the end."""
    # Folders keep letters of ASCII only, so these are what both can have in common.
    one, other = (re.sub(r"[^a-z0-9]", "", text.lower()) for text in (folder, label))
    plain = other.removeprefix("class")
    wanted = {plain, plain.removesuffix(str(number + 1)) or plain}
    return any(one.endswith(name) for name in wanted)


def pictures(bundle: Bundle) -> Iterator[str]:
    """All pictures are 8-bit RGB PNG of one size."""
    sizes = set()
    for path in list_pictures(bundle.validation) + list_pictures(bundle.calibration):
        with Image.open(path) as picture:
            sizes.add(picture.size)
            if path.suffix != ".png" or picture.format != "PNG" or picture.mode != "RGB":
                yield f"{path.name} is {picture.format} {picture.mode}, expected 8-bit RGB PNG"
            elif (bits := path.read_bytes()[DEPTH]) != 8:  # Pillow shows 16 bits as 8
                yield f"{path.name} has {bits} bits a channel, expected 8-bit RGB PNG"
    if len(sizes) != 1:
        yield f"pictures of {len(sizes)} sizes: {sorted(sizes)[:3]}"


def list_pictures(folder: Path) -> list[Path]:
    """Every file below a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())

"""The rules of the Voyager SDK, each one a function, read off a finished bundle.

Rules from the public SDK repository, release 1.2.5 (loader, network parser, data adapter), that
later releases are documented to share; where they differ, `sdk_profile_rules`.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from shared.errors import StageError
from shared.voyager import SDK, Bundle, open_bundle
from stages.voyager import sdk_calibration_rules, sdk_file_rules, sdk_profile_rules, sdk_range

TOP = {"axelera-model-format", "name", "description", "pipeline", "models", "datasets"}
TASK = {"model_name", "input", "preprocess", "postprocess"}
MODEL = {
    "class", "class_path", "weight_path", "task_category", "input_tensor_shape",
    "input_color_format", "input_tensor_layout", "dataset", "num_classes", "extra_kwargs",
}  # fmt: skip
DATASET = {
    "class", "class_path", "data_dir_name", "labels", "labels_path", "repr_imgs_dir_path",
    "repr_imgs_dir_name", "repr_imgs_dataloader_color_format", "val_data",
}  # fmt: skip
ADAPTER = ("TorchvisionDataAdapter", f"{SDK}/ax_datasets/torchvision.py")
STEPS = {  # operators and their arguments: the SDK refuses unknown ones
    "resize": {"width", "height", "half_pixel_centers", "interpolation"},
    "torch-totensor": {"scale"},
    "normalize": {"mean", "std"},
}
INPUT = {"type", "color_format", "imreader_backend"}
RESERVED = {"data_dir_path", "target_split", "imreader_backend", "pipeline_input_color_format"}


def keys(bundle: Bundle) -> Iterator[str]:
    """The YAML has the keys the SDK demands and none that it refuses."""
    if bundle.yaml["axelera-model-format"] != "1.0.0":
        yield f"axelera-model-format is {bundle.yaml['axelera-model-format']!r}, not '1.0.0'"
    mappings = {"top level": (set(bundle.yaml), TOP), "model": (set(bundle.model), MODEL)}
    mappings["pipeline"] = (set(bundle.task), TASK)
    for place, (have, want) in mappings.items():
        if have != want:
            yield f"{place}: missing {sorted(want - have)}, unknown {sorted(have - want)}"
    expected = {
        "class": "AxONNXModel",
        "class_path": f"{SDK}/ax_models/base_onnx.py",
        "task_category": "Classification",
        "input_tensor_layout": "NCHW",
    }
    for key, value in expected.items():
        if bundle.model[key] != value:
            yield f"{key} is {bundle.model[key]!r}, expected {value!r}"


def names(bundle: Bundle) -> Iterator[str]:
    """Network, file, model and data set refer to one another; the folder name is not taken."""
    name, data = bundle.yaml["name"], bundle.dataset
    if not (bundle.folder / f"{name}.yaml").is_file():
        yield f"the YAML of {name!r} is not called {name}.yaml"
    if bundle.task["model_name"] not in bundle.yaml["models"]:
        yield f"model_name {bundle.task['model_name']!r} is not under models"
    if data["data_dir_name"] != name or name.isidentifier():  # could be one of that module
        yield f"data_dir_name {data['data_dir_name']!r} is not the bundle's name, or is taken"
    if any(path.is_symlink() for path in bundle.folder.rglob("*")):
        yield "holds links, which the SDK does not follow"


def adapter(bundle: Bundle) -> Iterator[str]:
    """The data set uses the torchvision adapter, each source of files once, no reserved key."""
    data = bundle.dataset
    if bad := RESERVED & set(data):
        yield f"dataset: reserved keys {sorted(bad)}"
    if unknown := set(data) - DATASET - RESERVED - {"is_one_indexed"}:
        yield f"dataset: keys that the adapter silently ignores: {sorted(unknown)}"
    if (data["class"], data["class_path"]) != ADAPTER:
        yield f"dataset: expected class {ADAPTER[0]} with class_path {ADAPTER[1]}"
    for one, other in (("labels", "labels_path"), ("repr_imgs_dir_name", "repr_imgs_dir_path")):
        if (one in data) == (other in data):
            yield f"dataset: expected either {one} or {other}"
    if "is_one_indexed" in data:
        yield "dataset: is_one_indexed shifts the classes of a folder layout"


def colour(bundle: Bundle) -> Iterator[str]:
    """One colour order from file to network, else building the pipeline fails."""
    orders = {
        bundle.task["input"]["color_format"],
        bundle.model["input_color_format"],
        bundle.dataset["repr_imgs_dataloader_color_format"],
    }
    if orders != {"RGB"}:
        yield f"colour orders {sorted(orders)}, expected RGB throughout"


def preprocessing(bundle: Bundle) -> Iterator[str]:
    """Resize bilinear to the network's size, scale, normalise."""
    steps = bundle.steps
    if list(steps) != list(STEPS):
        yield f"preprocess is {list(steps)}, expected {', '.join(STEPS)}"
        return
    for step, expected in STEPS.items():
        if set(steps[step]) != expected:
            yield f"{step} has {sorted(steps[step])}, expected {sorted(expected)}"
    if steps["torch-totensor"] != {"scale": True}:
        yield f"torch-totensor is {steps['torch-totensor']}: normalize is for values 0 to 1"
    resize, shape = steps["resize"], bundle.model["input_tensor_shape"]
    if resize["interpolation"] != "bilinear" or resize["half_pixel_centers"] is not True:
        yield f"resize is {resize}: the SDK streams bilinear only, with half-pixel centres"
    if [1, 3, resize["height"], resize["width"]] != shape:
        yield f"resize to {resize}, but input_tensor_shape is {shape}"
    for key in ("mean", "std"):
        parts = [part.strip() for part in str(steps["normalize"][key]).split(",")]
        if len(parts) != shape[1]:
            yield f"normalize: {len(parts)} values of {key} for {shape[1]} channels"
        if key == "std" and any(float(part) <= 0 for part in parts):
            yield "normalize: std is not above 0"


def ends(bundle: Bundle) -> Iterator[str]:
    """Pictures go in, the most likely classes come out."""
    entry = bundle.task["input"]
    if set(entry) != INPUT:
        yield f"input has {sorted(entry)}, expected {sorted(INPUT)}"
    if entry["type"] != "image" or entry["imreader_backend"] not in ("PIL", "OPENCV"):
        yield f"input is {entry}, expected type image, read by PIL or OPENCV"
    steps = bundle.task["postprocess"]
    if [list(step) for step in steps] != [["topk"]] or list(steps[0]["topk"]) != ["k"]:
        yield f"postprocess is {steps}, expected topk of k"
    elif not 1 <= steps[0]["topk"]["k"] <= bundle.model["num_classes"]:
        yield f"topk of {steps[0]['topk']['k']} of {bundle.model['num_classes']} classes"


Rule = Callable[[Bundle], Iterator[str]]
RULES: tuple[Rule, ...] = (
    keys, names, adapter, colour, preprocessing, ends,
    sdk_file_rules.paths, sdk_file_rules.network, sdk_file_rules.graph, sdk_file_rules.labels,
    sdk_file_rules.folders, sdk_file_rules.pictures,
    sdk_calibration_rules.calibration, sdk_calibration_rules.balance,
    sdk_profile_rules.path_forms, sdk_profile_rules.transform,
)  # fmt: skip


def problems(folder: Path, profiles: tuple[str, ...] | None = None) -> list[str]:
    """What the SDK would refuse or silently get wrong in a bundle; empty when nothing.

    Args:
        folder: the bundle.
        profiles: of the SDK; without them, those that its MANIFEST.json names.

    Raises:
        StageError: no YAML, or one that cannot be read.
    """
    bundle, texts = open_bundle(folder), []
    rules = [(rule.__name__, partial(rule, bundle)) for rule in RULES]
    try:
        meant = profiles or sdk_range.profiles_of(folder)
        rules += [(r.__name__, partial(r, bundle, meant)) for r in sdk_profile_rules.RULES]
    except StageError as error:
        texts.append(f"release: {error}")
    for name, rule in rules:
        try:
            texts += [f"{name}: {text}" for text in rule()]
        except StageError as error:
            texts.append(f"{name}: {error}")
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, OSError) as error:
            texts.append(f"{name}: {type(error).__name__} {error}")
    return texts


def check_bundle(folder: Path, profiles: tuple[str, ...] | None = None) -> None:
    """Refuse a bundle that breaks a rule.

    Raises:
        StageError: with the first problems.
    """
    if texts := problems(folder, profiles):
        more = f" … ({len(texts)} problems)" if len(texts) > 3 else ""
        raise StageError(f"{folder}: not a bundle for the SDK: {'; '.join(texts[:3])}{more}")

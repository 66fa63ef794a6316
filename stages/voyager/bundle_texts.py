"""The text files of the bundle: model YAML, labels, how to deploy it."""

from pathlib import Path
from typing import Any

import yaml

from shared.models import Card
from shared.voyager import SDK, sdk_folder
from shared.voyager import calibration as pictures


def description(name: str, card: Card) -> dict[str, Any]:
    """The model YAML as nested dicts, for SDK 1.2.5 and later.

    Args:
        name: of the network; the SDK calls it c-NAME.
        card: three bands, mean and std with at most 3 decimals, bilinear.
    """
    numbers = {
        key: ", ".join(f"{value:.3f}" for value in getattr(card, key)) for key in ("mean", "std")
    }
    task = {
        "model_name": name,
        "input": {"type": "image", "color_format": "RGB", "imreader_backend": "PIL"},
        "preprocess": [
            {
                "resize": {
                    "width": card.size,
                    "height": card.size,
                    "half_pixel_centers": True,
                    "interpolation": "bilinear",
                }
            },
            {"torch-totensor": {"scale": True}},
            {"normalize": numbers},
        ],
        "postprocess": [{"topk": {"k": min(5, len(card.classes))}}],
    }
    return {
        "axelera-model-format": "1.0.0",
        "name": name,
        "description": f"{card.architecture}, {len(card.classes)} classes, "
        f"bands {' '.join(card.bands)} as R G B",
        "pipeline": [{"classification": task}],
        "models": {name: _model(name, card)},
        "datasets": {f"{name}-patches": _dataset(name)},
    }


def _model(name: str, card: Card) -> dict[str, Any]:
    return {
        "class": "AxONNXModel",
        "class_path": f"{SDK}/ax_models/base_onnx.py",
        "weight_path": f"{sdk_folder(name)}/model.onnx",
        "task_category": "Classification",
        "input_tensor_layout": "NCHW",
        "input_tensor_shape": [1, 3, card.size, card.size],
        "input_color_format": "RGB",
        "num_classes": len(card.classes),
        "dataset": f"{name}-patches",
    }


def _dataset(name: str) -> dict[str, Any]:
    return {
        "class": "TorchvisionDataAdapter",
        "class_path": f"{SDK}/ax_datasets/torchvision.py",
        "data_dir_name": name,
        "labels_path": f"{sdk_folder(name)}/labels.txt",
        "repr_imgs_dir_path": f"{sdk_folder(name)}/repr",
        "repr_imgs_dataloader_color_format": "RGB",
        "val_data": "val",
    }


DEPLOY = Path(__file__).with_name("deploy.md")


def commands(name: str, calibration: int) -> list[str]:
    """The SDK's commands, in order, for a bundle with so many calibration pictures."""
    infer = f"./inference.py c-{name} dataset --data-root customers --no-display"
    return [
        f"mkdir -p customers/{name}",
        f"cp -r BUNDLE/. customers/{name}/",
        f"./deploy.py customers/{name}/{name}.yaml --data-root customers "
        f"--num-cal-images {calibration} --mode QUANTCOMPILE",
        f"{infer} --pipe=torch",
        f"{infer} --pipe=torch-aipu --aipu-cores=1",
        infer,
        f"./inference.py c-{name} media/VIDEO.mp4 --no-display --aipu-cores=4 --show-host-fps",
    ]


def write_texts(
    folder: Path, name: str, card: Card, labels: tuple[str, ...], calibration: int
) -> None:
    """NAME.yaml, labels.txt and DEPLOY.md of a bundle."""
    text = yaml.safe_dump(description(name, card), sort_keys=False, width=1000)
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    content = "".join(f"{label}\n" for label in labels)
    (folder / "labels.txt").write_text(content, encoding="utf-8")
    lines = "\n".join(commands(name, calibration))
    seen = pictures.describe_prefixes(pictures.list_pictures(folder / "repr"), len(card.classes))
    words = {
        "name": name, "bands": ", ".join(card.bands), "commands": lines, "seen": "; ".join(seen),
    }  # fmt: skip
    text = DEPLOY.read_text(encoding="utf-8").format(**words)
    (folder / "DEPLOY.md").write_text(text, encoding="utf-8")

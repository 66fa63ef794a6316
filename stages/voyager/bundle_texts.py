"""The text files of the bundle: model YAML, compiler settings, preprocess.py, labels."""

from pathlib import Path
from typing import Any

import yaml

from shared.models import Card
from shared.voyager import SDK, sdk_folder
from stages.voyager import compiler_settings, preprocess_file
from stages.voyager.settings import Deployment


def description(name: str, card: Card, deployment: Deployment) -> dict[str, Any]:
    """The model YAML as nested dicts.

    Args:
        name: of the network; SDK 1.2.5 calls it c-NAME.
        card: three bands, mean and std with at most the decimals that the SDK keeps, bilinear.
        deployment: releases of the SDK, and what their compiler is told.
    """
    kept = deployment.decimals
    numbers = {
        key: ", ".join(f"{value:.{kept}f}" for value in getattr(card, key))
        for key in ("mean", "std")
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
        "models": {
            name: _model(name, card)
            | {"extra_kwargs": compiler_settings.extra_kwargs(name, deployment)}
        },
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


def write_texts(
    folder: Path, name: str, card: Card, labels: tuple[str, ...], deployment: Deployment
) -> None:
    """NAME.yaml, NAME.toml where a release reads it, preprocess.py and labels.txt of a bundle."""
    files = {
        f"{name}.yaml": yaml.safe_dump(
            description(name, card, deployment), sort_keys=False, width=1000
        ),
        "labels.txt": "".join(f"{label}\n" for label in labels),
        "preprocess.py": preprocess_file.write(name, card, deployment.decimals),
    }
    if compiler_settings.needs_toml(deployment.profiles):
        files[f"{name}.toml"] = compiler_settings.write_toml(name, deployment)
    for file, text in files.items():
        (folder / file).write_text(text, encoding="utf-8")

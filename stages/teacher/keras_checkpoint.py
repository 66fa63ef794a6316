"""A classifier that Keras saved, such as So2Sat's published ResNet20, as the one member."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared import keras_files, onnx_graphs, patches
from shared.errors import StageError
from shared.keras_files import is_hdf5 as is_keras
from shared.training import Plan
from stages.teacher import onnx_members
from stages.teacher.member_start import Start, member_file, refuse_contradictions

__all__ = ["describe", "is_keras", "read"]


def describe(path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """The flags that the file says: one member, its architecture, its size.

    Raises:
        StageError: the caller says something else; as `keras_files.read`.
    """
    said: dict[str, Any] = dict(keras_files.describe(keras_files.read(path)))
    refuse_contradictions(path, said, given)
    return said


def read(path: Path, train: Path, plan: Plan) -> list[Start]:
    """The network, on the bands of sen2 as reflectance, with the classes of the training split.

    Args:
        path: HDF5 file of weights or of a whole model.
        train: patch file with sen2; its bands and classes count in their order.
        plan: ``architecture`` must be that of the network, as `describe` says it.

    Raises:
        StageError: as `keras_files.read`; other bands or classes.
    """
    network = keras_files.read(path)
    if plan.network.architecture != network.architecture:
        found = plan.network.architecture
        raise StageError(f"--architecture: {path} says {network.architecture!r}, found {found!r}")
    with patches.read(train, "label", "sen2") as source:
        layout = source["sen2"].layout
        assert layout is not None
        card = keras_files.fit_card(path, network, member_file(0), layout, source.classes)
    adopted = onnx_graphs.adopt_model(keras_files.to_onnx(network), path, card)
    return [onnx_members.start_trained(card, adopted)]

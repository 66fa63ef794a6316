"""What `model_config` says of layers that their tensors do not: strides, epsilon, size, kinds."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.errors import StageError
from shared.reading import documents

EPSILON = 1e-3  # of Keras' batch norm
KNOWN = {
    "InputLayer", "Conv2D", "BatchNormalization", "Activation", "ReLU", "Add", "AveragePooling2D",
    "GlobalAveragePooling2D", "Flatten", "Dropout", "Dense", "Softmax",
}  # fmt: skip
# What these layers must say, where they say it.
DEMANDED: dict[str, dict[str, tuple[Any, ...]]] = {
    "Conv2D": {
        "padding": ("same",), "activation": ("linear", None), "dilation_rate": ([1, 1],),
        "groups": (1,), "data_format": ("channels_last",),
    },
    "BatchNormalization": {"axis": (3, -1, [3], [-1]), "scale": (True,), "center": (True,)},
    "Activation": {"activation": ("relu", "softmax", "linear")},
    "Dense": {"activation": ("softmax", "linear", None)},
    "ReLU": {"max_value": (None,), "negative_slope": (0, 0.0), "threshold": (0, 0.0)},
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """What a file says of its layers; nothing in a file of weights alone.

    Attributes:
        layers: name to the configuration of the layer.
        side: pixels per side at the input, None where nothing says it.
        channels: bands at the input, likewise.
        pool: pixels per side that are averaged; None where nothing says it, 0 for the whole map.
    """

    layers: dict[str, dict[str, Any]] = field(default_factory=dict)
    side: int | None = None
    channels: int | None = None
    pool: int | None = None

    def epsilon(self, name: str) -> float:
        """Of a batch norm."""
        return float(self.layers.get(name, {}).get("epsilon", EPSILON))

    def check_stride(self, path: Path, name: str, expected: int) -> None:
        """StageError where the file says another stride than the architecture has."""
        found = self.layers.get(name, {}).get("strides", [expected, expected])
        if list(found) != [expected, expected]:
            raise StageError(f"{path}: {name}: expected stride {expected}, found {found}")

    def check_size(self, path: Path, stages: int, last: int) -> int:
        """Pixels per side at the input, halved by all stages but the first.

        Args:
            path: for messages.
            stages: number of stages.
            last: pixels per side of the last map, where the file does not say them.

        Raises:
            StageError: what is averaged is not the whole last map.
        """
        shrunk = 2 ** (stages - 1)
        side = self.side if self.side is not None else (self.pool or last) * shrunk
        whole = -(-side // shrunk)
        if self.pool not in (None, 0, whole) or (self.side is None and stages > 6):
            raise StageError(
                f"{path}: expected the mean over the last map of {whole} pixels, found {self.pool}"
            )
        return side


def read_settings(path: Path, config: str) -> Settings:
    """What the text of `model_config` says.

    Raises:
        StageError: not JSON of a Keras model, or a layer that the family does not have.
    """
    if not config:
        return Settings()
    try:
        listed = documents.parse_json(config)["config"]["layers"]
        layers = [(str(layer["class_name"]), dict(layer["config"])) for layer in listed]
        for kind, layer in layers:
            _check(path, kind, layer)
        shapes = [_input_shape(layer) for kind, layer in layers if kind == "InputLayer"]
        pools = [_pool(kind, layer) for kind, layer in layers if "AveragePooling2D" in kind]
        side, channels = shapes[0] if shapes else (None, None)
        named = {str(layer.get("name")): layer for _, layer in layers}
        epsilons = [float(layer.get("epsilon", EPSILON)) for _, layer in layers]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        reason = str(error)[:80] or type(error).__name__
        raise StageError(f"{path}: model_config: not a model of Keras ({reason!r})") from None
    if len(shapes) > 1 or len(pools) != 1 or not all(0 < value < 1 for value in epsilons):
        raise StageError(f"{path}: model_config: expected one input, one mean over the map and "
                         "epsilon between 0 and 1")  # fmt: skip
    return Settings(named, side, channels, pools[0])


def _check(path: Path, kind: str, layer: dict[str, Any]) -> None:
    name = str(layer.get("name"))[:80]
    if kind not in KNOWN:
        raise StageError(f"{path}: {name}: a layer {kind[:40]!r} of another kind of network")
    for entry, allowed in DEMANDED.get(kind, {}).items():
        if entry in layer and layer[entry] not in allowed:
            raise StageError(
                f"{path}: {name}: {entry}: expected {allowed[0]!r}, found {layer[entry]!r}"
            )


def _input_shape(layer: dict[str, Any]) -> tuple[int | None, int]:
    """Side and channels; ValueError for pictures that are not square."""
    _, height, width, channels = layer.get("batch_input_shape") or layer["batch_shape"]
    if height != width or type(channels) is not int or type(height) not in (int, type(None)):
        raise ValueError(f"input {height} x {width} x {channels}")
    if height is not None and not 1 <= height <= 4096:
        raise ValueError(f"input of {height} pixels")
    return height, channels


def _pool(kind: str, layer: dict[str, Any]) -> int:
    """Pixels per side, 0 for all."""
    if kind == "GlobalAveragePooling2D":
        return 0
    across, down = layer["pool_size"]
    if across != down or type(across) is not int:
        raise ValueError(f"a mean over {across} x {down}")
    return across

"""Maps of what decides a class: Grad-CAM and occlusion by captum, and how alike two maps are."""

from collections.abc import Callable

import numpy as np
import torch
from captum.attr import LayerAttribution, LayerGradCam, Occlusion
from numpy.typing import NDArray
from torch import Tensor, nn

from shared.errors import StageError

Map = NDArray[np.float32]
Logits = Callable[[Map], Map]
TOGETHER = 32  # covered copies in one call


def grad_cam(
    network: nn.Module, layer: nn.Module, image: Map, target: int, shape: tuple[int, int]
) -> Map:
    """(H, W) 0 … 1: how much each place of a layer speaks for a class.

    Weights are the spatial means of the gradients of the logit, the map is the ReLU of the weighted
    sum of the layer's outputs, min-max normalised, resized bilinearly. Selvaraju et al. 2017,
    "Grad-CAM: visual explanations from deep networks via gradient-based localization".

    Args:
        network: in evaluation mode.
        layer: one of its modules, with outputs (N, F, h, w).
        image: (C, S, S) network input.
        target: class.
        shape: height and width of the patch.
    """
    method = LayerGradCam(network, layer)
    raw = method.attribute(torch.from_numpy(image[None]), target=target, relu_attributions=True)
    coarse = torch.from_numpy(normalise(raw.detach().numpy()))
    fine: Map = LayerAttribution.interpolate(coarse, shape, "bilinear")[0, 0].numpy()
    return fine


def normalise(values: Map) -> Map:
    """Values from 0 (the smallest) to 1 (the largest); zeros where all are equal."""
    low, high = values.min(), values.max()
    return np.asarray((values - low) / (high - low if high > low else 1), np.float32)


def occlude(logits: Logits, image: Map, target: int, shape: tuple[int, int], side: int) -> Map:
    """(H, W) by how much a class's logit falls while a place is covered; below 0 it rises.

    A square is moved over the patch by half its side; a pixel has the mean of the squares that
    cover it. Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks".

    Args:
        logits: (N, C, S, S) to (N, K).
        image: (C, S, S) network input, in which 0 is the training mean: what covers.
        target: class.
        shape: height and width of the patch.
        side: of the square, in pixels of the patch.
    """

    def score(visible: Tensor) -> Tensor:
        """(N,) logits of copies seen through (N, 1, H, W) masks."""
        mask = stretch(visible.numpy(), image.shape[1], image.shape[2])
        return torch.from_numpy(logits(np.asarray(image * mask, np.float32))[:, target])

    drop = Occlusion(score).attribute(
        torch.ones(1, 1, *shape),
        sliding_window_shapes=(1, side, side),
        strides=(1, max(1, side // 2), max(1, side // 2)),
        baselines=0,
        perturbations_per_eval=TOGETHER,
    )
    fall: Map = drop[0, 0].detach().numpy().astype(np.float32)
    return fall


def stretch(masks: Map, height: int, width: int) -> Map:
    """(N, 1, H, W) to (N, 1, height, width), each pixel as that of the patch under its centre."""
    rows, columns = (
        ((np.arange(target) + 0.5) * own / target).astype(int)
        for target, own in ((height, masks.shape[2]), (width, masks.shape[3]))
    )
    return masks[:, :, rows][..., columns]


def correlate_ranks(one: Map, other: Map) -> float | None:
    """Spearman's correlation of two maps, ties with their mean rank; None where one is flat."""
    ranks = [_rank(values.ravel()) for values in (one, other)]
    spreads = [float(rank.std()) for rank in ranks]
    if not all(spreads):
        return None
    a, b = (rank - rank.mean() for rank in ranks)
    return float((a * b).mean() / (spreads[0] * spreads[1]))


def _rank(values: Map) -> NDArray[np.float64]:
    """(N,) mean rank of each value, from 1."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((counts.cumsum() - (counts - 1) / 2)[places])


def list_layers(network: nn.Module, image: Map) -> dict[str, nn.Module]:
    """Layers with maps of more than one place by name, in the order in which they run.

    Args:
        network: in evaluation mode.
        image: (C, S, S) network input.
    """
    names = {module: name for name, module in network.named_modules() if name}
    seen: list[nn.Module] = []

    def after(module: nn.Module, _: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2:].numel() > 1:
            seen.append(module)

    hooks = [module.register_forward_hook(after) for module in names]
    with torch.no_grad():
        network(torch.from_numpy(image[None]))
    for hook in hooks:
        hook.remove()
    return {names[module]: module for module in seen if seen.count(module) == 1}


def choose_layers(there: dict[str, nn.Module], wanted: tuple[str, ...]) -> list[str]:
    """The wanted layers that are there, or the last convolution."""
    kept = [name for name in dict.fromkeys(wanted) if name in there]
    return kept or [name for name, layer in there.items() if isinstance(layer, nn.Conv2d)][-1:]


def refuse_unknown(wanted: tuple[str, ...], there: list[dict[str, nn.Module]]) -> None:
    """StageError for a layer that no network has; it lists those that there are."""
    known = list(dict.fromkeys(name for layers in there for name in layers))
    for name in wanted:
        if name not in known:
            listed = ", ".join(known) or "none, as no network is known to torch"
            raise StageError(f"--layers: expected of {listed}, found {name!r}")

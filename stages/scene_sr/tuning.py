"""The same network in a form that onnxruntime runs faster on a CPU, if a trial gives the same."""

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from shared.sisr_client import Network, choose_options
from stages.scene_sr import folding

INSIDE = 24  # input pixels of the trial that are compared
LOW, HIGH = 200, 4000  # digital numbers of the trial
NEAR, FEW = 0.05, 0.005  # digital numbers that may differ, and the share that a Round inside turns


def speed_up(network: Network, threads: int) -> bool:
    """Let a network run in the faster form, if a trial gives the same; whether it does."""
    model = onnx.load(str(network.description.model))
    graph = folding.Graph.of(model)
    if not folding.fold_padding(graph) + folding.fold_factors(graph):
        return False
    try:
        faster = onnxruntime.InferenceSession(
            model.SerializeToString(),
            choose_options(threads),
            providers=network.session.get_providers(),
        )
    except Exception:  # a form that it does not take is no fault of the caller's
        return False
    tile = draw_trial(network)
    expected, plain = network.run(tile), network.session
    network.session = faster
    if not is_same(expected, network.run(tile), network.description.whole_margin):
        network.session = plain
        return False
    return True


def draw_trial(network: Network) -> NDArray[np.float32]:
    """(C, h, w) noise with a margin around it, not square."""
    told = network.description
    ring = told.whole_margin // told.factor
    shape = (len(told.bands), 2 * ring + INSIDE, 2 * ring + INSIDE + 7)
    return np.random.default_rng(0).uniform(LOW, HIGH, shape).astype(np.float32)


def is_same(one: NDArray[np.float32], two: NDArray[np.float32], margin: int) -> bool:
    """Whether two tiles hold the same numbers within their margins."""
    inside = slice(margin, -margin or None)
    apart = np.abs(one[:, inside, inside] - two[:, inside, inside])
    return bool(apart.max() <= 1 and (apart > NEAR).mean() <= FEW)

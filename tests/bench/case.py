"""One network on one device: seconds, peak memory and error of the reference way and of ours.

    .venvs/sr_edsr/bin/python -m tests.bench.case edsr 2 weights.safetensors src.h5 cpu times 20

Runs under the stage's own interpreter, started by tests.bench.sr; the last line of stdout is JSON.
"""

import importlib
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from shared import patches
from shared.backend import devices
from shared.sr import bands, forward, options, stream
from shared.sr.methods import load_all
from tests.bench import published

Array = NDArray[np.float32]
TYPES = {"float32": torch.float32} | devices.TYPES
PRECISIONS = {"cpu": ("float32", "bfloat16"), "cuda": ("float32", "bfloat16", "float16")}
# Those whose stages match mean and deviation afterwards.
PLAIN = [name for name, method in load_all().items() if method.flags_with_own_weights]


def ours(
    method: str, scale: int, weights: Path, src: Path, device: str, precision: str
) -> stream.Enlarge:
    """What the stage itself would send its patches through."""
    stage, loads = importlib.import_module(f"stages.sr_{method}.main"), []
    original, stream.enlarge_file = (
        stream.enlarge_file,
        lambda _src, _dst, load, **_: loads.append(load),
    )
    try:
        choice: dict[str, Any] = {"device": device, "precision": precision}
        inference = options.Inference(**choice)
        stage.run(
            src=src, dst=Path("none.h5"), weights=weights, scale=scale, inference=inference,
            **({"match": False} if method in PLAIN else {}),
        )  # fmt: skip
    finally:
        stream.enlarge_file = original
    return loads[0]()


def images(method: str, sen2: Array) -> torch.Tensor:
    """What the reference gives its network for one patch: (calls, channels, H, W) in 0 … 1."""
    if method == "esrgan":
        from shared.sr import triplets

        planes = triplets.gather(sen2)
    else:
        planes = bands.to_planes(sen2)
    unit = torch.from_numpy(bands.stretch(planes, *bands.measure_ranges(planes)))
    channels = published.INPUTS.get(method, 3)
    return unit if method == "esrgan" else unit.expand(-1, channels, -1, -1).contiguous()


@torch.inference_mode()
def one_by_one(network: nn.Module, given: torch.Tensor, device: str) -> torch.Tensor:
    """The reference way: one call for each image, and back to the host."""
    return torch.cat([network(image[None].to(device)).cpu() for image in given])


def band(method: str, out: torch.Tensor) -> Array:
    """The reference's outputs of one patch as our bands in 0 … 1, for a comparison."""
    if method == "esrgan":
        from shared.sr import triplets

        return triplets.scatter(out.numpy())
    if method in PLAIN:
        out = torch.einsum("mkhw,k->mhw", out, out.new_tensor((0.299, 0.587, 0.114)))[:, None]
    return bands.to_images(out[:, :1].numpy(), len(out))


def seconds(work: Callable[[], object], device: str) -> float:
    """Wall time of one call, with what it left running on a GPU."""
    start = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


@torch.inference_mode()
def limit(precision: str, device: str) -> float:
    """GFLOP a second that the machine gives: the better of a product and a convolution."""
    kind, many = TYPES[precision], 64 if device == "cuda" else 1
    side, count = (8192, 640) if device == "cuda" else (2048, 10)
    square = torch.randn(side, side, device=device).to(kind)
    image = torch.randn(count, 64, 64, 64, device=device).to(kind)
    image = image.to(memory_format=torch.channels_last)
    kernel = torch.randn(64, 64, 3, 3, device=device).to(kind)
    kernel = kernel.to(memory_format=torch.channels_last)
    works = {
        2 * side**3: lambda: square @ square,
        2 * image.numel() * 64 * 9: lambda: functional.conv2d(image, kernel, padding=1),
    }
    repeats = range(min(many, 8) + 4)
    return max(
        flop / min(seconds(work, device) for _ in repeats) / 1e9 for flop, work in works.items()
    )


def peak(sen2: Array, made: Array, exact: Array) -> dict[str, float]:
    """PSNR in dB with a peak of 1: in units of each band's range, and in reflectance."""
    _, span = bands.measure_ranges(bands.to_planes(sen2))
    error = bands.to_planes(made - exact)
    unit = error / np.where(span == 0, 1, span)
    both: dict[str, NDArray[Any]] = {"psnr_unit": unit, "psnr_reflectance": error}
    return {
        name: float(-10 * np.log10(np.mean(np.square(values), dtype=np.float64) + 1e-20))
        for name, values in both.items()
    }


def times(
    method: str, scale: int, weights: Path, src: Path, device: str, budget: float
) -> dict[str, Any]:
    """Interleaved: reference, ours in each precision, reference again …; medians."""
    with patches.read(src, "sen2") as source:
        count = forward.GPU_IMAGES // (4 if method == "esrgan" else 10) if device == "cuda" else 1
        sen2 = np.tile(source["sen2"][:2], (-(-count // 2), 1, 1, 1))[:count]
    network = published.reference(method, scale, weights)
    given = images(method, sen2[:1])
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(given[:1])
    network.to(device)
    works: dict[str, Callable[[], object]] = {
        "reference": partial(one_by_one, network, given, device)
    }
    made = {}
    for precision in PRECISIONS[device]:
        enlarge = ours(method, scale, weights, src, device, precision)
        works[precision] = partial(enlarge, sen2)
        made[precision] = enlarge(sen2)[:1]
    first = [seconds(work, device) for work in works.values()]
    rounds = max(3, min(15, int(budget / sum(first))))
    measured: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            measured[name].append(seconds(work, device) / (1 if name == "reference" else count))
    low, span = bands.measure_ranges(bands.to_planes(sen2[:1]))
    plain = bands.to_planes(band(method, one_by_one(network, given, device)))
    exact = (bands.to_planes(made["float32"]) - low) / np.where(span == 0, 1, span)
    return {
        "gflop": counter.get_total_flops() * len(given) / 1e9,
        "seconds": {name: statistics.median(values) for name, values in measured.items()},
        "rounds": rounds,
        "limit": {name: limit(name, device) for name in PRECISIONS[device]},
        "difference": float(np.abs(exact - plain).max()),
        "errors": {name: peak(sen2[:1], made[name], made["float32"]) for name in made},
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
    }


def memory(
    method: str, scale: int, weights: Path, src: Path, device: str, kind: str
) -> dict[str, float]:
    """Peak memory in MB of one patch, the interpreter and torch included."""
    with patches.read(src, "sen2") as source:
        sen2 = source["sen2"][:1]
    if kind == "reference":
        network, given = published.reference(method, scale, weights), images(method, sen2)
        network.to(device)
        work: Callable[[], object] = partial(one_by_one, network, given, device)
    else:
        work = partial(ours(method, scale, weights, src, device, kind), sen2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    work()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    gpu = torch.cuda.max_memory_allocated() / 1e6 if device == "cuda" else 0.0
    return {"loaded_mb": before / 1e3, "peak_mb": after / 1e3, "gpu_mb": gpu}


def main(arguments: list[str]) -> None:
    """Prints what one job found as JSON."""
    method, scale, weights, src, device, job, detail = arguments
    where = (method, int(scale), Path(weights), Path(src), device)
    if job == "weights":
        published.write(method, int(scale), Path(weights))
        figures: dict[str, Any] = {}
    else:
        figures = times(*where, float(detail)) if job == "times" else memory(*where, detail)
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1:])

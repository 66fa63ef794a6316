"""One network in one process or in several: Lightning Fabric, and batch norm over all of them."""

import atexit
import contextlib
import functools
import logging
import os
import shlex
import sys
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed
import torch.utils.deterministic
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy
from torch import Tensor
from torch.distributed.nn.functional import all_reduce
from torch.nn import functional
from torch.nn.modules._functions import SyncBatchNorm
from torch.overrides import TorchFunctionMode

from shared.backend import devices
from shared.errors import StageError
from shared.runs import processes
from shared.training.parallel import launchers

# What Lightning calls a precision.
PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed"}


@functools.cache
def launch(device: str, precision: str) -> Fabric:
    """Join the other processes, if torchrun or srun started some; the same object every time.

    Args:
        device: "auto", "cpu" or "cuda".
        precision: "auto", "float32" or "bfloat16".

    Raises:
        StageError: the device is not there, or GPUs or processes are not as `starters.each` wants.
    """
    _quiet()
    alone, accelerator = processes.rank_and_size()[1] == 1, devices.choose_device(device)
    fabric = Fabric(
        accelerator=accelerator,
        devices=launchers.processes_per_node(accelerator),
        num_nodes=processes.count_nodes(),
        # A step is the same every time; some image branches have a layer that is never used.
        strategy="auto" if alone else DDPStrategy(static_graph=True),
        precision=PRECISIONS[devices.choose_precision(precision, device)],  # type: ignore[arg-type]
        plugins=launchers.choose_environment(),
    )
    fabric.launch()
    if not alone:
        _refuse_others()
        # before Python takes apart what a thread of the process group still needs
        atexit.register(torch.distributed.destroy_process_group)
    return fabric


def _refuse_others() -> None:
    """StageError unless all processes were started with one command.

    Of shards that srun starts side by side, only the first one's product would be kept.
    """
    said: list[Any] = [None] * processes.rank_and_size()[1]
    torch.distributed.all_gather_object(said, sys.argv[1:])
    if any(one != said[0] for one in said):
        raise StageError(
            f"{len(said)} processes, one product: expected the same command in each, found "
            f"{shlex.join(said[0])} and others; start shards apart, as jobs of their own"
        )


def _quiet() -> None:
    """Lightning's banners do not concern the caller; cuBLAS is to round alike every time."""
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@contextlib.contextmanager
def deterministic(fabric: Fabric) -> Iterator[None]:
    """Kernels that round alike every time; batch norm over all processes where there are some."""
    deterministic, filled = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic
    before = deterministic, filled.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    filled.fill_uninitialized_memory = False  # with NaN, to find those who read it: 5 % of the time
    try:
        with GlobalBatchNorm() if fabric.world_size > 1 else contextlib.nullcontext():
            yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        filled.fill_uninitialized_memory = before[1]


@contextlib.contextmanager
def without_tf32() -> Iterator[None]:
    """Left to itself, cuDNN rounds the factors of a convolution to TF32, which has ten bits."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


class GlobalBatchNorm(TorchFunctionMode):
    """While it is active, batch norm in training takes mean and deviation over all processes.

    Not by replacing layers: networks have batch norms of their own kinds that do more than that.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is not functional.batch_norm:
            return func(*args, **kwargs)
        names = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum")
        given = dict(zip((*names, "eps"), args, strict=False)) | kwargs
        if not given.get("training"):
            return func(*args, **kwargs)
        given = {"weight": None, "bias": None, "momentum": 0.1, "eps": 1e-5} | given
        given.pop("training")
        return _on_cuda(**given) if given["input"].is_cuda else batch_norm(**given)


def batch_norm(
    *, input: Tensor, running_mean: Tensor | None, running_var: Tensor | None,
    weight: Tensor | None, bias: Tensor | None, momentum: float, eps: float,
) -> Tensor:  # fmt: skip
    """Batch norm of (N, C, …) with the statistics of the batches of all processes together."""
    axes = [axis for axis in range(input.ndim) if axis != 1]
    values = input.float()
    count = values.new_full((1,), input.numel() // input.shape[1])
    total, count = all_reduce(torch.cat([values.sum(axes), count])).split([input.shape[1], 1])
    shape = [1, -1, *[1] * (input.ndim - 2)]
    centred = values - (total / count).view(shape)
    # In two passes, as squares of large values less the square of their mean lose their digits.
    variance = all_reduce((centred**2).sum(axes)) / count
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(total / count, momentum)
            running_var.lerp_(variance * count / (count - 1), momentum)
    scale = (variance + eps).rsqrt()
    scale = scale if weight is None else scale * weight
    normal = centred * scale.view(shape)
    return (normal if bias is None else normal + bias.view(shape)).to(input.dtype)


def _on_cuda(
    *, input: Tensor, running_mean: Tensor, running_var: Tensor, weight: Tensor, bias: Tensor,
    momentum: float, eps: float,
) -> Tensor:  # fmt: skip
    """The same in torch's own kernels, which exist for GPUs only."""
    group = torch.distributed.group.WORLD
    normal: Tensor = SyncBatchNorm.apply(
        input, weight, bias, running_mean, running_var, eps, momentum, group,
        torch.distributed.get_world_size(),
    )  # fmt: skip
    return normal

"""The device and the precision that a stage computes with, by one vocabulary for all of them.

It works with torch 2.1, which one stage needs, and imports no other package.
"""

import os
from pathlib import Path

import torch

from shared.errors import StageError

# What autocast computes the large products in; float32 is computed as it is.
TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(device: str) -> str:
    """ "cpu" or "cuda" for --device, where "auto" takes a GPU if there is one.

    Raises:
        StageError: no GPU where one is asked for.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise StageError("--device: expected a CUDA device, found none; use --device cpu")
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


def choose_precision(precision: str, device: str) -> str:
    """ "float32", "bfloat16" or "float16" for --precision.

    Args:
        precision: one of these, or "auto": bfloat16 on a GPU that has it, float32 otherwise.
        device: as --device says it.

    Raises:
        StageError: float16 without a GPU.
    """
    place = choose_device(device)
    if precision == "float16" and place == "cpu":
        raise StageError("--precision: float16 needs a CUDA device; use bfloat16 on a CPU")
    if precision != "auto":
        return precision
    return "bfloat16" if place == "cuda" and torch.cuda.is_bf16_supported(False) else "float32"


def free_memory(device: torch.device) -> int:
    """Bytes that may still be used: of a GPU, or of this machine or container with its swap."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:  # not Linux: what is built in
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    facts = dict(line.split(":") for line in lines)
    machine = sum(int(facts[name].split()[0]) * 1024 for name in ("MemAvailable", "SwapFree"))
    return min([machine, *_free_of_groups(Path("/sys/fs/cgroup"))])


def _free_of_groups(root: Path) -> list[int]:
    """Bytes left below the limits of the control groups (version 2) that this process is in."""
    own = Path("/proc/self/cgroup").read_text().rpartition("::")[2].strip().lstrip("/")
    left = []
    for group in [root / own, *(root / own).parents]:
        try:
            limit, used = (group / "memory.max").read_text(), (group / "memory.current").read_text()
            pages = (group / "memory.stat").read_text().splitlines()
        except OSError:
            continue
        if limit.strip() != "max":
            # Pages of files that were not used lately are given back on demand.
            idle = next(int(line.split()[1]) for line in pages if line.startswith("inactive_file"))
            left.append(max(0, int(limit) - int(used) + idle))
    return left

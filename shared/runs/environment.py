"""The environment in which a product was made: the part of a record that is never compared."""

import functools
import importlib.metadata
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any


def gather(seconds: float, device: str) -> dict[str, Any]:
    """Time, device, code revision, package versions and machine of a run; never compared."""
    return {
        "seconds": round(seconds, 3),
        "device": device,
        "revision": _revision(),
        "image": _image(),
        "python": platform.python_version(),
        "packages": _packages(),
        "host": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def device() -> str:
    """ "cuda: NAME" when this process computed on a GPU, else "cpu"; never imports torch itself."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        return f"cuda: {torch.cuda.get_device_name()}"
    return "cpu"


def _image() -> str:
    """Id of the image; in a container started by hand, the digest of what the image was built from.

    "" outside containers.
    """
    if number := os.environ.get("STAGE_IMAGE"):
        return number
    return f"built from {os.environ['STAGE_INPUTS']}" if "STAGE_INPUTS" in os.environ else ""


def _packages() -> dict[str, str]:
    """Every installed package and its version, by name; the first on the path is the one in use."""
    versions: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        if name := distribution.metadata["Name"]:
            versions.setdefault(name, distribution.version)
    return dict(sorted(versions.items(), key=lambda item: item[0].lower()))


@functools.cache
def _revision() -> str:
    if "STAGE_REVISION" in os.environ:
        return os.environ["STAGE_REVISION"]
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(
            [*git, "--abbrev=40"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"

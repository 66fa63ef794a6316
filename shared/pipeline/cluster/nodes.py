"""The shell words that start a stage on a node: an environment, or a container of some engine."""

import shlex
from pathlib import Path

from shared.errors import StageError
from shared.pipeline.product import Product

NODE_RUNNERS = ("local", "docker", "apptainer", "charliecloud")
INSIDE = "inside"  # the words within a container, for what starts containers itself
IMAGES = Path("sif")  # what `make sif` and `make charliecloud` write
VOLUME = "/app/data"  # where a container sees data/


def check_node_runner(name: str) -> str:
    """The name itself.

    Raises:
        StageError: no such way to run a stage on a node.
    """
    if name not in NODE_RUNNERS:
        raise StageError(f"NODE_RUNNER: expected {' or '.join(NODE_RUNNERS)}, found {name}")
    return name


def needed_file(stage: str, runner: str) -> str:
    """The file that must exist before a job is submitted, "" where a node makes what it needs."""
    return {
        "local": f".venvs/{stage.replace('-', '_')}/made",
        "apptainer": str(IMAGES / f"{stage}.sif"),
        "charliecloud": str(IMAGES / f"{stage}.ch.made"),
    }.get(runner, "")


def start(product: Product, runner: str, stage: str = "") -> str:
    """The words that start a stage, without its flags.

    Args:
        product: whose stage it is, and whose folder outside data/ a container sees.
        runner: one of `NODE_RUNNERS`, or `INSIDE`.
        stage: another stage than that of the product, such as merge.
    """
    stage = stage or product.stage
    module = stage.replace("-", "_")
    if runner == INSIDE:
        return "python -m stages"
    if runner == "local":
        return f".venvs/{module}/bin/python -m stages.{module}.main"
    mirror = f"{shlex.quote(product.mount)}:/mirror" if product.mount else ""
    if runner == "docker":
        mount = f" -v {mirror}:ro" if mirror else ""
        return f"python3 -m shared.pipeline run docker compose run --rm -T{mount} {stage}"
    if runner == "apptainer":  # a read-only root, no network, nothing of the node but data/
        bind = f" --bind {mirror}:ro" if mirror else ""
        return (
            f'apptainer run --containall --net --network none --no-home --bind "$PWD/data:{VOLUME}"'
            f"{bind} --pwd /app {IMAGES}/{stage}.sif"
        )
    bind = f" --bind {mirror}" if mirror else ""
    # ch-run wants a USER, which jobs and containers may lack.
    return (
        'env USER="$(id -un)" '
        f'ch-run --unset-env="*" --set-env --private-tmp --bind "$PWD/data:{VOLUME}"{bind} '
        f"--cd /app {IMAGES}/{stage}.ch -- python -m stages"
    )

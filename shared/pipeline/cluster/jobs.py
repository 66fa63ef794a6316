"""The jobs of a plan: one per product, or an array for its parts and one that joins them."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from shared.errors import StageError
from shared.pipeline import containers
from shared.pipeline.cluster import nodes
from shared.pipeline.cluster.resources import EVERY, Resources, read_resources
from shared.pipeline.plan import Plan, build
from shared.pipeline.product import Product
from shared.pipeline.reading import read_settings

TASK = "{task}"  # in commands and paths: the number of a task, from 1
PARTS = ".parts"  # PRODUCT.parts holds the parts of a product until they are joined


@dataclass(frozen=True)
class Job:
    """One job of a cluster.

    Attributes:
        product: that it makes, or helps to make.
        stage: that it runs.
        ident: the path of the product, or of the folder with its parts.
        command: shell words of its stage; with several tasks `TASK` stands for the number.
        makes: what a task makes; with several tasks `TASK` stands for the number.
        after: idents of the jobs that must have succeeded.
        reads: paths of the products that must exist.
        resources: what it asks for.
        count: number of tasks.
        used: folder that may be removed once the job has succeeded.
    """

    product: Product
    stage: str
    ident: str
    command: str
    makes: str
    after: tuple[str, ...]
    reads: tuple[str, ...]
    resources: Resources
    count: int = 1
    used: str = ""

    @property
    def name(self) -> str:
        """Text for the queue and for files: the path with letters, digits, dots and hyphens."""
        return re.sub(r"[^\w.-]", "-", self.ident)

    def task(self, text: str, number: int | str) -> str:
        """A command or a path of one task."""
        return text.replace(TASK, str(number))


@dataclass(frozen=True)
class Cluster:
    """How jobs are made of products.

    Attributes:
        node_runner: one of `nodes.NODE_RUNNERS`.
        resources: by stage, as `read_resources` returns them.
        shards: parts by stage, and under `EVERY` those of all row-wise stages.
    """

    node_runner: str
    resources: Mapping[str, Resources]
    shards: Mapping[str, int]

    def asks(self, stage: str) -> Resources:
        """What a job of a stage asks for."""
        return self.resources.get(stage, self.resources[EVERY])

    def parts(self, product: Product) -> int:
        """How many parts a product is made in."""
        stage, kind = product.stage, self.asks(product.stage).shards
        if stage in self.shards:
            return self.shards[stage]
        is_file = bool(PurePosixPath(product.path).suffix)
        return self.shards.get(EVERY, 1) if kind == "rows" and is_file else 1

    def jobs(self, plan: Plan, product: Product) -> Iterator[Job]:
        """The jobs that make a product, in order."""
        count, flags, asks = self.parts(product), plan.arguments(product), self.asks(product.stage)
        common: dict[str, Any] = {
            "product": product,
            "after": product.inputs,
            "reads": product.inputs,
        }
        if count == 1:
            command = self._command(product, product.stage, flags)
            yield Job(stage=product.stage, ident=product.path, command=command, resources=asks,
                      makes=product.path, **common)  # fmt: skip
            return
        folder = product.path + PARTS
        part = f"{folder}/{TASK}-of-{count}{PurePosixPath(product.path).suffix}"
        shard = ("--dst", part, *flags[2:], "--shard", f"{TASK}/{count}")
        command = self._command(product, product.stage, shard)
        yield Job(stage=product.stage, ident=folder, command=command, resources=asks, makes=part,
                  count=count, **common)  # fmt: skip
        parts = tuple(part.replace(TASK, str(number)) for number in range(1, count + 1))
        yield self._join(product, folder, parts)

    def _join(self, product: Product, folder: str, parts: tuple[str, ...]) -> Job:
        by_rows = self.asks(product.stage).shards == "rows"
        stage = "merge" if by_rows else "sumrule"
        weigh = () if by_rows else ("--weigh", "members")
        flags = ("--dst", product.path, "--src", ",".join(parts), *weigh)
        # The networks of members stay where they were trained; rows need not be there twice.
        return Job(
            product=product, stage=stage, ident=product.path, makes=product.path, after=(folder,),
            reads=parts, command=self._command(product, stage, flags), resources=self.asks(stage),
            used=folder if by_rows else "",
        )  # fmt: skip

    def _command(self, product: Product, stage: str, flags: tuple[str, ...]) -> str:
        asks, is_slurm = self.asks(stage), self.node_runner != nodes.INSIDE
        together = asks.tasks > 1 and is_slurm
        step = f"srun --ntasks={asks.tasks} --kill-on-bad-exit=1 " if together else ""
        return f"{step}{nodes.start(product, self.node_runner, stage)} {shlex.join(flags)}"


def read_shards(changes: Mapping[str, str], resources: Mapping[str, Resources]) -> dict[str, int]:
    """Parts by stage, from SHARDS=n and SHARDS-STAGE=n.

    Args:
        changes: variables of make.
        resources: by stage.

    Raises:
        StageError: no whole number from 1, or a stage that cannot be divided.
    """
    shards = {}
    for name, value in changes.items():
        head, _, stage = name.partition("-")
        if head != "SHARDS":
            continue
        if not value.isdecimal() or int(value) < 1:
            raise StageError(f"{name}: expected a whole number from 1, found {value}")
        asks = resources.get(stage, resources[EVERY])
        if stage and not asks.shards:
            known = sorted(stage for stage, asks in resources.items() if asks.shards)
            raise StageError(f"{name}: expected one of {', '.join(known)}, found {stage}")
        shards[stage or EVERY] = int(value)
    return shards


def read_plan(
    source: str, changes: Mapping[str, str], goals: Sequence[str]
) -> tuple[Plan, Cluster]:
    """The plan of a source, and how jobs are made of its products.

    Args:
        source: name of a source.
        changes: variables of make; of a cluster: NODE_RUNNER, RESOURCES, SHARDS and SHARDS-STAGE.
        goals: of make.

    Raises:
        StageError: a value that is not possible.
    """
    node_runner = changes.get("NODE_RUNNER", "local")
    if node_runner != nodes.INSIDE:
        nodes.check_node_runner(node_runner)
    resources = read_resources(Path(changes["RESOURCES"]) if "RESOURCES" in changes else None)
    settings = read_settings(source, changes)
    in_container = node_runner != "local"
    if in_container:
        containers.check_folders(settings.data, changes.get("DATA", ""), Path.cwd())
    plan = build(settings, "docker" if in_container else "local", goals)
    return plan, Cluster(node_runner, resources, read_shards(changes, resources))

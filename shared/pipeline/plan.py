"""The plan of a source: its products, their commands, and the products of each verb of make."""

import json
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from shared.errors import StageError
from shared.pipeline.product import Product, check_names, override
from shared.pipeline.products import (
    aerial,
    audits,
    chain,
    ensembles,
    maps,
    sensors,
    students,
    super_resolution,
    sweep,
)
from shared.pipeline.settings import Settings

RUNNERS = ("docker", "local")
VERBS = ("sr", "ablations", "qat", "students", "bundles", "sweep")  # besides one per stage


@dataclass(frozen=True)
class Plan:
    """Every product of a source, each after its inputs.

    Attributes:
        settings: of the source.
        runner: docker or local.
        products: in the order in which `make all` makes them.
    """

    settings: Settings
    runner: str
    products: tuple[Product, ...]

    def command(self, product: Product) -> str:
        """The shell command that makes a product."""
        return f"{self.start(product)} {shlex.join(self.arguments(product))}"

    def start(self, product: Product) -> str:
        """The shell words that start its stage."""
        if self.runner == "local":
            module = product.stage.replace("-", "_")
            return f".venvs/{module}/bin/python -m stages.{module}.main"
        mount = f" -v {shlex.quote(product.mount)}:/mirror:ro" if product.mount else ""
        return f"docker compose run --rm -T{mount} {product.stage}"

    def arguments(self, product: Product) -> tuple[str, ...]:
        """The flags of its stage, those of the settings last."""
        extra = self.settings.flags.get(product.stage, ())
        return ("--dst", product.path, *override((*product.flags, *extra), product.own))

    def ready(self, product: Product) -> str:
        """The file that shows that the environment of its stage exists; "" in containers.

        Whether an image is there only the engine knows: `containers.prepare` asks it.
        """
        return f".venvs/{product.stage.replace('-', '_')}/made" if self.runner == "local" else ""

    def by_verb(self) -> dict[str, list[Product]]:
        """Products by verb: first the stages, then the verbs that go across stages."""
        verbs: dict[str, list[Product]] = {}
        for product in self.products:
            verbs.setdefault(product.stage, [])
            if not product.aside:
                verbs[product.stage].append(product)
        for verb in VERBS:
            verbs[verb] = [product for product in self.products if verb in product.verbs]
        return verbs

    def wanted(self, goals: Iterable[str]) -> list[Product]:
        """Products that goals of make ask for, with all their inputs, in order."""
        verbs, paths = self.by_verb(), set[str]()
        for goal in goals:
            if goal in ("all", "products"):
                paths |= {product.path for product in self.products if product.in_all}
            elif goal in verbs:
                paths |= {product.path for product in verbs[goal]}
            else:
                paths.add(goal.removesuffix(".run.json"))
        for product in reversed(self.products):
            if product.path in paths:
                paths |= set(product.inputs)
        return [product for product in self.products if product.path in paths]


def build(settings: Settings, runner: str = "local", goals: Iterable[str] = ()) -> Plan:
    """The plan of a source.

    Args:
        settings: of the source.
        runner: docker or local.
        goals: of make; the report shows the products that they ask for.

    Raises:
        StageError: an unknown runner, or a value that is not possible.
    """
    if runner not in RUNNERS:
        raise StageError(f"RUNNER: expected docker, local or slurm, found {runner}")
    products = list(_products(settings, runner))
    products += sweep.products(settings, products)
    products.append(chain.report(settings, products, goals))
    check_names(products)
    return Plan(settings, runner, tuple(products))


def _products(settings: Settings, runner: str) -> Iterator[Product]:
    if settings.raw == aerial.RAW:
        yield from aerial.products(settings)
        return
    if settings.raw == sensors.RAW:
        yield from sensors.products(settings)
        return
    yield from chain.patch_files(settings)
    yield from super_resolution.products(settings, in_docker=runner == "docker")
    yield from ensembles.products(settings)
    yield from chain.edge(settings)
    yield from chain.calibrations(settings)
    yield from audits.products(settings)
    yield chain.explanation(settings)
    yield from students.products(settings)
    yield from maps.products(settings)
    yield from maps.classified(settings)
    yield from sensors.pair_files(settings, is_drawn=settings.raw == "demo")


def as_table(plan: Plan) -> str:
    """What `make plan` prints: each product, what it waits for, its command."""
    lines = []
    for number, product in enumerate(plan.products, 1):
        state = "made" if Path(product.record).exists() else "not made"
        lines.append(
            f"{number:3}  {product.path}  ({product.stage}; {_asked_by(product)}; {state})"
        )
        waits = [*product.inputs, *product.raw]
        lines.append(f"     waits for: {', '.join(waits) or 'nothing'}")
        lines.append(f"     {plan.command(product)}")
    return "\n".join(lines)


def _asked_by(product: Product) -> str:
    """The shortest way to have it made."""
    if product.in_all:
        return "in make all"
    if product.aside and not product.verbs:
        return "for other products"
    return f"make {(*product.verbs, product.stage)[0]}"


def as_json(plan: Plan) -> str:
    """The same for programs."""
    return json.dumps(
        [
            {
                "product": product.path,
                "stage": product.stage,
                "in_all": product.in_all,
                "verbs": list(product.verbs),
                "waits_for": [*product.inputs, *product.raw],
                "command": plan.command(product),
            }
            for product in plan.products
        ],
        indent=1,
    )

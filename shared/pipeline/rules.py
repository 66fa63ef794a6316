"""The plan as flat make rules: one per product, one per verb, nothing computed inside make."""

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from shared.pipeline.plan import Plan
from shared.pipeline.product import Product
from shared.pipeline.products import sweep
from shared.pipeline.remaining import outdated

HEAD = "# Written by `python3 -m shared.pipeline rules`; changed by the next make."
# Stages whose names are verbs that the Makefile defines itself.
OWN_VERBS = {"demo", "eurosat", "landcover", "merge"}


def write(plan: Plan, state: Path, stages: list[str]) -> str:
    """Return the text of the rules.

    Args:
        plan: the plan of a source.
        state: file with what `shared.pipeline.remaining` needs.
        stages: every stage; one without products answers that it has none.
    """
    blocks = [HEAD, *variables(plan)]
    todo = {product.path for product in outdated(plan.products)}
    blocks += [rule(plan, product, state, product.path in todo) for product in plan.products]
    blocks += [*verbs(plan, stages)]
    return "\n".join(blocks) + "\n"


def variables(plan: Plan) -> Iterator[str]:
    """Lists that other rules of the Makefile use."""
    paths = [product.path for product in plan.products if product.in_all]
    yield f"PRODUCTS := {' '.join(paths)}"
    stages: dict[str, list[str]] = {}
    for product in plan.products:
        stages.setdefault(product.stage, []).append(product.path)
    for stage, paths in stages.items():
        yield f"PRODUCTS-{stage} := {' '.join(paths)}"
    # An interrupted make would delete a record that was just written, and stages refuse a product
    # without its record. A product that somebody removed is made again, record or not.
    yield f".PRECIOUS: {' '.join(product.record for product in plan.products)}"
    missing = [product.record for product in plan.products if not Path(product.path).exists()]
    yield f".PHONY: {' '.join(missing)}"


def rule(plan: Plan, product: Product, state: Path, is_outdated: bool = True) -> str:
    """One product: what it waits for, then the step that makes it.

    A product that is up to date waits for no environment: none is made to leave it as it is.
    """
    waits = [f"{path}.run.json" for path in product.inputs] + list(product.raw)
    before = f" | {plan.ready(product) if is_outdated else ''} {plan.settings.data}"
    step = f"python3 -m shared.pipeline step {state} {product.stage} {product.path} --"
    ended = f"python3 -m shared.pipeline ended $$? {product.stage}"
    remove = f"rm -rf {product.path} {product.record} {product.path}.partial*; "
    command = plan.command(product).replace("$", "$$")
    lines = [
        f"{product.record}: {' '.join(waits)}{before}",
        f"\t@{remove if product.renewed else ''}{step} {command} || {ended}",
    ]
    name = product.path.removeprefix(plan.settings.data + "/")
    if any(fnmatchcase(name, pattern) for pattern in plan.settings.milestones):
        lines[0] += f" {plan.ready(plan.products[-1])}" if is_outdated else ""
        lines.append(f"\t@python3 -m shared.pipeline refresh {state}")
    return "\n".join(lines)


def verbs(plan: Plan, stages: list[str]) -> Iterator[str]:
    """`make STAGE`, and the verbs that go across stages; each prints what it made."""
    no_products: dict[str, list[Product]] = {stage: [] for stage in stages}
    for verb, products in {**no_products, **plan.by_verb()}.items():
        if verb in OWN_VERBS:
            continue
        yield f".PHONY: {verb}\n{verb}: {' '.join(product.record for product in products)}"
        if products:
            yield f"\t@printf '%s\\n' {' '.join(product.path for product in products)}"
        elif verb == "sweep":
            yield f"\t@echo 'sweep: expected STAGE and GRID; {sweep.EXAMPLE}' >&2; exit 2"
        else:
            yield f"\t@echo '{verb}: no product of SOURCE={plan.settings.source}' >&2; exit 2"


def write_submissions(
    plan: Plan, goals: Sequence[str], stages: list[str], needed: Callable[[str], str]
) -> str:
    """Return the text of the rules for a cluster: one call of $(SUBMIT) for all goals of a make.

    Args:
        plan: the plan of a source.
        goals: of make.
        stages: every stage.
        needed: the file that must exist before a job of a stage is submitted, or "".
    """
    known = plan.by_verb()
    answers = {*stages, *known, "products"} - OWN_VERBS
    answers |= {product.record for product in plan.products}
    todo = {product.stage for product in outdated(plan.wanted(goals))}
    todo |= {"merge", "sumrule"} if todo else set()  # which may join parts
    files = " ".join(filter(None, sorted(needed(stage) for stage in todo)))
    lists = [
        f"PRODUCTS-{stage} := {' '.join(product.path for product in products)}"
        for stage, products in known.items()
    ]
    rules = [
        f".PHONY: submission {' '.join(sorted(answers))}",
        f"{' '.join(sorted(answers))}: submission",
        f"submission: | {plan.settings.data} {files}",
        f"\t+@$(SUBMIT) --goals '{' '.join(goals)}'",
    ]
    return "\n".join([HEAD, *lists, *rules]) + "\n"

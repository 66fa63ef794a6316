"""Makes a recorded product again beside it and compares the content.

    python -m shared.tools.rerun --product data/demo/tda/prepare/testing.h5 --root data/demo \\
        --command ".venvs/{stage_}/bin/python -m stages.{stage_}.main"

The record holds digests of the inputs, not their paths: they are looked for below the root. Needs
h5py and numpy for the comparison. Exit code 0: identical or within the tolerance; 1: not; 2: a
mistake of the caller.
"""

import argparse
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from shared.errors import StageError
from shared.runs import record
from shared.tools import comparison, inventory
from shared.tools.inventory import Record

SHOWN = 10  # differences listed


def build_arguments(plan: record.Plan, found: dict[str, Path]) -> list[str]:
    """The arguments that a plan stands for, ``--dst`` not among them.

    Args:
        plan: of a record.
        found: path of each input by digest.

    Raises:
        StageError: an input is not in ``found``.
    """
    values = dict(plan["parameters"])
    for name, digests in plan["inputs"].items():
        several = isinstance(digests, list)
        for digest in digests if several else filter(None, [digests]):
            if digest not in found:
                raise StageError(f"input --{name} is not there any more (SHA-256 {digest[:12]}…)")
        paths = [str(found[digest]) for digest in digests] if several else found.get(digests)
        values[name] = paths
    return [f"--{name}={_text(value)}" for name, value in values.items() if value is not None]


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(str(item) for item in value) or "()"
    return str(value).lower() if isinstance(value, bool) else str(value)


def rerun_product(product: Path, root: Path, command: str) -> Path:
    """Run the recorded command to ``PRODUCT.rerun``; its path.

    Raises:
        StageError: no record, an input is gone, the stage failed.
    """
    made = record.load(product)
    if made is None:
        raise StageError(
            f"{product}: expected a record {record.record_path(product).name}, found none"
        )
    wanted = {digest for _, digest in inventory.list_inputs(made)}
    found = inventory.find_content(root, wanted, inventory.find_products(root), limit=float("inf"))
    target = product.with_name(product.name + inventory.RERUN)
    try:
        arguments = [*build_arguments(made["plan"], found), f"--dst={target}"]
    except StageError as error:
        raise StageError(f"{product}: {error}; looked below {root}") from None
    stage = made["plan"]["stage"]
    module = stage.replace("-", "_")
    prefix = shlex.split(command.replace("{stage}", stage).replace("{stage_}", module))
    print(shlex.join([*prefix, *arguments]), file=sys.stderr)
    if code := subprocess.run([*prefix, *arguments], stdout=2, check=False).returncode:
        raise StageError(f"{product}: the stage {stage} ended with exit code {code}")
    return target


def compare_environments(one: Record, other: Record) -> list[str]:
    """What differed between two runs besides their content: device, image, versions."""
    names = ("revision", "image", "device", "python", "host")
    lines = [
        f"  {name}: {one.get(name)} then, {other.get(name)} now"
        for name in names
        if one.get(name) != other.get(name)
    ]
    before, after = one.get("packages", {}), other.get("packages", {})
    changed = [name for name in before | after if before.get(name) != after.get(name)]
    return lines + ([f"  packages: {', '.join(sorted(changed))}"] if changed else [])


def compare(product: Path, other: Path, tolerance: float) -> tuple[bool, list[str]]:
    """Whether two products agree, and the lines that say so."""
    found = comparison.compare_products(product, other)
    if not found:
        return True, [f"{product}: identical"]
    good = found[0].size <= tolerance
    head = f"largest difference {found[0].size:g}" if found[0].size < float("inf") else "differs"
    within = f", within {tolerance:g}" if good else ""
    lines = [f"{product}: {head}{within}"]
    lines += [f"  {d.where}: {d.what}, {d.size:g}" for d in found[:SHOWN]]
    if len(found) > SHOWN:
        lines.append(f"  … and {len(found) - SHOWN} more places")
    return good, lines + compare_environments(record.load(product) or {}, record.load(other) or {})


def _remove(product: Path) -> None:
    record.record_path(product).unlink(missing_ok=True)
    if product.is_dir():
        shutil.rmtree(product)
    else:
        product.unlink()


def main(argv: list[str] | None = None) -> int:
    """Make again, compare, print; what was made again is kept only when it differs."""
    parser = argparse.ArgumentParser(prog="shared.tools.rerun", description=__doc__.splitlines()[0])
    parser.add_argument("--product", type=Path, required=True, help="the recorded product")
    parser.add_argument("--root", type=Path, help="where its inputs lie; default: beside it")
    parser.add_argument("--command", help="runs the stage; {stage} and {stage_} are replaced")
    parser.add_argument("--against", type=Path, help="compare with this product, run nothing")
    parser.add_argument("--tolerance", type=float, default=0.0, help="largest difference allowed")
    given = parser.parse_args(argv)
    product: Path = given.product
    try:
        if not product.exists() or not (given.command or given.against):
            raise StageError(f"{product}: expected a product, and --command or --against")
        root = given.root or product.parent
        other = given.against or rerun_product(product, root, given.command)
        good, lines = compare(product, other, given.tolerance)
    except StageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("\n".join(lines))
    if good and not given.against:
        _remove(other)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

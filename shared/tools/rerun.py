"""Make a recorded product again under another name and compare the content.

    python -m shared.tools.rerun --product data/demo/tda/prepare/testing.h5 --root data/demo \\
        --command ".venvs/{stage_}/bin/python -m stages.{stage_}.main"

The record has digests of the inputs, not their paths: the inputs are searched in the root folder.
The comparison needs h5py and numpy. Exit code 0: identical or within the tolerance; 1: different;
2: a mistake of the caller.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from shared import terminal
from shared.errors import StageError
from shared.pipeline import containers
from shared.runs import record
from shared.tools import comparison, inventory
from shared.tools.inventory import Record

SHOWN = 10  # differences listed


def build_arguments(plan: record.Plan, paths: dict[str, Path]) -> list[str]:
    """The command-line arguments of a plan, without ``--dst``.

    Args:
        plan: the plan of a record.
        paths: path of each input by digest.

    Raises:
        StageError: an input is not in ``paths``.
    """
    values = dict(plan["parameters"])
    for name, digests in plan["inputs"].items():
        several = isinstance(digests, list)
        for digest in digests if several else filter(None, [digests]):
            if digest not in paths:
                raise StageError(
                    f"expected the input --{name} (SHA-256 {digest[:12]}…), found none"
                )
        values[name] = [str(paths[d]) for d in digests] if several else paths.get(digests)
    return [f"--{name}={_text(value)}" for name, value in values.items() if value is not None]


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(str(item) for item in value) or "()"
    return str(value).lower() if isinstance(value, bool) else str(value)


def rerun_product(product: Path, root: Path, command: str) -> Path:
    """Run the recorded command again, with ``PRODUCT.rerun`` as its product; returns that path.

    Raises:
        StageError: no record, an input is missing, the stage failed.
    """
    made = record.load(product)
    if made is None:
        raise StageError(
            f"{product}: expected a record {record.record_path(product).name}, found none"
        )
    digests = {digest for _, digest in inventory.list_inputs(made)}
    known = inventory.find_products(root)
    paths = inventory.find_content(root, digests, known, limit=float("inf"))
    target = product.with_name(product.name + inventory.RERUN)
    try:
        arguments = [*build_arguments(made["plan"], paths), f"--dst={target}"]
    except StageError as error:
        raise StageError(f"{product}: {error}; searched in {root}") from None
    stage = made["plan"]["stage"]
    module = stage.replace("-", "_")
    prefix = shlex.split(command.replace("{stage}", stage).replace("{stage_}", module))
    words, environment = containers.prepare([*prefix, *arguments], os.environ)
    print(terminal.escape(shlex.join(words)), file=sys.stderr)
    try:
        code = subprocess.run(words, env=environment, stdout=2, check=False).returncode
    except OSError as error:
        raise StageError(f"{words[0]}: cannot be run ({error.strerror})") from error
    if code:
        raise StageError(f"{product}: the stage {stage} ended with exit code {code}")
    return target


def compare_environments(earlier: Record, now: Record) -> list[str]:
    """Lines about what differs between two runs besides content: device, image, versions."""
    names = ("revision", "image", "device", "python", "host")
    lines = [
        f"  {name}: {earlier.get(name)} then, {now.get(name)} now"
        for name in names
        if earlier.get(name) != now.get(name)
    ]
    before, after = earlier.get("packages", {}), now.get("packages", {})
    changed = [name for name in before | after if before.get(name) != after.get(name)]
    return lines + ([f"  packages: {', '.join(sorted(changed))}"] if changed else [])


def compare(product: Path, other: Path, tolerance: float) -> tuple[bool, list[str]]:
    """Whether two products agree within the tolerance, and the lines of the answer."""
    differences = comparison.compare_products(product, other)
    if not differences:
        return True, [f"{product}: identical"]
    good = differences[0].size <= tolerance
    largest = differences[0].size
    head = f"largest difference {largest:g}" if largest < float("inf") else "differs"
    within = f", within {tolerance:g}" if good else ""
    lines = [f"{product}: {head}{within}"]
    lines += [f"  {d.where}: {d.what}, {d.size:g}" for d in differences[:SHOWN]]
    if len(differences) > SHOWN:
        lines.append(f"  … and {len(differences) - SHOWN} more places")
    return good, lines + compare_environments(record.load(product) or {}, record.load(other) or {})


def _remove(product: Path) -> None:
    record.record_path(product).unlink(missing_ok=True)
    if product.is_dir():
        shutil.rmtree(product)
    else:
        product.unlink()


def main(argv: list[str] | None = None) -> int:
    """Make again, compare, print; the second product is kept only when it differs."""
    parser = argparse.ArgumentParser(prog="shared.tools.rerun", description=__doc__.splitlines()[0])
    parser.add_argument("--product", type=Path, required=True, help="the recorded product")
    parser.add_argument("--root", type=Path, help="folder of its inputs; default: its own folder")
    parser.add_argument(
        "--command", help="command of the stage; {stage} and {stage_} are replaced by its name"
    )
    parser.add_argument("--against", type=Path, help="compare with this product and run nothing")
    parser.add_argument("--tolerance", type=float, default=0.0, help="largest allowed difference")
    options = parser.parse_args(argv)
    product: Path = options.product
    try:
        if not product.exists() or not (options.command or options.against):
            raise StageError(f"{product}: expected a product, and --command or --against")
        root = options.root or product.parent
        other = options.against or rerun_product(product, root, options.command)
        good, lines = compare(product, other, options.tolerance)
    except StageError as error:
        return terminal.refuse(error)
    print(*map(terminal.escape, lines), sep="\n")
    if good and not options.against:
        _remove(other)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

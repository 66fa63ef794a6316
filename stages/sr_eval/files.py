"""The files that are compared: whose work each one is, and whether it fits the truth."""

import re
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from shared import patches
from shared.errors import StageError
from shared.patches import list_rows
from shared.runs import record
from shared.terminal import escape

WALD, ENLARGED = "wald", "enlarged"
PRODUCT_PATH = re.compile(r"/sr-([^/]+)/x([234])/")  # where the pipeline keeps them
SMALLEST = 6  # pixels a side: the window of SSIM is mirrored by 5


@dataclass(frozen=True)
class Restored:
    """One super-resolved file.

    Attributes:
        path: patch file with sen2.
        kind: "wald" when made from the degraded copy of the source, "enlarged" from it itself.
        method: "swinir" for a file of sr-swinir.
        scale: factor on height and width.
        weights: first digits of the digest of its weights; "" when not known.
        source: the open file, once `open_all`.
    """

    path: Path
    kind: str
    method: str
    scale: int
    weights: str = ""
    source: patches.Source | None = None

    @property
    def rows(self) -> patches.Rows:
        """Its sen2 (N, H, W, C)."""
        assert self.source is not None
        return self.source["sen2"]


def identify(path: Path, kind: str, scale: int) -> Restored:
    """Method and scale of a file by its record, else its place sr-NAME/xS, else its name.

    Args:
        path: patch file.
        kind: "wald" or "enlarged".
        scale: of a file that does not say its own.
    """
    plan = (record.load(path) or {}).get("plan", {})
    stage, recorded = str(plan.get("stage", "")), plan.get("parameters", {}).get("scale")
    if stage.startswith("sr-") and isinstance(recorded, int):
        weights = str(plan.get("inputs", {}).get("weights") or "")[:6]
        return Restored(path, kind, stage.removeprefix("sr-"), recorded, weights)
    if place := PRODUCT_PATH.search(path.resolve().as_posix()):
        return Restored(path, kind, escape(place[1]), int(place[2]))
    return Restored(path, kind, escape(path.stem), scale)


def collect(wald: tuple[Path, ...], enlarged: tuple[Path, ...], scale: int) -> list[Restored]:
    """Every file with a name that no other of its kind and scale has, in the order of the scales.

    Two files of one method are told apart by the first digits of their weights' digest.

    Raises:
        StageError: none given, two with one name.
    """
    files = [identify(path, WALD, scale) for path in wald]
    files += [identify(path, ENLARGED, scale) for path in enlarged]
    if not files:
        raise StageError("--wald, --enlarged: expected at least one file, found none")
    twice = {name for (_, name, _), count in Counter(map(_key, files)).items() if count > 1}
    named = [
        replace(f, method=f"{f.method} {f.weights}".strip()) if f.method in twice else f
        for f in files
    ]
    for key, count in Counter(map(_key, named)).items():
        if count > 1 or key[1] == "bicubic":
            same = ", ".join(str(f.path) for f in named if _key(f) == key)
            raise StageError(f"--{key[0]}: {key[1]} x{key[2]}: expected one file, found {same}")
    return sorted(named, key=lambda f: (f.scale, f.kind))


def _key(file: Restored) -> tuple[str, str, int]:
    return file.kind, file.method, file.scale


def open_all(files: Iterable[Restored], truth: patches.Source, stack: ExitStack) -> list[Restored]:
    """The same files, open and checked against the truth; the stack closes them.

    Raises:
        StageError: other shape, bands, labels or row order.
    """
    made = []
    for file in files:
        source = stack.enter_context(patches.read(file.path, "sen2"))
        _check(file, source, truth)
        made.append(replace(file, source=source))
    return made


def _check(file: Restored, source: patches.Source, truth: patches.Source) -> None:
    total, height, width, bands = truth["sen2"].shape
    scale = file.scale
    sides = [height // scale * scale, width // scale * scale]
    if file.kind == ENLARGED:
        sides = [height * scale, width * scale]
    if min(*sides, height, width) < SMALLEST:
        least = f"at least {SMALLEST} pixels a side at x{scale}"
        raise StageError(f"{truth.path}: sen2: expected {least}, found {height} x {width}")
    expected = (total, *sides, bands)
    if source["sen2"].shape != expected:
        what = f"--{file.kind}: {file.method} x{scale} of {truth.path}"
        raise StageError(
            f"{file.path}: {what}: expected sen2 {expected}, found {source['sen2'].shape}"
        )
    _check_rows(file, source, truth)


def _check_rows(file: Restored, source: patches.Source, truth: patches.Source) -> None:
    ours, theirs = truth["sen2"].layout, source["sen2"].layout
    if ours and theirs and ours.bands != theirs.bands:
        raise StageError(f"{file.path}: expected bands {ours.bands}, found {theirs.bands}")
    order = np.arange(truth.total)
    rows = source.row_numbers()
    if rows is not None and not np.array_equal(rows, order):
        raise StageError(f"{file.path}: expected all rows of {truth.path} in order, found others")
    if "label" not in source or "label" not in truth:
        return
    other = np.flatnonzero(source.labels() != truth.labels())
    if len(other):
        what = f"expected the labels of {truth.path}, found others in {list_rows(other)}"
        raise StageError(f"{file.path}: label: {what}")

"""Checks a shipped bundle on the machine that received it, without the accelerator; lints networks.

    python -m stages.export.check --bundle DIR                            complete and as accurate?
    python -m stages.export.check --bundle DIR --images DIR --dst out.csv classify pictures
    python -m stages.export.check --model DIR_OR_ONNX --metis 1.8         would Metis compile it

The first prints a line per class and one for all classes. Exit code 0: no problem; 2: a problem, or
the caller's mistake, reported in one line; 1: a bug.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from shared import destination, terminal
from shared.cli import arguments, at_least, exits
from shared.errors import StageError


def run(
    *,
    bundle: Path | None = None,
    images: Path | None = None,
    dst: Path | None = None,
    model: Path | None = None,
    metis: Literal["1.2", "1.6", "1.8"] = "1.8",
    threads: Annotated[int, at_least(0)] = 0,
) -> None:
    """Check a bundle, classify pictures with it, or lint a network.

    Args:
        bundle: folder of voyager; the digests of its MANIFEST.json are verified if it has one.
        images: folder of pictures that the bundle's network classifies instead of its own.
        dst: file to write: with --images the classes as CSV, otherwise the result as JSON.
        model: ONNX file, or model folder of any stage, to lint instead of checking a bundle.
        metis: version of the SDK whose rules the lint applies.
        threads: pictures at the same time, 0 for one per processor; changes time, not results.
    """
    if (bundle is None) == (model is None) or (images and not bundle):
        raise StageError("expected --bundle, with or without --images, or --model")
    for name, path in {"bundle": bundle, "images": images, "model": model}.items():
        if path and not path.exists():
            raise StageError(f"--{name}: no such file or folder: {path}")
    if dst:
        if dst.exists():
            raise StageError(f"--dst: {dst} exists; it is not overwritten")
        destination.check_place(dst, {"bundle": bundle})
        if not dst.parent.is_dir():
            raise StageError(f"--dst: no such folder: {dst.parent}")
    workers = threads or len(os.sched_getaffinity(0))
    from stages.export import check_commands

    if model:
        text, rows, wrong = check_commands.lint_networks(model, metis)
    elif images and bundle:
        text, rows, wrong = check_commands.classify_pictures(bundle, images, workers)
    elif bundle:
        text, rows, wrong = check_commands.check_bundle(bundle, workers)
    if dst:
        _write(dst, rows if isinstance(rows, str) else json.dumps(rows, indent=1) + "\n")
    print(terminal.escape_lines(text))
    if wrong:
        raise StageError(wrong)


def _write(dst: Path, text: str) -> None:
    """A file that is there only when it is complete; nothing is left behind otherwise."""
    draft = dst.with_name(dst.name + ".partial")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.rename(dst)
    finally:
        draft.unlink(missing_ok=True)


def main(argv: Sequence[str] | None = None) -> None:
    """The command line: exit codes and messages as those of the stages."""
    with exits.report_errors():
        run(**arguments.collect(run, argv))


if __name__ == "__main__":
    main()

"""What super-resolution is worth: figures three ways, and the same patches under every method."""

from contextlib import ExitStack
from pathlib import Path

from shared import cli, patches, progress
from shared.errors import StageError
from shared.sr import wald as protocol
from stages.sr_eval import files, tables

SCALES = (2, 3, 4)


def run(
    *,
    src: Path,
    dst: Path,
    wald: tuple[Path, ...] = (),
    enlarged: tuple[Path, ...] = (),
    rows: int = 2048,
    panel: int = 4,
    peak: float = 1.0,
    scale: int = 2,
) -> None:
    """Compare super-resolved files with what is known, and with bicubic interpolation.

    Args:
        src: patch file with sen2 (N, H, W, C) reflectance, from which all else was made.
        dst: folder to write: metrics.json, metrics.csv, table.tex, panel.png.
        wald: files made by sr-* stages from what sr-degrade made of src; compared with src itself.
        enlarged: files made by sr-* stages from src; degraded again and compared with src, and
            compared with bicubic interpolation.
        rows: how many rows are looked at, evenly spread, at most.
        panel: patches in the picture, 1 to 20.
        peak: reflectance that PSNR and SSIM take for the full range.
        scale: that of files of which neither the record nor the place, sr-NAME/xS, says it, 2 to 4.
    """
    if rows < 1:
        raise StageError(f"--rows: expected at least 1, found {rows}")
    if not 1 <= panel <= 20:
        raise StageError(f"--panel: expected 1 to 20, found {panel}")
    if peak <= 0:
        raise StageError(f"--peak: expected more than 0, found {peak}")
    if scale not in SCALES:
        raise StageError(f"--scale: expected 2 to 4, found {scale}")
    with ExitStack() as stack:
        truth = stack.enter_context(patches.read(src, "sen2"))
        bands, found = protocol.known(truth), files.collect(wald, enlarged, scale)
        opened = files.opened(found, truth, stack)

        from stages.sr_eval import compare
        from stages.sr_eval import panel as picture

        results, seen, steps = compare.measure(truth, opened, rows=rows, peak=peak)
        dst.mkdir(exist_ok=True)
        facts = {"rows": len(seen), "rows_of_file": truth.total, "bands": list(bands),
                 "peak": peak, "border_pixels_of_input": compare.RING,
                 "mtf": {band: protocol.MTF[band] for band in bands}}  # fmt: skip
        (dst / "metrics.json").write_text(tables.as_json(results, facts), encoding="utf-8")
        (dst / "metrics.csv").write_text(tables.as_csv(results), encoding="utf-8")
        (dst / "table.tex").write_text(tables.as_latex(results, bands), encoding="utf-8")
        picture.draw(dst / "panel.png", truth, opened, picture.lively(seen, steps, panel), results)
        progress.say(tables.as_text(results))


if __name__ == "__main__":
    cli.main(run)

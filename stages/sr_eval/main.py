"""What super-resolution is worth: figures three ways, and the same patches under every method."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

from shared import cli, patches, progress
from shared.sr import options
from shared.sr import wald as protocol
from stages.sr_eval import files, tables


def run(
    *,
    src: Path,
    dst: Path,
    wald: tuple[Path, ...] = (),
    enlarged: tuple[Path, ...] = (),
    rows: Annotated[int, cli.at_least(1)] = 2048,
    panel: Annotated[int, cli.between(1, 20)] = 4,
    peak: Annotated[float, cli.more_than(0)] = 1.0,
    scale: options.Scale = 2,
) -> None:
    """Compare super-resolved files with what is known, and with bicubic interpolation.

    Args:
        src: patch file with sen2 (N, H, W, C) reflectance, from which all else was made.
        dst: folder to write: metrics.json, metrics.csv, table.tex, panel.png.
        wald: files made by sr-* stages from what sr-degrade made of src; compared with src itself.
        enlarged: files made by sr-* stages from src; degraded again and compared with src, and
            compared with bicubic interpolation.
        rows: largest number of rows that are compared, evenly spread over the file.
        panel: patches in the picture.
        peak: reflectance that PSNR and SSIM take for the full range.
        scale: scale factor, used only if neither the record nor the path (sr-NAME/xS) gives it.
    """
    with ExitStack() as stack:
        truth = stack.enter_context(patches.read(src, "sen2"))
        bands, restored = protocol.check_bands(truth), files.collect(wald, enlarged, scale)
        opened = files.open_all(restored, truth, stack)

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
        picture.draw(
            dst / "panel.png", truth, opened, picture.choose_rows(seen, steps, panel), results
        )
        for line in tables.as_text(results).splitlines():
            progress.say(line)


if __name__ == "__main__":
    cli.main(run)

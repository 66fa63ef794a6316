"""The files of the product."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import progress, sisr
from shared.errors import StageError
from stages.sisr_eval import pictures, results, tables
from stages.sisr_eval.contest import Contest
from stages.sisr_eval.networks import SHARPER
from stages.sisr_eval.samples import IMAGES, Frame, Sample


def check_varied(pairs: sisr.Pairs, frame: Frame, rows: NDArray[np.intp]) -> None:
    """Refuse a reference of which a band has one value in all rows: it has no spectrum."""
    for name in IMAGES.values():
        if name not in pairs.form.bands:
            continue
        names = pairs.form.bands[name].names
        varied = np.zeros(len(names), bool)
        for row in rows:
            stored = pairs.source[name].raw(slice(int(row), int(row) + 1))[0][frame.inside]
            varied |= np.ptp(stored, (0, 1)) > 0
            if varied.all():
                break
        else:
            flat = ", ".join(np.array(names)[~varied])
            expected = "expected more than one value, found one in all images"
            raise StageError(f"{pairs.path}: {name}: {flat}: {expected}")


def write_tables(
    folder: Path, totals: results.Totals, contest: Contest, facts: dict[str, Any]
) -> None:
    """metrics.json, metrics.csv, table.tex and the spectra as numbers; the means go to the log."""
    frame, found = contest.frame, results.tabulate(totals, contest.frame.bands)
    curves, profiles = results.name_curves(totals)
    told = {
        **facts, "bands": list(frame.bands), "factor": frame.factor, "margin": frame.margin,
        "mtf": {band: sisr.SENTINEL2_MTF[band] for band in frame.bands}, "curves": curves,
    }  # fmt: skip
    told["networks"] = {
        network.name: {"architecture": network.card.architecture, "mode": network.card.mode}
        for network in contest.networks
    }
    if contest.registration:
        told["registration_band"] = frame.bands[contest.registration.band]
    (folder / "metrics.json").write_text(tables.as_json(found, told), encoding="utf-8")
    (folder / "metrics.csv").write_text(tables.as_csv(found), encoding="utf-8")
    (folder / "table.tex").write_text(tables.as_latex(found), encoding="utf-8")
    np.save(folder / "fft_profiles.npy", profiles)
    np.save(folder / "fft_freqs.npy", pictures.list_frequencies(profiles.shape[2]))
    for line in tables.as_text(found).splitlines():
        progress.say(line)


def write_pictures(
    folder: Path, totals: results.Totals, contest: Contest, shown: list[Sample]
) -> None:
    """mosaic.png and fft_profiles.png."""
    images = [(s, {n: i for n, i in contest.resolve(s) if n != SHARPER}) for s in shown]
    pictures.draw_mosaic(folder / "mosaic.png", images)
    curves, profiles = results.name_curves(totals)
    pictures.draw_profiles(folder / "fft_profiles.png", curves, profiles, contest.frame.bands)

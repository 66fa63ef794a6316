"""Which data set a folder or file holds, and its reader."""

from collections.abc import Callable
from pathlib import Path

from shared.clutter import without_clutter
from shared.errors import StageError
from shared.names import check_names
from shared.sisr import venus as names
from stages.pairs import index, tensors, venus, wald, worldstrat
from stages.pairs.samples import Layout

SCALES = {"10m": 2, "20m": 4, "all": 2}  # of Sen2Venµs: from 10 m and from 20 m to 5 m
EXPECTED = "expected folders of sites with index.csv (Sen2Venµs), or hr_dataset (WorldStrat)"


def open_layout(
    src: Path, bands: names.Choice, scale: int | None, max_delta: int, mtf: float
) -> Layout:
    """The data set of a folder, told by what lies in it, or the pairs of a patch file.

    Raises:
        StageError: it is none that is known, has no such bands or scale, or is damaged.
    """
    if src.is_file():
        if bands != "10m":
            raise StageError(f"--bands: expected 10m for a patch file, found {bands}")
        return wald.open_layout(src, scale or 2)
    if not src.is_dir():
        raise StageError(f"{src}: {EXPECTED}, found no folder")
    if (src / worldstrat.FINE).is_dir():
        if bands != "10m":
            raise StageError(f"--bands: expected 10m for WorldStrat, found {bands}")
        return worldstrat.open_layout(src, scale or 4, max_delta, mtf)
    if scale not in (None, SCALES[bands]):
        expected = f"expected {SCALES[bands]} for --bands {bands} of Sen2Venµs"
        raise StageError(f"--scale: {expected}, found {scale}")
    sites = [path for path in without_clutter(src.iterdir()) if path.is_dir()]
    if not sites:
        raise StageError(f"{src}: {EXPECTED}, found neither")
    check_names((site.name for site in sites), f"{src}: sites")
    return _choose(sites)(sites, bands)


def _choose(sites: list[Path]) -> Callable[[list[Path], names.Choice], Layout]:
    """The reader of Sen2Venµs' version 1 or 2; all sites must be of one."""
    old = {site.name for site in sites if any(site.glob("*.pt"))}
    if old and (new := [site for site in sites if site.name not in old]):
        expected = f"expected tensors (.pt) as in {min(old)}, found none"
        raise StageError(f"{new[0]}: {expected}; keep versions 1 and 2 in folders of their own")
    if old:
        return tensors.open_layout
    for site in sites:
        if not (site / index.NAME).is_file():
            raise StageError(f"{site}: {EXPECTED}, found no {index.NAME}")
    return venus.open_layout

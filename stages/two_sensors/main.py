"""Drawn land as Sentinel-2 and a finer sensor see it, laid out as Sen2Venµs is, with the truth."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from shared import cli, progress

if TYPE_CHECKING:
    from stages.two_sensors.files import Patch
    from stages.two_sensors.sensors import Sensors

SPLIT = 4  # of the random numbers: 0 to 2 are the cities of demo and city, 3 is orthophoto


def draw_site(
    sensors: "Sensors", seed: int, site: int, patches: int, *, warp: float, radiometry: float
) -> "Iterator[Patch]":
    """Patches of one site, each another square of land with a warp and a radiometry of its own.

    Args:
        sensors: both.
        seed, site: decide all that is random.
        patches: how many.
        warp: pixels of 10 m that no flow exceeds.
        radiometry: relative change of brightness that is not exceeded.
    """
    import numpy as np

    from shared import landscape
    from stages.two_sensors import distortion, ground
    from stages.two_sensors.sensors import observe, venus

    city = landscape.draw_city(np.random.default_rng((seed, SPLIT, site)))
    for number in range(patches):
        rng = np.random.default_rng((seed, SPLIT, site, number))
        land = ground.draw(city, rng, sensors.metres)
        moved = distortion.draw_warp(rng, 10.0 * warp, sensors.metres)
        changed = distortion.draw_radiometry(rng, radiometry, len(venus.FINE))
        yield observe(land, sensors, moved, changed, rng)


def run(
    *,
    dst: Path,
    sites: Annotated[int, cli.between(3, 200)] = 8,
    patches: Annotated[int, cli.between(1, 1000)] = 12,
    size: Annotated[int, cli.between(32, 256)] = 128,
    warp: Annotated[float, cli.between(0, 3)] = 1.5,
    radiometry: Annotated[float, cli.between(0, 0.5)] = 0.1,
    noise: Annotated[float, cli.between(0, 10)] = 1.0,
    mtf: Annotated[float, cli.between(0.05, 0.6)] = 0.3,
    seed: Annotated[int, cli.at_least(0)] = 42,
) -> None:
    """Draw pairs of images of two sensors that disagree in place and brightness in a known way.

    Args:
        dst: folder to make: one folder for each site, with index.csv and zips of GeoTIFFs.
        sites: number of sites; each has its own materials, season, sun and habits of building.
        patches: patches of each site.
        size: pixels of 10 m along a side of a patch, an even number.
        warp: pixels of 10 m by which the finer sensor may see a place elsewhere: a shift, waves and
            a fault line together never reach further.
        radiometry: relative change of brightness that the gain never exceeds; offsets reach a tenth
            of it, as reflectance.
        noise: factor on the noise of both sensors.
        mtf: modulation transfer of the finer sensor at the Nyquist frequency of its 5 m; those of
            Sentinel-2 are its own.
        seed: another one gives other land, warps and noise.
    """
    from shared.errors import StageError
    from stages.two_sensors import files
    from stages.two_sensors.sensors import Sensors

    if size % 2:
        raise StageError(f"--size: expected an even number, as 20 m bands need, found {size}")
    sensors = Sensors(size, mtf, noise)
    dst.mkdir(exist_ok=True)
    names = [f"DRAWN-{number + 1:03}" for number in range(sites)]
    left = [number for number, name in enumerate(names) if not (dst / name).exists()]
    with progress.bar(sites, dst.stem, unit="sites", done=sites - len(left)) as bar:
        for site in left:
            drawn = draw_site(sensors, seed, site, patches, warp=warp, radiometry=radiometry)
            files.write_site(dst, names[site], site, sensors.metres, drawn)
            bar.update(1)


if __name__ == "__main__":
    cli.main(run)

"""Drawn orthophotos with the class of each pixel, laid out as LandCover.ai is."""

from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from shared import cli, progress, tiles

SPLIT = 3  # of the random numbers: 0 to 2 are the cities of demo and city


def draw(
    seed: int, number: int, size: int, resolution: float
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(size, size, 3) a picture and (size, size) the class of each pixel.

    Args:
        seed, number: decide all that is random; each picture is of another city.
        size: pixels of a side.
        resolution: metres of a pixel.
    """
    from shared import landscape
    from stages.orthophoto import camera, land

    rng = np.random.default_rng((seed, SPLIT, number))
    city = landscape.draw_city(rng)
    ground = landscape.draw_land(city, rng, size, resolution)
    return camera.photograph(ground, city, rng, resolution), land.classify(ground)


def run(
    *,
    dst: Path,
    images: Annotated[int, cli.between(3, 400)] = 10,
    size: Annotated[int, cli.between(tiles.SIDE, 3072)] = 3 * tiles.SIDE,
    resolution: Annotated[float, cli.between(0.25, 0.5)] = 0.5,
    seed: Annotated[int, cli.at_least(0)] = 42,
) -> None:
    """Draw orthophotos with roads, buildings, woods and water, for land cover without a download.

    Args:
        dst: folder to make: images/ and masks/ of GeoTIFF, and train.txt, val.txt, test.txt with
            the names of their tiles.
        images: number of orthophotos; each has its own materials, sun, regions, roads and water.
        size: pixels of a side; whole tiles of 512 are listed.
        resolution: metres of a pixel.
        seed: another one gives other orthophotos.
    """
    from stages.orthophoto import files

    names = [f"ortho-{number + 1:03}" for number in range(images)]
    for folder in (dst, dst / "images", dst / "masks"):
        folder.mkdir(exist_ok=True)
    left = [n for n, name in enumerate(names) if not (dst / f"masks/{name}.tif").exists()]
    with progress.bar(images, dst.stem, unit="images", done=images - len(left)) as bar:
        for number in left:
            image, mask = draw(seed, number, size, resolution)
            for kind, pixels in (("images", image), ("masks", mask[..., None])):
                content = files.encode(pixels, number, resolution)
                files.put(dst / kind / f"{names[number]}.tif", content)
            bar.update(1)
    for name, text in files.list_tiles(names, size):
        files.put(dst / name, text.encode())


if __name__ == "__main__":
    cli.main(run)

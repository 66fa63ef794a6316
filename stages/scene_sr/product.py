"""The product: tiles first, which can go on, then the images that are made of them."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import gdal_files, patches
from shared.sisr_client import NODATA, Network
from shared.unfinished import work
from stages.scene_sr import flow, geotiff, quicklook, tiles
from stages.scene_sr.settings import Running
from stages.scene_sr.tiles import Layout, Pixels
from stages.scene_sr.view import View

CACHE = 512 * 2**20  # bytes of decoded tiles of JPEG 2000 that GDAL keeps
MOST = 4  # tiles beside each other, where nothing is told: each one needs memory
TILES, FACTS = "tiles.h5", "scene-sr.json"
IMAGE, CUBIC = "image", "bicubic"


def share_threads(running: Running) -> tuple[int, int]:
    """Tiles beside each other, and threads of each one."""
    threads = running.threads or len(os.sched_getaffinity(0))
    together = min(running.together or MOST, threads)
    return together, max(1, threads // together)


def make(
    dst: Path, view: View, layout: Layout, network: Network, *, together: int, bicubic: bool
) -> None:
    """Write the folder of a product, going on where an earlier run stopped.

    Args:
        dst: folder.
        view: what the network sees.
        layout: of the tiles.
        network: to run.
        together: tiles that are computed beside each other.
        bicubic: whether the image enlarged by a cubic is written, too.
    """
    dst.mkdir(exist_ok=True)
    if work.keeps(dst / FACTS):
        (dst / TILES).unlink(missing_ok=True)
        return
    kinds = (IMAGE, CUBIC) if bicubic else (IMAGE,)
    resolve(dst / TILES, view, layout, network, together=together, kinds=kinds)
    grid = view.product.grid.moved(layout.region.row, layout.region.column)
    fine = grid.coarser(1 / layout.factor)
    for kind in kinds:
        path = dst / f"{kind}.tif"
        if not work.keeps(path):
            geotiff.write(
                path, read_back(dst / TILES, layout, kind), layout.shape, fine, view.bands
            )
    quicklook.draw(dst / f"{IMAGE}.tif", dst / "quicklook.png", view.bands)
    write_facts(dst, view, layout)
    (dst / TILES).unlink()


def resolve(
    path: Path,
    view: View,
    layout: Layout,
    network: Network,
    *,
    together: int,
    kinds: tuple[str, ...],
) -> None:
    """All tiles that are not written yet, one row of a file each."""
    down, across = layout.counts
    more = max(0, tiles.RING - layout.ring)  # around what the network gets, for the cubic
    field = patches.Field((len(view.bands), *layout.side), "int16")

    def read(rows: slice) -> Pixels:
        with gdal_files.environment(CACHE, 0):  # which holds for one thread alone
            return view.read(layout.source(rows.start, more))

    def make_tile(pixels: Pixels, rows: slice) -> dict[str, NDArray[np.int16]]:
        near = crop(pixels, more)
        made = {IMAGE: tiles.resolve_tile(near, layout, rows.start, network.run)}
        if CUBIC in kinds:
            down, right = layout.lead(rows.start)
            around = crop(pixels[:, down:, right:], layout.ring + more - tiles.RING)
            made[CUBIC] = tiles.enlarge_tile(around, layout.factor)
        return made

    fields: dict[str, Any] = dict.fromkeys(kinds, field)
    with patches.Writer(path, down * across, **fields) as sink:
        todo = sink.todo(1, what="tiles")
        for rows, made in flow.run(todo, read, make_tile, together):
            sink.put(rows, **{kind: fill(made[kind], layout.side)[None] for kind in kinds})


def crop(pixels: Pixels, ring: int) -> Pixels:
    """Without so many pixels at each edge."""
    return pixels[:, ring : pixels.shape[1] - ring, ring : pixels.shape[2] - ring]


def fill(pixels: NDArray[np.int16], side: tuple[int, int]) -> NDArray[np.int16]:
    """(C, h, w) with nodata behind its end, up to the size of a whole tile."""
    whole = np.full((len(pixels), *side), NODATA, np.int16)
    whole[:, : pixels.shape[1], : pixels.shape[2]] = pixels
    return whole


def read_back(path: Path, layout: Layout, kind: str) -> geotiff.Parts:
    """Windows of the image and their pixels."""
    with patches.read(path, kind) as source:
        for number in range(source.total):
            window = layout.target(number)
            pixels = source[kind].raw(slice(number, number + 1))[0]
            yield window, pixels[:, : window.height, : window.width]


def write_facts(dst: Path, view: View, layout: Layout) -> None:
    """What people want to know of the image, as JSON."""
    product, region = view.product, layout.region
    content = {
        "product": product.name, "date": product.date, "level": product.level,
        "bands": list(view.bands), "factor": layout.factor, "margin": layout.margin,
        "tile": list(layout.side), "grid": layout.grid,
        "metres": product.grid.coarser(1 / layout.factor).pixel,
        "region": {"row": region.row, "column": region.column, "height": region.height,
                   "width": region.width},
        "nodata": NODATA,
    }  # fmt: skip
    draft = dst / f"{geotiff.LAST}{FACTS}"
    draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    work.publish(draft, dst / FACTS)

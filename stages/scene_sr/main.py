"""scene-sr: a whole Sentinel-2 product through a super-resolution network."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from shared import cli
from shared.errors import StageError
from stages.scene_sr.settings import Running, Stored

CPU = "CPUExecutionProvider"


def name_network(given: Mapping[str, Any]) -> dict[str, Path]:
    """The ONNX file that a description names, as if it had been given.

    Raises:
        StageError: no usable description, or another file is given.
    """
    model, network = given.get("model"), given.get("network")
    if not isinstance(model, Path) or not model.exists():
        return {}  # which is refused by name later
    from shared import sisr_client

    return sisr_client.name_network(model, network)


def choose_provider(device: str, available: Sequence[str]) -> str:
    """What onnxruntime runs on.

    Raises:
        StageError: it has nothing for this device.
    """
    wanted = {"cpu": CPU, "cuda": "CUDAExecutionProvider"}
    if device == "auto":
        device = "cuda" if wanted["cuda"] in available else "cpu"
    if wanted[device] not in available:
        found = ", ".join(available)
        raise StageError(f"--device: expected an onnxruntime with {wanted[device]}, found {found}")
    return wanted[device]


@cli.completed_by(name_network)
def run(
    *,
    src: Path,
    dst: Path,
    model: Path,
    network: Path | None = None,
    region: tuple[float, ...] = (),
    region_in: Literal["metres", "degrees", "pixels"] = "metres",
    bicubic: bool = False,
    stored: Stored = Stored(),
    running: Running = Running(),
) -> None:
    """Enlarge a Sentinel-2 product by a network, as a cloud-optimised GeoTIFF.

    Args:
        src: a SAFE (L1C or L2A) or Theia product as a folder or zip, a GeoTIFF or folder of bands;
            or a scene file.
        dst: folder to write: image.tif (int16, reflectance * 10,000, nodata -10,000),
            quicklook.png, scene-sr.json and, with --bicubic, bicubic.tif.
        model: description of a network for the client sentinel2_superresolution: YAML with model,
            bands, margin and factor; or a folder with one, such as sisr-export writes.
        network: the ONNX file that it names, which is found by itself.
        region: the part to make: left,bottom,right,top in metres or degrees, or
            left,top,right,bottom in input pixels.
        region_in: what the region is given in: metres of the product's own grid, degrees, or
            pixels.
        bicubic: write the same region enlarged by a cubic, too.
    """
    import onnxruntime

    from shared import gdal_files, products, sisr_client
    from shared.products import sources
    from stages.scene_sr import product, scene_file, tiles, tuning, view

    description = sisr_client.read(model)
    description = replace(description, model=network or description.model)
    provider = choose_provider(running.device, onnxruntime.get_available_providers())
    together, threads = product.share_threads(running)
    net = sisr_client.Network(description, threads, [provider])
    if provider == CPU:
        tuning.speed_up(net, threads)
    channels = products.read_names("channels", stored.channels)
    units = products.Units(stored.per_unit, stored.offset, stored.nodata)
    with ExitStack() as stack:
        stack.enter_context(gdal_files.environment(product.CACHE, running.threads))
        if src.suffix.lower() in scene_file.ENDINGS:
            opened = scene_file.read(src, stack)
        else:
            opened = sources.read(src, view.name_bands(description), channels, None, units)
        seen = view.look(opened, description)
        top, left, height, width = products.find_window(seen.product, region, region_in)
        part = sisr_client.Window(top, left, height, width)
        layout = tiles.lay_out(part, description, running.tile, net.grid)
        product.make(dst, seen, layout, net, together=together, bicubic=bicubic)


if __name__ == "__main__":
    cli.main(run)

"""Small Sentinel-2 products in the published layouts: SAFE of both levels, Theia, single images."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SIZE = 60  # pixels of 10 m
WEST, NORTH = 399_960.0, 5_700_000.0
ORDER = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
COARSE = ("B05", "B06", "B07", "B8A", "B11", "B12")
METRES = dict.fromkeys(COARSE, 20) | dict.fromkeys(("B02", "B03", "B04", "B08"), 10)
STEM = "T33UUB_20220701T101559"


def numbers(name: str, metres: int, size: int = SIZE) -> np.ndarray:
    """Digital numbers of a band: others in every band, 1100 to 6000; the corner has no data."""
    side = size * 10 // metres
    rng = np.random.default_rng((ORDER.index(name), metres))
    values = rng.integers(1100, 6000, (side, side)).astype(np.uint16)
    values[: 60 // metres, : 60 // metres] = 0
    return values


Draw = Callable[[str, int, int], np.ndarray]


def write_image(path: Path, values: np.ndarray, metres: float = 10, **other: Any) -> Path:
    """One image with north up, of one band (H, W) or several (C, H, W); JPEG 2000 without loss."""
    import rasterio
    from rasterio.transform import Affine

    values = values if values.ndim == 3 else values[None]
    jp2 = {"driver": "JP2OpenJPEG", "QUALITY": "100", "REVERSIBLE": "YES"}
    profile = {
        "driver": "GTiff", "crs": "EPSG:32633", "dtype": values.dtype, "count": len(values),
        "transform": Affine(metres, 0, WEST, 0, -metres, NORTH), "height": values.shape[1],
        "width": values.shape[2],
    } | (jp2 if path.suffix == ".jp2" else {}) | other  # fmt: skip
    names = profile.pop("names", ())
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", **profile) as image:
        image.write(values)
        for index, text in enumerate(names, 1):
            image.set_band_description(index, text)
    return path


def head(level: str, baseline: str, offset: int | None) -> str:
    """The metadata of a product, as far as readers need it."""
    radio = "" if offset is None else "".join(
        f'<RADIO_ADD_OFFSET band_id="{i}">{offset - i}</RADIO_ADD_OFFSET>' for i in range(13)
    )  # fmt: skip
    if level == "L1C":
        body = (f'<QUANTIFICATION_VALUE unit="none">10000</QUANTIFICATION_VALUE>'
                f"<Radiometric_Offset_List>{radio}</Radiometric_Offset_List>")  # fmt: skip
    else:
        body = ('<QUANTIFICATION_VALUES_LIST><BOA_QUANTIFICATION_VALUE unit="none">10000'
                "</BOA_QUANTIFICATION_VALUE></QUANTIFICATION_VALUES_LIST>"
                "<BOA_ADD_OFFSET_VALUES_LIST>" + radio.replace("RADIO", "BOA") +
                "</BOA_ADD_OFFSET_VALUES_LIST>")  # fmt: skip
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n'
        f'<n1:Level-{level[1:]}_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/'
        f'User_Product_Level-{level[1:]}.xsd"><n1:General_Info><Product_Info>'
        "<PRODUCT_START_TIME>2022-07-01T10:15:59.024Z</PRODUCT_START_TIME>"
        f"<PRODUCT_URI>S2A_MSI{level}_20220701T101559_N0400_R065_T33UUB_20220701T122159.SAFE"
        f"</PRODUCT_URI><PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE></Product_Info>"
        f"<Product_Image_Characteristics>{body}</Product_Image_Characteristics>"
        f"</n1:General_Info></n1:Level-{level[1:]}_User_Product>\n"
    )


def gml(*polygons: tuple[str, str]) -> str:
    """A mask of before baseline 04.00: (kind, corners) of each polygon."""
    members = "".join(
        f'<eop:MaskFeature gml:id="{kind}.{i}"><eop:maskType codeSpace="x">{kind}</eop:maskType>'
        f"<eop:extentOf><gml:Polygon><gml:exterior><gml:LinearRing>"
        f'<gml:posList srsDimension="2">{ring}</gml:posList></gml:LinearRing></gml:exterior>'
        "</gml:Polygon></eop:extentOf></eop:MaskFeature>"
        for i, (kind, ring) in enumerate(polygons)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><eop:Mask xmlns:eop="http://www.opengis.net/eop/2.0"'
        ' xmlns:gml="http://www.opengis.net/gml/3.2"><gml:boundedBy><gml:Envelope '
        'srsName="urn:ogc:def:crs:EPSG:8.7:32633"/></gml:boundedBy>'
        f"<eop:maskMembers>{members}</eop:maskMembers></eop:Mask>"
    )


def square(row: int, column: int, side: int) -> str:
    """Corners of a square of pixels of 10 m, closed."""
    left, top = WEST + 10 * column, NORTH - 10 * row
    right, bottom = left + 10 * side, top - 10 * side
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    return " ".join(f"{x:.0f} {y:.0f}" for x, y in corners)


def make_safe(
    folder: Path, level: str, baseline: str, size: int = SIZE, draw: Draw = numbers
) -> Path:
    """A SAFE folder: L1C or L2A; before baseline 04.00 with polygons, then with MSK_CLASSI."""
    name = f"S2A_MSI{level}_20220701T101559_N0400_R065_T33UUB_20220701T122159.SAFE"
    safe, late = folder / name, baseline >= "04.00"
    granule = safe / "GRANULE" / f"{level}_T33UUB_A036684_20220701T101557"
    quality, images = granule / "QI_DATA", granule / "IMG_DATA"
    quality.mkdir(parents=True)
    (safe / f"MTD_MSI{level}.xml").write_text(head(level, baseline, -1000 if late else None))
    (granule / "MTD_TL.xml").write_text("<n1:Level-1C_Tile_ID xmlns:n1='x'/>")
    if level == "L1C":
        for band in ORDER:
            metres = METRES.get(band, 60)
            write_image(images / f"{STEM}_{band}.jp2", draw(band, metres, size), metres)
        write_image(images / f"{STEM}_TCI.jp2", np.ones((3, size, size), np.uint8))
    else:
        for metres in (10, 20, 60):
            for band in ORDER:
                if band != "B10" and METRES.get(band, 60) <= metres:
                    file = images / f"R{metres}m" / f"{STEM}_{band}_{metres}m.jp2"
                    write_image(file, draw(band, metres, size), metres)
        scl = np.full((size // 2, size // 2), 4, np.uint8)
        scl[10, :8] = (0, 3, 7, 8, 9, 10, 11, 1)
        write_image(images / "R20m" / f"{STEM}_SCL_20m.jp2", scl, 20)
    if late:
        classes = np.zeros((3, size // 6, size // 6), np.uint8)
        classes[0, 4, 4] = classes[1, 4, 5] = classes[2, 4, 6] = classes[1, 4, 4] = 1
        write_image(quality / "MSK_CLASSI_B00.jp2", classes, 60)
    else:
        clouds = gml(("OPAQUE", square(24, 24, 6)), ("CIRRUS", square(24, 24, 12)))
        (quality / "MSK_CLOUDS_B00.gml").write_text(clouds)
    return safe


def make_theia(folder: Path) -> Path:
    """A product of Theia: int16, nodata -10,000, masks of bits at 10 m."""
    stem = "SENTINEL2A_20200401-105855-000_L2A_T33UUB_C_V2-2"
    product = folder / stem
    for band in METRES:
        values = numbers(band, METRES[band]).astype(np.int16)
        values[values == 0] = -10_000
        short = band.replace("B0", "B")
        for kind, shift in (("FRE", 0), ("SRE", 7)):
            write_image(product / f"{stem}_{kind}_{short}.tif", values + np.int16(shift),
                        METRES[band])  # fmt: skip
    clouds, ground = np.zeros((2, SIZE, SIZE), np.uint8)
    clouds[30, :4], ground[30, :6] = (1, 2, 128, 2 + 128), (8, 0, 0, 4, 4, 8)
    write_image(product / "MASKS" / f"{stem}_CLM_R1.tif", clouds)
    write_image(product / "MASKS" / f"{stem}_MG2_R1.tif", ground)
    (product / f"{stem}_MTD_ALL.xml").write_text(
        "<Muscate_Metadata_Document><Radiometric_Informations><REFLECTANCE_QUANTIFICATION_VALUE>"
        "10000</REFLECTANCE_QUANTIFICATION_VALUE><SPECIAL_VALUES_LIST>"
        '<SPECIAL_VALUE name="nodata">-10000</SPECIAL_VALUE></SPECIAL_VALUES_LIST>'
        "</Radiometric_Informations></Muscate_Metadata_Document>"
    )
    return product


def pack(folder: Path) -> Path:
    """The folder as a zip file beside it, under its own name."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder.parent))
    return path


def cubic_by_hand(values: np.ndarray, row: int, column: int) -> float:
    """A pixel of 10 m from an image of 20 m by Keys' kernel, one sample after the other."""
    total = 0.0
    for i in range(len(values)):
        for j in range(values.shape[1]):
            weight = 1.0
            for far in (abs((row + 0.5) / 2 - 0.5 - i), abs((column + 0.5) / 2 - 0.5 - j)):
                near = 1.5 * far**3 - 2.5 * far**2 + 1
                outer = -0.5 * far**3 + 2.5 * far**2 - 4 * far + 2
                weight *= near if far < 1 else outer if far < 2 else 0.0
            total += weight * values[i, j]
    return total

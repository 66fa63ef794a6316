"""The cost of each layer as a picture: a bar of its SQNR, the worst ones in another colour."""

from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

LINE, MARGIN = 18, 12  # pixels of a layer, and around all
NAMES, BARS, FIGURES = 330, 420, 190  # widths of the three columns
INK, SOFT, PAPER = (30, 30, 30), (120, 120, 120), (255, 255, 255)
FINE, WORST = (86, 140, 190), (200, 70, 50)
LONGEST = 46  # characters of a name


def draw(path: Path, lines: list[dict[str, Any]], worst: list[str], title: str) -> None:
    """Write a PNG with one bar per layer, in the order of the network.

    Args:
        path: file to write.
        lines: of `layer_blame.measure_layers`.
        worst: names of the layers to point at.
        title: first line of the picture.
    """
    width, top = 2 * MARGIN + NAMES + BARS + FIGURES, MARGIN + 2 * LINE
    picture = Image.new("RGB", (width, top + LINE * len(lines) + MARGIN), PAPER)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(12)
    pen.text((MARGIN, MARGIN), title, INK, ImageFont.load_default(14))
    most = max((line["sqnr_db"] or 0.0 for line in lines), default=0.0)
    for place, line in enumerate(lines):
        y, decibels = top + LINE * place, line["sqnr_db"]
        colour = WORST if line["layer"] in worst else FINE
        pen.text((MARGIN, y), shorten(line["layer"]), INK, font)
        start = MARGIN + NAMES
        length = BARS * max(decibels or 0.0, 0.0) / most if most else 0.0
        pen.rectangle((start, y + 2, start + round(length), y + LINE - 4), colour)
        said = "no change" if decibels is None else f"{decibels:.1f} dB"
        text = f"{said}, {line['points_lost']:+.2f} points lost"
        pen.text((start + BARS + MARGIN, y), text, INK if line["layer"] in worst else SOFT, font)
    picture.save(path, "PNG")


def shorten(name: str) -> str:
    """A name as printable characters, its beginning left out where it is long."""
    plain = name.encode("ascii", "replace").decode()
    return plain if len(plain) <= LONGEST else "..." + plain[-LONGEST + 3 :]

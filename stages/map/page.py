"""The map as one HTML file: overlay on the scene, opacity, scores at a click; nothing is loaded."""

import base64
import html
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import image
from numpy.typing import NDArray

from stages.map.palette import spell
from stages.map.thinning import Thinned

TEMPLATE = Path(__file__).with_name("page.html")


def png_uri(pixels: NDArray[np.uint8]) -> str:
    """(h, w, 3 or 4) as a data address."""
    buffer = io.BytesIO()
    image.imsave(buffer, pixels, format="png", metadata={"Software": ""})
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def paint(classes: NDArray[np.uint8], colours: tuple[str, ...]) -> NDArray[np.uint8]:
    """(h, w, 4) colours of class numbers; what has no data is transparent."""
    rows = [(0, 0, 0, 0), *((*bytes.fromhex(colour[1:]), 255) for colour in colours)]
    return np.array(rows, np.uint8)[classes]


def write(
    path: Path,
    scene: NDArray[np.uint8],
    thinned: Thinned,
    place: tuple[float, float, float, float],
    *,
    classes: tuple[str, ...],
    colours: tuple[str, ...],
    shares: NDArray[np.floating],
    facts: dict[str, Any],
) -> None:
    """Write the page.

    Args:
        path: HTML file.
        scene: (h, w, 3) true-colour picture.
        thinned: the classes and percents that it shows.
        place: left, top, width and height of the map, as shares of the scene's width and height.
        classes: K names.
        colours: K "#rrggbb".
        shares: (K,) of each class among the cells with data, 0 … 1.
        facts: title, and what is said by name; tables are left out.
    """
    left, top, width, height = (f"{100 * part:.6f}%" for part in place)
    content = {
        "classes": [spell(name) for name in classes], "colours": colours,
        "rows": thinned.classes.shape[0], "columns": thinned.classes.shape[1],
        "every": thinned.every, "starts": thinned.starts, "shares": shares.tolist(),
        "percents": base64.b64encode(thinned.percents.tobytes()).decode(),
        "labels": base64.b64encode(thinned.classes.tobytes()).decode(),
        "facts": {
            name: f"{value:.6g}" if isinstance(value, float) else str(value)
            for name, value in facts.items()
            if not isinstance(value, dict)
        },
    }  # fmt: skip
    values = {
        "TITLE": html.escape(str(facts.get("scene", "map"))), "SCENE": png_uri(scene),
        "MAP": png_uri(paint(thinned.classes, colours)),
        "LEFT": left, "TOP": top, "WIDTH": width, "HEIGHT": height,
        "RATIO": f"{scene.shape[1]} / {scene.shape[0]}",
        "CONTENT": json.dumps(content).replace("<", "\\u003c"),
    }  # fmt: skip
    # All at once: what a value says is not looked at again.
    text = re.sub("%([A-Z]+)%", lambda m: values[m[1]], TEMPLATE.read_text(encoding="utf-8"))
    path.write_text(text, encoding="utf-8")

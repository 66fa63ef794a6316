"""What looks wrong in a finished scene: an offset that was forgotten, or taken off twice."""

from pathlib import Path

import numpy as np

from shared import scenes

DARK = 0.095  # reflectance that the darkest pixels of every band exceed when 1000 was not taken off
BLACK = 0.2  # share of pixels at the lower end that no band of a scene has
SAMPLED = 64  # windows of 256 x 256 pixels


def find_fault(path: Path, states_offset: bool) -> str:
    """One line about the reflectance of a scene file, or "" where every fourth pixel looks right.

    Args:
        path: a complete scene file.
        states_offset: whether the metadata of the product say what is added.
    """
    count = 0
    with scenes.open_scene(path) as scene:
        windows = [
            scenes.Window(w.top, left, w.height, min(scenes.BLOCK, scene.shape[1] - left))
            for w in scene.blocks()
            for left in range(0, scene.shape[1], scenes.BLOCK)
        ]
        step = -(-len(windows) // SAMPLED)
        low, dark = np.full(len(scene.bands), np.inf), np.zeros(len(scene.bands))
        for window in windows[::step]:
            pixels = scene.raw(*window)[::2, ::2].reshape(-1, len(scene.bands))
            pixels = pixels[(pixels != scenes.NO_DATA).all(1)]
            if len(pixels):
                low = np.minimum(low, np.percentile(pixels, 0.1, axis=0))
                dark, count = dark + (pixels == 1).sum(0), count + len(pixels)
    if not count:
        return "no pixel has data in all bands"
    if not states_offset and low.min() > DARK * scenes.PER_UNIT:
        least = f"no band goes below {low.min() / scenes.PER_UNIT:.2f}"
        return f"{least}, as if 1000 was not taken off (baseline 04.00 and later): --offset=-1000"
    if dark.max() > BLACK * count:
        return (
            f"{dark.max() / count:.0%} of the pixels of a band are 0 or less: is the offset right?"
        )
    return ""

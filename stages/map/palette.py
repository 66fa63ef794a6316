"""Colours of classes: the official ones of local climate zones, a wheel of hues for others."""

import colorsys

from shared import lcz, patches

COLOURS = "colours"  # dataset beside scores, (K, 3) red, green, blue, where a network has its own


def choose_colours(classes: tuple[str, ...]) -> tuple[str, ...]:
    """One "#rrggbb" a class."""
    if classes == lcz.CLASSES:
        return lcz.COLOURS
    shades = (
        colorsys.hsv_to_rgb(k / len(classes), 0.55 + 0.3 * (k % 2), 0.95 - 0.2 * (k % 3))
        for k in range(len(classes))
    )
    return tuple("#" + bytes(round(255 * part) for part in shade).hex() for shade in shades)


def read_colours(source: patches.Source) -> tuple[str, ...]:
    """One "#rrggbb" a class: those that a file of scores has beside them, else chosen ones."""
    if COLOURS not in source:
        return choose_colours(source.classes)
    return tuple("#" + bytes(colour).hex() for colour in source.file[COLOURS][()])


def spell(name: str) -> str:
    """A class as people read it: "06_OpenLowRise" as "06 Open Low Rise"."""
    head, _, tail = name.partition("_")
    if name not in lcz.CLASSES:
        return name
    words = "".join(f" {letter}" if letter.isupper() else letter for letter in tail)
    return f"{int(head)} {words.strip()}"

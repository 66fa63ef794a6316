"""Folder and label names that the Voyager SDK reads the way they are meant."""

import re


def identifier(label: str) -> str:
    """What the SDK makes of a label: lower case, every non-word character an underscore."""
    return re.sub(r"\W", "_", label.strip().lower())


def folder_names(classes: tuple[str, ...]) -> tuple[str, ...]:
    """One folder name per class whose plain string order is the class order.

    torchvision's ImageFolder numbers classes by sorted folder names, so a name gets its zero-padded
    number in front where the names alone would sort otherwise.
    """
    plain = tuple(re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_") for name in classes)
    if list(plain) == sorted(set(plain)) and all(plain):
        return plain
    width = max(2, len(str(len(classes))))
    return tuple(f"{i:0{width}d}_{name}" for i, name in enumerate(plain, 1))


def label_lines(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Lines of labels.txt: class names without number in front, without commas.

    The SDK takes what follows ", " for an alias, and makes identifiers of labels, which must stay
    different.
    """
    lines: list[str] = []
    for number, name in enumerate(classes, 1):
        plain = re.sub(r"\s+", " ", name.replace(",", " ")).strip()
        plain = re.sub(r"^\d+[_ ]", "", plain)
        if not identifier(plain).isidentifier():
            plain = f"class {plain}".strip()
        if identifier(plain) in {identifier(label) for label in lines}:
            plain = f"{plain} {number}"
        lines.append(plain)
    return tuple(lines)

"""Which releases of the SDK a bundle is for, as MANIFEST.json says it."""

from pathlib import Path
from typing import Any

from shared import manifest
from shared.errors import StageError
from stages.voyager.settings import PROFILES, kept_decimals


def describe(profiles: tuple[str, ...]) -> dict[str, Any]:
    """The releases, per profile from the first one to the first that is not meant any more."""
    ranges = {
        name: {"least": PROFILES[name].least, "below": PROFILES[name].below} for name in profiles
    }
    return {"profiles": ranges, "decimals": kept_decimals(profiles)}


def read(folder: Path) -> dict[str, Any] | None:
    """What a bundle's MANIFEST.json says of it; None without a manifest.

    Raises:
        StageError: a manifest that is damaged, or does not say it.
    """
    if not (folder / manifest.MANIFEST).is_file():
        return None
    try:
        said: dict[str, Any] = manifest.read(folder)["sdk"]
    except manifest.RefusedError as error:
        raise StageError(str(error)) from None
    return said


def profiles_of(folder: Path) -> tuple[str, ...]:
    """The profiles that a finished bundle is for.

    Raises:
        StageError: its manifest does not say it, or names one that is not known.
    """
    said = read(folder)
    names = tuple(said["profiles"]) if said and isinstance(said.get("profiles"), dict) else ()
    if not names or not {*names} <= {*PROFILES}:
        known = ", ".join(PROFILES)
        path = folder / manifest.MANIFEST
        raise StageError(f"{path}: expected profiles of the SDK ({known}), found {[*names]}")
    return names

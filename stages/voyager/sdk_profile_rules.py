"""The rules in which releases of the SDK differ: decimals, paths, compiler settings, pictures."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tomllib

from shared.pictures import read_picture
from shared.voyager import SDK, Bundle, preprocess
from stages.voyager import compiler_settings, preprocess_file, sdk_range
from stages.voyager.sdk_file_rules import list_pictures
from stages.voyager.settings import SCHEMES, UNSAID, kept_decimals, most_pictures

Profiles = tuple[str, ...]
PATHS = ("_path", "_dir", "_root")  # endings of the keys that the SDK takes for paths


def decimals(bundle: Bundle, profiles: Profiles) -> Iterator[str]:
    """Mean and std have no more decimals than the streaming pipelines keep."""
    kept = kept_decimals(profiles)
    for key in ("mean", "std"):
        for part in str(bundle.steps["normalize"][key]).split(","):
            if round(float(part), kept) != float(part):
                yield (
                    f"{key} {part.strip()} has more than {kept} decimals, which SDK "
                    f"{profiles[0]} cuts off"
                )


def path_forms(bundle: Bundle) -> Iterator[str]:
    """Every path begins in the SDK's folder: releases resolve relative ones differently."""
    for key, value in _entries(bundle.yaml):
        if key.endswith(PATHS) and not str(value).startswith(f"{SDK}/"):
            yield (
                f"{key} {value!r} does not begin with {SDK}/: SDK 1.2 looks from the YAML's "
                "folder, 1.6 and later from their own"
            )


def _entries(content: Any) -> Iterator[tuple[str, Any]]:
    """Every key of nested mappings and lists with its value."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield str(key), value
            yield from _entries(value)
    elif isinstance(content, list):
        for value in content:
            yield from _entries(value)


def compiler(bundle: Bundle, profiles: Profiles) -> Iterator[str]:
    """Scheme and cores are written out, where every one of the releases reads them."""
    given, name = bundle.model["extra_kwargs"], bundle.yaml["name"]
    wanted = {"max_compiler_cores", "compilation_config"}
    if compiler_settings.needs_toml(profiles):
        wanted = {"compiler_config_file"}
    if set(given) != wanted:
        yield f"extra_kwargs has {sorted(given)}, expected {sorted(wanted)}"
        return
    if "compiler_config_file" not in wanted:
        (nested,) = given["compilation_config"].items()
        ((key, scheme),) = nested[1].items()
        if (nested[0], key) != ("quantization_config", "ptq_scheme"):
            yield f"compilation_config has {nested[0]}: {key}, expected quantization_config: ptq_…"
        yield from _values(scheme, given["max_compiler_cores"])
    elif given["compiler_config_file"] != f"{name}.toml":
        yield (
            f"compiler_config_file is {given['compiler_config_file']!r}, expected the bare name "
            f"{name}.toml: no variable in it is replaced"
        )
    else:
        yield from _toml(bundle, profiles)


def _toml(bundle: Bundle, profiles: Profiles) -> Iterator[str]:
    path = bundle.folder / bundle.model["extra_kwargs"]["compiler_config_file"]
    if not path.is_file():
        yield f"{path.name} is not there"
        return
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        yield f"{path.name} is not TOML ({error})"
        return
    if set(found) != set(wanted := compiler_settings.settings("", 1)):
        yield f"{path.name} has {sorted(found)}, expected {sorted(wanted)}"
        return
    scheme, cores = found["quantization_scheme"], found["aipu_cores_used"]
    yield from _values(scheme, cores)
    share = compiler_settings.settings(scheme, cores)["resources_used"]
    if found["resources_used"] != share:
        yield f"resources_used is {found['resources_used']}, expected {share} for {cores} cores"
    if "1.2" in profiles and (scheme, cores) != UNSAID:
        yield f"SDK 1.2 reads no {path.name} and takes {UNSAID[0]} on one core"


def _values(scheme: object, cores: object) -> Iterator[str]:
    if scheme not in SCHEMES:
        yield f"quantisation scheme {scheme!r}, expected one of {', '.join(SCHEMES)}"
    if type(cores) is not int or not 1 <= cores <= 4:
        yield f"{cores!r} cores, expected 1 to 4"


def number(bundle: Bundle, profiles: Profiles) -> Iterator[str]:
    """No more calibration pictures than the documents of all releases let deploy.py take."""
    count, most = len(list_pictures(bundle.calibration)), most_pictures(profiles)
    if count > most:
        yield f"{count} calibration pictures, of which SDK {profiles[-1]} takes at most {most}"


def transform(bundle: Bundle) -> Iterator[str]:
    """preprocess.py makes the same input of a picture as the YAML, to the last bit."""
    found = preprocess_file.load(bundle.folder / "preprocess.py")
    if not callable(found.get(preprocess_file.FUNCTION)):
        yield f"preprocess.py has no {preprocess_file.FUNCTION}, which axcompile looks for"
    picture = read_picture(list_pictures(bundle.calibration)[0])
    with np.errstate(divide="ignore", invalid="ignore"):  # of a std of 0 another rule tells
        ours, theirs = preprocess(picture[None], bundle.steps), found["prepare"](picture)
    if ours.shape != theirs.shape or not np.array_equal(ours, theirs):
        yield "preprocess.py and the YAML make different inputs of a picture"


def release(bundle: Bundle, profiles: Profiles) -> Iterator[str]:
    """MANIFEST.json, where there is one yet, names the releases that the bundle is for."""
    said = sdk_range.read(bundle.folder)
    if said is not None and said != (expected := sdk_range.describe(profiles)):
        yield f"MANIFEST.json names {said} as SDK, expected {expected}"


Rule = Callable[[Bundle, Profiles], Iterator[str]]
RULES: tuple[Rule, ...] = (decimals, compiler, number, release)

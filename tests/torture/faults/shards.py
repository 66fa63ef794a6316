"""Parts of a product that are lost, foreign, or without their record; `merge` alone meets them."""

import random
import shutil
from pathlib import Path

from shared.runs import record
from tests.torture.faults.lab import PRODUCT, Lab, expect, remove


def _with_part(lab: Lab, rng: random.Random, other: Path | None, *, recorded: bool = True) -> str:
    """A run in which another file lies in the place of one part, or none; then the right one."""
    part = lab.good / ("part-2.h5" if other else f"part-{rng.randint(1, 3)}.h5")
    place = lab.folder / "parts" / part.name
    place.parent.mkdir()
    if other:
        shutil.copy2(other, place)
        if recorded:
            shutil.copy2(record.record_path(other), record.record_path(place))
    dst = lab.folder / "new" / PRODUCT
    line = lab.refused(*lab.run(dst, {part: place}))
    expect(str(place) in line, "the part is not named", line)
    expect(not dst.parent.exists(), "left behind", line)
    remove(record.record_path(place))
    for file in (part, record.record_path(part)):
        shutil.copy2(file, place.with_name(file.name))
    status, said = lab.run(dst, {part: place})
    expect(status == 0, f"status {status} with the right part", said)
    lab.check_whole(dst)
    return "refused"


def lose(lab: Lab, rng: random.Random) -> str:
    """A part is not there."""
    return _with_part(lab, rng, None)


def mix(lab: Lab, rng: random.Random) -> str:
    """A part was made with another setting."""
    return _with_part(lab, rng, lab.good / "other.h5")


def mix_without_record(lab: Lab, rng: random.Random) -> str:
    """A part of another setting, whose record did not travel with it."""
    return _with_part(lab, rng, lab.good / "other.h5", recorded=False)


def take_twice(lab: Lab, rng: random.Random) -> str:
    """A part lies in the place of another one."""
    return _with_part(lab, rng, lab.good / "part-1.h5")


KINDS = {
    "part lost": lose,
    "part of another plan": mix,
    "part without record": mix_without_record,
    "part twice": take_twice,
}

"""Files that are cut or changed: inputs, unfinished products, checkpoints, records, products."""

import contextlib
import os
import random
import shutil
import signal
import time
from pathlib import Path

import numpy as np

from shared.runs import lock, record
from tests.torture import mutations
from tests.torture.faults.lab import PRODUCT, Lab, contents, expect, moment, remove

FLIPPED = 0.5  # share of damage that is one bit
OLD, FUTURE = 315_532_800, 4_102_444_800  # 1980 and 2100: seconds of the epoch


def spoil(path: Path, rng: random.Random) -> None:
    """One bit turned round, some bytes changed, or the end cut off."""
    content = path.read_bytes()
    if not content:
        path.write_bytes(b"\0")
        return
    other = content
    while other == content:
        seed = rng.randrange(2**32)
        if rng.random() < FLIPPED:
            place = rng.randrange(len(content))
            flipped = bytes([content[place] ^ (1 << rng.randrange(8))])
            other = content[:place] + flipped + content[place + 1 :]
        else:
            other = mutations.mutate(content, np.empty(0, np.intp), seed)
    path.write_bytes(other)


def damage_input(lab: Lab, rng: random.Random) -> str:
    """An input that is a product, and is no longer what its record says."""
    path = lab.good / rng.choice(lab.work.reads)
    bad = lab.folder / "inputs" / path.name
    bad.parent.mkdir()
    for file in (path, record.record_path(path)):
        shutil.copy2(file, bad.with_name(file.name))
    spoil(bad, rng)
    dst = lab.folder / "new" / PRODUCT
    line = lab.refused(*lab.run(dst, {path: bad}))
    expect(str(bad) in line, "the input is not named", line)
    expect(not dst.parent.exists(), "left behind", line)
    return "refused"


def interrupt(lab: Lab, rng: random.Random, pattern: str, dst: Path) -> list[Path]:
    """Kill a run; files of the unfinished product that match, none when it came to its end."""
    pid = lab.start(dst)
    until = time.monotonic() + 0.7 * moment(lab, rng)
    while not lab.stage.ended(0.001):
        if time.monotonic() > until and _list(dst, pattern):
            os.kill(pid, signal.SIGKILL)
            break
    lab.end()
    return _list(dst, pattern)


def _list(dst: Path, pattern: str) -> list[Path]:
    """Files of an unfinished product, which a run may remove meanwhile."""
    partial = lock.partial_path(dst)
    if partial.is_file():
        return [partial]
    with contextlib.suppress(OSError):
        return sorted(path for path in partial.rglob(pattern) if path.is_file())
    return []


def damage_partial(lab: Lab, rng: random.Random) -> str:
    """A file of an unfinished product."""
    dst = lab.folder / PRODUCT
    if files := interrupt(lab, rng, "*", dst):
        spoil(rng.choice(files), rng)
    return lab.recover(dst)


def damage_checkpoint(lab: Lab, rng: random.Random) -> str:
    """What a trainer goes on from."""
    dst = lab.folder / PRODUCT
    if files := interrupt(lab, rng, "*.ckpt", dst):
        spoil(rng.choice(files), rng)
    return lab.recover(dst)


def damage_plan(lab: Lab, rng: random.Random) -> str:
    """What lies beside an unfinished product."""
    dst = lab.folder / PRODUCT
    interrupt(lab, rng, "*", dst)
    beside = sorted(path for path in dst.parent.glob(f"{PRODUCT}.partial.*") if path.is_file())
    if beside and not dst.exists():
        spoil(rng.choice(beside), rng)
    return lab.recover(dst)


def damage_product(lab: Lab, rng: random.Random) -> str:
    """A finished product or its record: never taken for good, never overwritten."""
    dst = lab.folder / PRODUCT
    status, said = lab.run(dst)
    expect(status == 0, "an undisturbed run fails", said)
    in_product = rng.random() < 0.5
    path = rng.choice(record.files_of(dst)) if in_product else record.record_path(dst)
    spoil(path, rng)
    before = contents(dst)
    status, said = lab.run(dst)
    expect(contents(dst) == before, "a product was overwritten", said)
    if status == 0:  # what was changed in the record is never compared
        expect(not in_product, "a damaged product is up to date", said)
        return "finished"
    lab.refused(status, said)
    for other in (dst, record.record_path(dst)):  # as the message says
        remove(other)
    lab.recover(dst)
    return "refused"


def shift_times(lab: Lab, rng: random.Random) -> str:
    """The clock was set while the product was interrupted: its files are old, or of the future."""
    dst = lab.folder / PRODUCT
    interrupt(lab, rng, "*", dst)
    for path in dst.parent.rglob("*"):
        then = rng.choice((OLD, FUTURE))
        os.utime(path, (then, then))
    return lab.recover(dst)


KINDS = {
    "input": damage_input,
    "partial": damage_partial,
    "checkpoint": damage_checkpoint,
    "beside the partial": damage_plan,
    "product or record": damage_product,
    "clock set": shift_times,
}

"""The other files that an HDF5 file refers to, found where HDF5 looks for them."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
from h5py import h5d, h5g, h5l, h5o

from shared.errors import StageError
from shared.patches.hdf5.opening import ERRORS, open_stored
from shared.patches.hdf5.touching import touch_member
from shared.runs import linked_files

OWNERS = {h5g.GroupID: h5py.Group, h5d.DatasetID: h5py.Dataset}  # what has their attributes
# The variable that adds folders to the search for each kind of reference.
LINK, VIRTUAL, RAW = "HDF5_EXT_PREFIX", "HDF5_VDS_PREFIX", "HDF5_EXTFILE_PREFIX"


def resolve(name: str, own: Path, kind: str) -> Path | None:
    """The file that a reference means, or None when it is in none of the places of HDF5.

    Args:
        name: as the reference has it.
        own: the file that holds the reference.
        kind: LINK, VIRTUAL or RAW (of external storage).
    """
    there = next((path for path in _candidates(name, own, kind) if path.is_file()), None)
    return None if there and kind == RAW and not _may_hold_values(there, own) else there


def lies_outside(name: str, own: Path) -> bool:
    """Whether values would lie in a file that there is, but where none may be."""
    there = next(_candidates(name, own, RAW))
    return there.is_file() and not _may_hold_values(there, own)


def _may_hold_values(there: Path, own: Path) -> bool:
    """Whether values of an HDF5 file may lie in a file of another kind, which could be any.

    It lies below the folder of the file, or below the one that the caller allows by HDF5's
    variable. Links that lead out of these are the caller's own, as everywhere.
    """
    allowed = [own.parent, own.resolve().parent]
    if given := os.environ.get(RAW, ""):
        allowed.append(Path(given.replace("${ORIGIN}", str(own.parent.absolute()))))
    place, *folders = (Path(os.path.normpath(path.absolute())) for path in (there, *allowed))
    return any(place.is_relative_to(folder) for folder in folders)


def _candidates(name: str, own: Path, kind: str) -> Iterator[Path]:
    """In the order of H5F_prefix_open_file: as it is, by the variable, beside the file."""
    given = os.environ.get(kind, "")
    if kind == RAW:  # beside the file only if the variable says so
        yield Path(given.replace("${ORIGIN}", str(own.parent.absolute()))) / name
        return
    if Path(name).is_absolute():
        yield Path(name)
        name = Path(name).name  # moved together with the file, perhaps
    for folder in filter(None, given.split(":")):
        yield Path(folder) / name
    yield own.parent / name
    yield Path(name)
    yield own.resolve().parent / name


def block_name(name: str, number: int) -> str:
    """A name of a virtual source with the number of its block in place of ``%b``."""
    return re.sub("%[b%]", lambda mark: str(number) if mark[0] == "%b" else "%", name)


def last_block(name: str, own: Path) -> int:
    """Largest number for ``%b`` for which there is such a file beside the own one; -1 for none."""
    base = re.split(r"(%b)", Path(name).name)
    if len(base) != 3:
        return -1
    folder = own.parent / Path(name).parent
    pattern = re.compile(rf"{re.escape(base[0])}(\d+){re.escape(base[2])}")
    files = [file.name for file in folder.iterdir()] if folder.is_dir() else []
    return max((int(m[1]) for m in map(pattern.fullmatch, files) if m), default=-1)


def list_linked(path: Path, touch: bool = False) -> list[linked_files.Reference]:
    """All other files that an HDF5 file reaches by links, virtual datasets and external storage.

    Args:
        path: the file.
        touch: also read the attributes, texts and chunk index of every member.

    Returns:
        name and place of each, in an order that depends on the content alone; the place is None
        where the file is missing. What cannot be read is passed over: it is refused when needed.

    Raises:
        EndlessError: with `touch`, an attribute or a few texts take all memory.
    """
    references: list[linked_files.Reference] = []
    waiting, seen = [path], {path.resolve()}
    while waiting:
        own = waiting.pop(0)
        for name, kind in _list_names(own, touch):
            there = resolve(name, own, kind)
            if there is None:
                references.append((name, None))
            elif there.resolve() not in seen:
                seen.add(there.resolve())
                references.append((name, there))
                waiting += [there] if kind != RAW and linked_files.is_hdf5(there) else []
    return references


def _list_names(own: Path, touch: bool) -> list[tuple[str, str]]:
    """Names of the files that one file refers to itself, and how, without repetition."""
    names: dict[tuple[str, str], None] = {}
    try:
        file = open_stored(own)
    except StageError:
        return []
    with file:
        groups, seen, touched = [file.id], set(), set[int]()
        if touch:
            touch_member(file, touched)
        while groups:
            group = groups.pop()
            for name in sorted(_members(group)):
                with contextlib.suppress(*ERRORS):
                    kind = group.links.get_info(name).type
                    if kind == h5l.TYPE_EXTERNAL:
                        names[os.fsdecode(group.links.get_val(name)[0]), LINK] = None
                    member = h5o.open(group, name) if kind == h5l.TYPE_HARD else None
                    if member is None or (place := h5o.get_info(member).addr) in seen:
                        continue
                    seen.add(place)
                    if touch and type(member) in OWNERS:
                        touch_member(OWNERS[type(member)](member), touched)
                    if isinstance(member, h5g.GroupID):
                        groups.append(member)
                    elif isinstance(member, h5d.DatasetID):
                        names |= dict.fromkeys(_stored_elsewhere(member, own))
    return list(names)


def _members(group: Any) -> list[bytes]:
    with contextlib.suppress(*ERRORS):
        return list(group)
    return []


def _stored_elsewhere(dataset: Any, own: Path) -> Iterator[tuple[str, str]]:
    """Files that hold values of one dataset."""
    plan = dataset.get_create_plist()
    for number in range(plan.get_external_count()):
        yield os.fsdecode(plan.get_external(number)[0]), RAW
    if plan.get_layout() != h5d.VIRTUAL:
        return
    for number in range(plan.get_virtual_count()):
        name = plan.get_virtual_filename(number)
        blocks = last_block(name, own) + 1 if "%b" in name else 0
        for block in range(max(1, blocks)):
            if name != ".":
                yield block_name(name, block) if "%b" in name else name, VIRTUAL

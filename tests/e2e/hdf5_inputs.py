"""HDF5 as other people have it: what it leaves out, refers to, or needs; (good file, bad file)."""

import fcntl
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import h5py
import numpy as np

Break = Callable[[Path, Path], object]
# The first that a file has is broken.
IMAGES = ("sen2", "rgb", "grid", "tfw", "image", "high", "reflectance")


def edited(change: Callable[[h5py.File, str], object]) -> Break:
    """A copy with a change of one dataset that the stage needs."""

    def write(good: Path, bad: Path) -> None:
        shutil.copyfile(good, bad)
        with h5py.File(bad, "r+") as file:
            change(file, next(name for name in IMAGES if name in file))

    return write


def link_to_nothing(file: h5py.File, name: str) -> None:
    del file[name]
    file[name] = h5py.ExternalLink("gone.h5", "/x")


def never_written(file: h5py.File, name: str) -> None:
    values, attributes = file[name], dict(file[name].attrs)
    del file[name]
    file.create_dataset(name, values.shape, values.dtype).attrs.update(attributes)


def source_moved(file: h5py.File, name: str) -> None:
    """A virtual dataset of two halves, of which the second is not there."""
    values, attributes = file[name][()], dict(file[name].attrs)
    half = len(values) // 2
    with h5py.File(Path(file.filename).with_suffix(".half"), "w") as first:
        first["x"] = values[:half]
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    layout[:half] = h5py.VirtualSource(f"{Path(file.filename).stem}.half", "x", values[:half].shape)
    layout[half:] = h5py.VirtualSource("gone.h5", "x", values[half:].shape)
    del file[name]
    file.create_virtual_dataset(name, layout).attrs.update(attributes)


def flat(file: h5py.File, name: str) -> None:
    """Every patch holds one value only."""
    values = file[name]
    values[...] = np.full(values.shape, values[0].flat[0])  # h5py writes a lone number one by one


def unknown_filter(good: Path, bad: Path) -> None:
    """Packed by zstd, as far as the file says: the number of deflate is replaced."""
    edited(_pack)(good, bad)
    content = bad.read_bytes()
    deflate = b"\x01\x00\x08\x00\x01\x00\x01\x00deflate\x00"
    assert deflate in content
    bad.write_bytes(content.replace(deflate, (32015).to_bytes(2, "little") + deflate[2:]))


def _pack(file: h5py.File, name: str) -> None:
    values, attributes = file[name][()], dict(file[name].attrs)
    del file[name]
    file.create_dataset(name, data=values, compression="gzip").attrs.update(attributes)


def in_use(good: Path, bad: Path) -> object:
    """Locked as by a program that writes it, for as long as the returned object lives."""
    shutil.copyfile(good, bad)
    descriptor = os.open(bad, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return closing(os.fdopen(descriptor, "rb"))


def unneeded_links(change: Break) -> Break:
    """Besides another fault, which is what has to be told: links that nobody needs."""

    def write(good: Path, bad: Path) -> None:
        change(good, bad)
        with h5py.File(bad, "r+") as file:
            file["preview"] = h5py.SoftLink("/gone")
            file["quick look"] = h5py.ExternalLink("gone.h5", "/x")

    return write


def damaged(good: Path, bad: Path) -> None:
    """The header of the dataset that is needed is overwritten."""
    shutil.copyfile(good, bad)
    with h5py.File(bad) as file:
        name = next(name for name in IMAGES if name in file)
        place = h5py.h5o.get_info(file[name].id).addr
    content = np.fromfile(bad, np.uint8)
    content[place : place + 64] = 255
    content.tofile(bad)


# What is wrong, how, and what is said of it.
KINDS: dict[str, tuple[Break, str]] = {
    "link": (edited(link_to_nothing), "link to gone.h5 leads nowhere: there is no such file"),
    "unwritten": (edited(never_written), "found none: the dataset was never written"),
    "virtual": (edited(source_moved), "a virtual dataset whose source gone.h5 is missing"),
    "filter": (unknown_filter, r"needs HDF5 filter 32015 \(zstd\), which is not here: h5repack"),
    "in use": (in_use, "in use by another program: .* HDF5_USE_FILE_LOCKING=FALSE"),
    "damaged": (damaged, r"cannot read \("),
}
FLAT = (edited(flat), "expected pictures, found one value only in each of")

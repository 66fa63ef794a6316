"""Any file of weights, also a pickled module, as safetensors."""

from pathlib import Path

from shared import progress
from shared.errors import StageError
from shared.weight_files import keys, reader, safetensors_file, stored

FACTS = {"format": "pt"}  # what other programs look for: names and axes are those of torch


def convert(src: Path, dst: Path, key: str, prefix: str) -> None:
    """Write the tensors of a file, with their types, and say which they are.

    Args:
        src: a file of torch.save or of safetensors.
        dst: file to write.
        key: keys that lead to the tensors, with dots; "" for known ones.
        prefix: beginning of the names to take, which is dropped; "" for all names.

    Raises:
        StageError: no such file, NaN in it, or nothing under that key or prefix.
    """
    weights = reader.read(src, key, modules=True)
    arrays = _select(src, weights.arrays, prefix) if prefix else weights.arrays
    values = sum(array.values.size for array in arrays.values())
    how = f", {note}" if (note := weights.chosen.note()) else ""
    progress.say(f"{src}: {len(arrays)} tensors, {values:,} values{how}")
    safetensors_file.write(dst, arrays, FACTS)


def _select(src: Path, arrays: dict[str, stored.Array], prefix: str) -> dict[str, stored.Array]:
    taken = {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
    if not taken or "" in taken:
        starts = keys.join(sorted({name.partition(".")[0] + "." for name in arrays}))
        raise StageError(f"--prefix: {src}: expected a beginning of names, found {prefix!r}; "
                         f"they begin with {starts}")  # fmt: skip
    return taken

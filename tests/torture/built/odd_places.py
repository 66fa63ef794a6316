"""What lies where a file should: links, folders, pipes, sockets, nothing, and odd names beside."""

from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.hostile import NAMES, ODD
from tests.torture.places import Change, Special

TARGETS = st.sampled_from([
    "/dev/zero", "/dev/full", "/dev/stdin", "/dev/tty", "/proc/self/mem", "/proc/self/environ",
    "/sys/kernel/notes", "/etc", "nowhere", ".", "..", "/", "loop",
])  # fmt: skip
ENDINGS = st.sampled_from(["", ".h5", ".onnx", ".npy", ".json", ".png", ".tif", ".yaml", ".xml"])


def draw(good: Path, file: str) -> Any:
    """Changes of the folder in which the good file lies."""
    content = good.read_bytes()
    below = [path for path in good.parent.rglob("*") if path.is_file()]
    root = good.parents[len(Path(file).parts) - 1]
    names = st.sampled_from(sorted(path.relative_to(root).as_posix() for path in below))

    def replace(name: str, kind: Any, target: str) -> Change:
        target = Path(name).name if target == "loop" else target
        return {name: Special(kind, target)}

    def add(name: str, ending: str, kind: str, target: str) -> Change:
        place = str(Path(file).with_name(f"{name}{ending}"))
        return {place: content if kind == "file" else Special(kind, target)}  # type: ignore[arg-type]

    odd = st.sampled_from(
        [*NAMES.values(), *ODD.values(), "x" * 200, "-rf", "--dst=x", "%b", "$(id)"]
    )
    beside = odd.filter(lambda name: "/" not in name)
    return st.one_of(
        st.builds(replace, names, st.sampled_from(["link", "fifo", "folder", "socket", "gone"]),
                  TARGETS),
        st.builds(add, beside, ENDINGS, st.sampled_from(["file", "link", "fifo", "folder"]),
                  TARGETS),
    )  # fmt: skip

"""Hostile files of weights: nothing in them is run or imported, and they cost next to nothing."""

import os
import pickle
import random
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.errors import StageError
from shared.weight_files import reader, safetensors_file, stored
from tests.torch_files import flat, mapping, tensor, text, write

ROOT = Path(__file__).resolve().parents[2]
VALUES = {"a.weight": np.arange(12, dtype=np.float32).reshape(3, 4)}
both_kinds = pytest.mark.parametrize("legacy", [False, True], ids=["archive", "legacy"])


def refusal(path: Path, **flags: Any) -> str:
    """The one line with which a file is refused."""
    with pytest.raises(StageError) as told:
        reader.read(path, **flags)
    assert "\n" not in str(told.value)
    return str(told.value)


# --- attacks: nothing is run, nothing is imported -------------------------------------------------
class Call:
    """What pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def attacks(mark: Path) -> dict[str, bytes]:
    """Operations that would run a command, or import a module, in a pickle that is believed."""
    command = text(f"touch {mark}")
    system = b"cos\nsystem\n"
    stand = b"cspy_module\nThing\n)\x81"  # an object of a class that lies in wait
    dumped = {
        "reduce": Call(os.system, f"touch {mark}"),
        "in a list": [1, {"x": Call(os.system, f"touch {mark}")}],
        "eval": Call(eval, f"open({str(mark)!r}, 'w')"),
        "exec": Call(exec, f"open({str(mark)!r}, 'w')"),
        "open": Call(open, str(mark), "w"),
        "import": Call(__import__, "spy_module"),
        "getattr": Call(getattr, Call(__import__, "os"), "system"),
        "process": Call(subprocess.Popen, ["touch", str(mark)]),
    }
    made = {
        f"{name}, protocol {protocol}": pickle.dumps(value, protocol)[2:-1]
        for name, value in dumped.items()
        for protocol in (2, 4)
    }
    return made | {
        "protocol 0": pickle.dumps(dumped["reduce"], 0)[:-1],
        "python 2": b"c__builtin__\neval\n" + text(f"open({str(mark)!r}, 'w')") + b"\x85R",
        "obj": b"(" + system + command + b"o",
        "inst": b"(" + command + b"ios\nsystem\n",
        "newobj": system + command + b"\x85\x81",
        "build": stand + b"}" + text("__setstate__") + system + b"sb" + command + b"b",
        "build slots": stand + b"(N" + mapping({"x": system}) + b"tb",
        "stack global": text("os") + text("system") + b"\x93" + command + b"\x85R",
        "persistent id": text(f"touch {mark}") + b"Q",
        "persistent text": b"P" + f"touch {mark}".encode() + b"\n",
        "nested persistent id": b"((" + system + command + b"\x85R" + b"tQtQ",
        "storage of a call": b"(" + text("storage") + system + text("0") + text("cpu") + b"K\x01tQ",
        "extension": b"\x82\x01",
        "function elsewhere": b"cnumpy.testing._private.utils\nrunstring\n" + command + b"\x85R",
        "hub": b"ctorch.hub\nload\n" + command + b"\x85R",
        "import of a module": b"cspy_module\nrun\n)R",
        "import of a class": stand + b"0cos\nsystem\n",
        "ordered dict of a call": b"ccollections\nOrderedDict\n" + system + command + b"\x85R\x85R",
        "parameter of a call": b"ctorch.nn.parameter\nParameter\n" + system + command
        + b"\x85R\x85R",
        "subclass of a call": b"ctorch._tensor\n_rebuild_from_type_v2\n(" + system + b"N" + command
        + b"\x85NtR",
    }  # fmt: skip


NAMES = list(attacks(Path("x")))


@both_kinds
@pytest.mark.parametrize("modules", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_refuses_an_attack_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, legacy: bool, modules: bool
) -> None:
    """Also beside good tensors, and with the module of the class within reach."""
    mark = tmp_path / "mark"
    (tmp_path / "spy_module.py").write_text(f"open({str(mark)!r}, 'w')\nclass Thing: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    attack = attacks(mark)[name]
    for operations in (attack, mapping({"x": attack, "state_dict": flat(VALUES)})):
        path = write(tmp_path / "w.pth", operations, VALUES, legacy)
        assert "found neither (" in refusal(path, modules=modules)
    assert not mark.exists()
    assert "spy_module" not in sys.modules
    assert set(sys.modules) - before <= {"encodings.ascii", "encodings.cp437"}  # of file names


def test_the_attacks_are_attacks(tmp_path: Path) -> None:
    """Half of them run by pickle itself make the mark: else the test above would prove nothing."""
    mark, made = tmp_path / "mark", 0
    for name, operations in attacks(mark).items():
        content = b"\x80\x02" + operations + b"."
        code = f"import pickle; pickle.loads({content!r})"
        if name.startswith(("reduce", "in a", "eval", "exec", "open", "obj", "inst", "python 2")):
            subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=tmp_path)
            assert mark.exists(), name
            mark.unlink()
            made += 1
    assert made >= 12


# --- bombs: small files that claim much -----------------------------------------------------------
def bombs(tmp_path: Path) -> dict[str, Path]:
    """Files whose tensors or objects would fill the memory or never end."""
    huge = struct.pack("<Q", 2**62)
    nested = b"}q\x00" + b"".join(
        b"}("
        + text("a")
        + b"h"
        + bytes([n])
        + text("b")
        + b"h"
        + bytes([n])
        + b"uq"
        + bytes([n + 1])
        for n in range(200)
    )
    pairs = b")q\x00" + b"".join(
        b"h" + bytes([n]) + b"h" + bytes([n]) + b"\x86q" + bytes([n + 1]) for n in range(200)
    )
    inner = b"cgone\nNet\n)\x81}(" + text("_parameters") + b"}" + text("_modules") + b"}ubq\x00"
    modules = inner + b"".join(
        b"cgone\nNet\n)\x81}(" + text("_parameters") + b"}" + text("_modules") + b"}("
        + text("a") + b"h" + bytes([n]) + text("b") + b"h" + bytes([n]) + b"uubq" + bytes([n + 1])
        for n in range(60)
    )  # fmt: skip
    one = {"one": np.zeros(100_000, np.float32)}
    many = {f"n{n}": tensor("0", 100_000, (100_000,), (1,)) for n in range(4_000)}
    operations: dict[str, bytes] = {
        "memory": b"Nr" + struct.pack("<I", 2**32 - 1) + b"Np" + b"9" * 4000 + b"\n",
        "bytes": b"\x8e" + huge, "text": b"\x8d" + huge, "array": b"\x96" + huge,
        "frame": b"\x95" + huge + b"\x8e" + huge, "integer": b"\x8b" + struct.pack("<i", 2**31 - 1),
        "digits": b"I" + b"9" * 2_000_000 + b"\n", "depth": b"(" * 300_000,
        "lists": b"]" + b"]a" * 100_000, "tuples": b")" + b"\x85" * 100_000,
        "dicts": nested, "key": pairs + b"}h\xc8Ns", "modules": modules,
        "shape": mapping({"w": tensor("0", 100_000, (2**40,), (0,))}),
        "shapes": mapping({"w": tensor("0", 100_000, (2**31,) * 32, (0,) * 32)}),
        "stride": mapping({"w": tensor("0", 100_000, (2,), (2**61,))}),
        "names": mapping(many),
        "itself": b"}q\x00(" + text("a") + b"h\x00u",
        "copies": b"(" + b"N)\x86" * 100_000 + b"lq\x00"
        + b"ccollections\nOrderedDict\nh\x00\x85R0" * 2000 + b"N",
    }  # fmt: skip
    made = {
        f"{name} {kind}": write(
            tmp_path / f"{name}-{kind}.pth",
            content,
            one if b"FloatStorage" in content else {},
            kind == "legacy",
        )
        for name, content in operations.items()
        for kind in ("archive", "legacy")
    }
    content = b"\x80\x02" + mapping({"w": tensor("0", 2**26, (2**26,), (1,))}) + b"."
    for name, pickled, raw in (
        ("storage", content, 2**28),
        ("pickle", b"\x80\x02" + b"N" * 2**29, 4),
    ):
        made[name] = tmp_path / f"{name}.pth"
        with zipfile.ZipFile(made[name], "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr("a/data.pkl", pickled)
            archive.writestr("a/data/0", bytes(raw))
    return made


CHILD = """
import resource, sys, time
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
from shared.errors import StageError
from shared.weight_files import reader, safetensors_file, stored
for path in sys.argv[1:]:
    try:
        reader.read(Path(path), modules=True)
        print(path, "was read")
    except StageError as error:
        assert chr(10) not in str(error)
        assert "MemoryError" not in str(error), error
"""


def test_bombs_are_refused_with_little_memory_and_time(tmp_path: Path) -> None:
    files = bombs(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *map(str, files.values())],
        cwd=ROOT, capture_output=True, text=True, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- damage: any error of the readers is one line -------------------------------------------------
@pytest.mark.parametrize("kind", ["archive", "legacy", "safetensors"])
def test_damaged_files_are_read_or_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    if kind == "safetensors":
        arrays = {name: stored.Array("F32", array) for name, array in VALUES.items()}
        safetensors_file.write(tmp_path / "whole", arrays, {"format": "pt"})
    else:
        write(tmp_path / "whole", flat(VALUES), VALUES, kind == "legacy")
    whole, rng, refused = (tmp_path / "whole").read_bytes(), random.Random(0), 0
    for _ in range(1000):
        (tmp_path / "w").write_bytes(damage(whole, rng))
        try:
            reader.read(tmp_path / "w", modules=True)
        except StageError as error:
            refused += str(error).isprintable()
            continue
    assert refused > 500


def damage(whole: bytes, rng: random.Random) -> bytes:
    """Bits turned, bytes set, removed, put in or copied from elsewhere."""
    made = bytearray(whole)
    for _ in range(rng.choice([1, 1, 2, 5])):
        place, other, length = rng.randrange(len(made)), rng.randrange(len(made)), rng.randrange(30)
        copied = made[other : other + length]
        if (kind := rng.randrange(4)) == 0:
            made[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            made[place] = rng.randrange(256)
        elif kind == 2 and len(made) > 100:
            del made[place : place + length]
        else:
            made[place:place] = copied
    return bytes(made)

"""Files of weights without torch: their containers, and modules whose code is not here."""

import argparse
import collections
import contextlib
import datetime
import functools
import gzip
import io
import json
import pickle
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.errors import StageError
from shared.weight_files import keys, modules, pickles, reader, safetensors_file, stored, torch_file
from shared.weight_files.machine import Machine
from shared.weight_files.objects import Inert, Name
from shared.weight_files.stored import Array, Budget, Storage, Stored
from tests.torch_files import flat, mapping, number, storage, strides, tensor, text, write

VALUES = {
    "a.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "a.bias": np.array([0.5, -1, 2], np.float32),
}
both_kinds = pytest.mark.parametrize("legacy", [False, True], ids=["archive", "legacy"])


def refusal(path: Path, **flags: Any) -> str:
    """The one line with which a file is refused."""
    with pytest.raises(StageError) as told:
        reader.read(path, **flags)
    assert "\n" not in str(told.value)
    assert str(told.value).startswith(f"{path}: ")
    return str(told.value)


def same(loaded: reader.Weights, values: dict[str, np.ndarray] = VALUES) -> bool:
    return loaded.arrays.keys() == values.keys() and all(
        np.array_equal(loaded.arrays[name].values, array) for name, array in values.items()
    )


# --- containers -----------------------------------------------------------------------------------
@both_kinds
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".bin", ""])
def test_content_decides_and_not_the_suffix(tmp_path: Path, legacy: bool, suffix: str) -> None:
    assert same(reader.read(write(tmp_path / f"w{suffix}", flat(VALUES), VALUES, legacy)))
    arrays = {name: stored.Array("F32", array) for name, array in VALUES.items()}
    safetensors_file.write(tmp_path / f"s{suffix}", arrays, {})
    assert same(reader.read(tmp_path / f"s{suffix}"))


@pytest.mark.parametrize("length", [0x1180, 0x8B1F, 0x4680, 0x5880])
def test_safetensors_is_told_whatever_its_length_begins_with(tmp_path: Path, length: int) -> None:
    """Such as 0x80, the first byte of a pickle, or those of gzip."""
    entry = {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}
    header = json.dumps({"a.bias": entry}).encode().ljust(length)
    values = VALUES["a.bias"]
    path = tmp_path / "w.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + header + values.tobytes())
    assert same(reader.read(path), {"a.bias": values})


@both_kinds
def test_views_of_a_storage(tmp_path: Path, legacy: bool) -> None:
    """Transposed, a part, a scalar, an empty one, one value for all: all of one storage."""
    raw = {"raw": np.arange(12, dtype=np.float32)}
    shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...], int]] = {
        "transposed": ((4, 3), (1, 4), 0), "part": ((2, 2), (4, 1), 5), "scalar": ((), (), 11),
        "empty": ((0, 3), (3, 1), 0), "same": ((5,), (0,), 7),
    }  # fmt: skip
    operations = mapping(
        {
            name: tensor("0", 12, shape, steps, start)
            for name, (shape, steps, start) in shapes.items()
        }
    )
    loaded = reader.read(write(tmp_path / "w.pth", operations, raw, legacy)).arrays
    assert {name: array.values.tolist() for name, array in loaded.items()} == {
        "transposed": [[0, 4, 8], [1, 5, 9], [2, 6, 10], [3, 7, 11]],
        "part": [[5, 6], [9, 10]], "scalar": 11, "empty": [], "same": [7] * 5,
    }  # fmt: skip
    assert loaded["empty"].values.shape == (0, 3)


@both_kinds
def test_a_storage_of_nothing(tmp_path: Path, legacy: bool) -> None:
    """As of a layer without channels, or a buffer that was never filled."""
    operations = mapping({"none": tensor("0", 0, (0, 3), (3, 1), 0)})
    path = write(tmp_path / "w.pth", operations, {"raw": np.zeros(0, np.float32)}, legacy)
    assert reader.read(path).arrays["none"].values.shape == (0, 3)


def test_a_part_of_a_storage_as_torch_had_it_before_0_4(tmp_path: Path) -> None:
    view = b"(" + text("0") + number(4) + number(6) + b"t"
    operations = mapping(
        {"w": b"ctorch._utils\n_rebuild_tensor\n(" + storage("0", 12, view=view) + b"K\x01"
         + pickle.dumps((5,), 2)[2:-1] + pickle.dumps((1,), 2)[2:-1] + b"tR"}
    )  # fmt: skip
    raw = {"raw": np.arange(12, dtype=np.float32)}
    loaded = reader.read(write(tmp_path / "w.pth", operations, raw, True))
    assert loaded.arrays["w"].values.tolist() == [5, 6, 7, 8, 9]


@both_kinds
def test_is_refused_wherever_it_is_cut_and_whatever_byte_is_lost(
    tmp_path: Path, legacy: bool
) -> None:
    path = write(tmp_path / "w.pth", flat(VALUES), VALUES, legacy)
    whole = path.read_bytes()
    for length in range(0, len(whole), 3):
        path.write_bytes(whole[:length])
        assert "found neither (" in refusal(path)
    for place in range(0, len(whole), 7):  # no traceback, whatever is read
        path.write_bytes(whole[:place] + b"\xff" + whole[place + 1 :])
        with contextlib.suppress(StageError):
            reader.read(path)


def test_a_changed_value_of_an_archive_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "w.pth", flat(VALUES), VALUES, False)
    raw = VALUES["a.weight"].tobytes()
    path.write_bytes(path.read_bytes().replace(raw, raw[:-1] + b"\x42"))
    assert "Bad CRC-32" in refusal(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (bytes(600), "a file that begins with zeros alone"),
        (gzip.compress(b"x"), "a file compressed with gzip; gunzip it first"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer; git"),
        (b"\n<!DOCTYPE html><html>", "a web page, such as a server sends instead of a file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(99), "an HDF5 file, such as Keras writes"),
        (bytes(257).replace(b"\0", b"w") + b"ustar\x0000", "a tar archive; unpack it first"),
        (b"\x08\x08\x12\x07pytorch", "an ONNX model"),
        (b"not weights", "found neither (text)"),
        (b"\x01\x02\x03\xfe\xff" * 20, "bytes of no known kind"),
        (pickle.dumps({"a": 1}), "a pickle, and not one of torch.save"),
        (b"PK\x03\x04" + bytes(100), "a zip archive that is cut short or damaged"),
    ],
)  # fmt: skip
def test_names_what_a_file_is(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    assert message in refusal(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("member", "message"),
    [("w.pth", "not one of torch.save; unpack it first"), ("a/data.pkl", "TorchScript archive")],
)
def test_names_what_an_archive_is(tmp_path: Path, member: str, message: str) -> None:
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr(member, b"")
        archive.writestr("a/constants.pkl", b"")
    assert message in refusal(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, "at a place that is not"),
        ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, "at a place that is not"),
        ({"a": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}, "F8_E4M3, which no"),
        (
            {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}},
            "5 bytes expected, 9 there",
        ),
        ({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, "an impossible shape"),
        ({"a": {"dtype": "F32", "shape": [2**62] * 4, "data_offsets": [0, 4]}}, "at a place that"),
        ({"a": 3}, "found neither ("),
    ],
)
def test_refuses_safetensors(tmp_path: Path, header: dict[str, Any], message: str) -> None:
    raw = json.dumps(header).encode()
    content = struct.pack("<Q", len(raw)) + raw + bytes(8)
    (tmp_path / "w.safetensors").write_bytes(content)
    if "bytes expected" in message:
        message = f"{len(content) - 4} bytes expected, {len(content)} there"
    assert message in refusal(tmp_path / "w.safetensors")


@both_kinds
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_nan_is_refused_by_name(tmp_path: Path, legacy: bool, wrong: float) -> None:
    spoilt = VALUES | {"a.bias": np.array([0, wrong, 0], np.float32)}
    path = write(tmp_path / "w.pth", flat(spoilt), spoilt, legacy)
    assert refusal(path) == f"{path}: NaN or infinite values in a.bias"


@pytest.mark.parametrize(("bits", "finite"), [(0x7F80, False), (0x7FC0, False), (0x7F7F, True)])
def test_nan_of_a_bfloat16(bits: int, finite: bool) -> None:
    for sign in (0, -(2**15)):
        array = stored.Array("BF16", np.array([0, bits + sign], np.int16))
        assert array.is_finite() == finite


# --- modules whose code is not here ---------------------------------------------------------------
BACKEND = b"ctorch.nn.backends.thnn\n_get_thnn_function_backend\n)R"


def module(kind: str, children: dict[str, bytes], tensors: dict[str, bytes]) -> bytes:
    """The operations for a pickled module, as torch before 0.4 wrote it with its source."""
    source = b"(" + text("module") + b"c" + kind.replace(".", "\n").encode() + b"\n"
    source += text("net.py") + text("import os\nos.abort()\n") + b"tQ"
    state = {
        "training": b"\x88", "_backend": BACKEND,
        "_parameters": mapping(tensors), "_buffers": mapping({}), "_modules": mapping(children),
        "_forward_hooks": mapping({}),
    }  # fmt: skip
    return source + b")\x81" + mapping(state) + b"b"


def parameter(made: bytes) -> bytes:
    """As torch before 0.4 wrote a parameter: its class is called, its state given to it."""
    return b"ctorch.nn.parameter\nParameter\n" + made + b"\x85R(\x88\x89" + mapping({}) + b"tb"


@pytest.fixture
def vdsr(tmp_path: Path) -> Path:
    """A file like the published one of twtygqyy/pytorch-vdsr, of fewer layers and features."""
    rng = np.random.default_rng(0)
    names = [
        "input.weight",
        *(f"residual_layer.{n}.conv.weight" for n in range(2)),
        "output.weight",
    ]
    shapes = [(4, 1, 3, 3), (4, 4, 3, 3), (4, 4, 3, 3), (1, 4, 3, 3)]
    values = {n: rng.normal(size=s).astype(np.float32) for n, s in zip(names, shapes, strict=True)}
    layers = {
        name: parameter(tensor(str(n), v.size, v.shape, strides(v)))
        for n, (name, v) in enumerate(values.items())
    }
    conv = {n: module("vdsr_gone.Conv2d", {}, {"weight": made}) for n, made in layers.items()}
    middle = {
        str(n): module("vdsr_gone.Conv_ReLU_Block", {"conv": conv[names[1 + n]]}, {})
        for n in range(2)
    }
    net = module(
        "vdsr_gone.Net",
        {
            "residual_layer": module("vdsr_gone.Sequential", middle, {}),
            "input": conv[names[0]], "output": conv[names[-1]], "relu": b"N",
        },
        {},
    )  # fmt: skip
    operations = mapping({"epoch": number(50), "model": net})
    path = write(tmp_path / "model_epoch_50.pth", operations, values, True)
    for name, array in values.items():
        np.save(tmp_path / f"{name}.npy", array)
    return path


def test_a_module_is_refused_with_the_command_that_converts_it(vdsr: Path) -> None:
    line = refusal(vdsr)
    assert "found a pickled module (vdsr_gone.Net)" in line
    assert line.endswith(f"weights --src {vdsr} --dst data/weights/model_epoch_50.safetensors")


def test_a_module_gives_its_state_dict_without_its_code(vdsr: Path) -> None:
    expected = {path.stem: np.load(path) for path in vdsr.parent.glob("*.npy")}
    loaded = reader.read(vdsr, modules=True)
    assert same(loaded, expected)
    assert loaded.chosen.note() == "taking 'model'"
    assert "vdsr_gone" not in sys.modules


@both_kinds
def test_what_honest_trainings_keep_beside_is_no_attack(tmp_path: Path, legacy: bool) -> None:
    kept = {
        "args": argparse.Namespace(lr=0.1, path=Path("/x")),
        "when": datetime.datetime(2020, 1, 1),
        "counts": collections.defaultdict(list, {"a": [1]}),
        "queue": collections.deque([1, 2]),
        "part": functools.partial(dict, a=1),
        "scalar": np.float64(3),
        "array": np.arange(3),
        "plain": [None, True, 1.5, 2**70, b"x", "é", {1, 2}, frozenset([3]), (1,), complex(1, 2)],
    }
    for protocol in (2, 3, 4, 5):
        operations = mapping(
            {"kept": pickle.dumps(kept, protocol)[2:-1], "state_dict": flat(VALUES)}
        )
        assert same(reader.read(write(tmp_path / "w.pth", operations, VALUES, legacy)))


@both_kinds
def test_weights_are_read_once_and_the_state_of_the_optimiser_never(
    tmp_path: Path, legacy: bool
) -> None:
    """By the bytes that the system counts for this process."""
    values = {"w": np.ones(1_000_000, np.float32), "moments": np.ones(3_000_000, np.float32)}
    both = {n: tensor(str(i), v.size, v.shape, (1,)) for i, (n, v) in enumerate(values.items())}
    operations = mapping(
        {"optimizer": mapping({"m": both["moments"]}), "model": mapping({"w": both["w"]})}
    )
    path = write(tmp_path / "w.pth", operations, values, legacy)
    before = count_read_bytes()
    loaded = reader.read(path)
    assert loaded.arrays.keys() == {"w"}
    assert 4_000_000 <= count_read_bytes() - before < 4_400_000


def count_read_bytes() -> int:
    """Bytes that this process has read so far."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])


def test_entries_are_counted_to_the_last_one() -> None:
    """A module, its two tensors and a module in it with one: five looks."""
    inner = Inert("torch.nn.Linear", state={"_parameters": {"w": 3}, "_modules": {}})
    outer = Inert(
        "net.Net",
        state={"_parameters": {"a": 1, "b": 2}, "_modules": {"in": inner, "none": None}},
    )  # fmt: skip
    visits = modules.Visits(left=5)
    assert modules.state_dict(outer, visits) == {"a": 1, "b": 2, "in.w": 3}
    assert visits.left == 0
    with pytest.raises(ValueError, match="it nests its entries without end"):
        modules.state_dict(outer, modules.Visits(left=4))


def test_operations_are_counted_to_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of them: the protocol, a number, the end."""
    content = pickle.dumps(5, 2)
    monkeypatch.setattr(pickles, "STEPS", 3)
    assert pickles.load(io.BytesIO(content)) == 5
    monkeypatch.setattr(pickles, "STEPS", 2)
    with pytest.raises(ValueError, match="it has far more operations than weights need"):
        pickles.load(io.BytesIO(content))


def test_what_a_call_is_given_is_work() -> None:
    """A list that is made once may be copied again and again."""
    machine = Machine(None, 250)
    for _ in range(2):
        machine.stack += [Name("torch.device"), (["x"] * 100, "y")]
        machine.do("REDUCE", None)
    machine.stack += [Name("torch.device"), (["x"] * 100,)]
    with pytest.raises(ValueError, match="it has far more operations than weights need"):
        machine.do("REDUCE", None)
    machine.stack += [Name("torch.device"), []]
    with pytest.raises(ValueError, match="a call of what is no function"):
        machine.do("REDUCE", None)


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"", "an empty file"), (b"\x08\x07\x12", "an ONNX model"),
        (b"\x08\x1f\x42", "an ONNX model"), (b"\x08\x07\x3a", "an ONNX model"),
        (b"\x08\x20\x12", ""), (b"\x08\x07", ""),
        (b"\x09\x07\x12", ""), (b"\x08\x07\x13", ""), (b"\x80\x07\x12", ""),
        (bytes(5), "a file that begins with zeros alone, as an interrupted copy leaves it"),
        (bytes(4) + b"\1", ""), (b"a\tb\r\n", "text"), (b"a\x1fb", ""), ("é".encode(), ""),
        (b"\n <!DOCTYPE html>", "a web page, such as a server sends instead of a file"),
        (bytes(257) + b"ustar\0", "a tar archive; unpack it first"),
        (bytes(256) + b"ustar\0", ""), (b"~", "text"),
    ],
)  # fmt: skip
def test_what_a_file_without_weights_is(head: bytes, what: str) -> None:
    assert reader.describe(head) == what


def test_how_safetensors_begin() -> None:
    """The length of the JSON, at most 100 MB, and its brace."""
    for length, rest, begins in (
        (100_000_000, b"{", True), (100_000_001, b"{", False), (2, b"[", False), (2, b"", False),
        (2, b"{}", True),
    ):  # fmt: skip
        head = length.to_bytes(8, "little") + rest
        assert safetensors_file.begins(head) == begins


@both_kinds
@pytest.mark.parametrize(("ours", "theirs"), [(2, 3), (3, 2)])
def test_a_storage_has_one_size(tmp_path: Path, ours: int, theirs: int, legacy: bool) -> None:
    """Whichever of two tensors of it comes first."""
    operations = mapping({"a": tensor("0", ours, (2,), (1,)), "b": tensor("0", theirs, (2,), (1,))})
    path = write(tmp_path / "a.pth", operations, {"0": np.zeros(ours, np.float32)}, legacy)
    with pytest.raises(StageError, match="storage 0 is of two sizes"):
        reader.read(path)


def test_a_value_that_is_no_mapping_is_named() -> None:
    for value, said in (
        ([1], "found list and no state dict"), (3.5, "found float and no state dict"),
        (Inert("a.Name"), None), (Stored(Storage("F32", 1), 0, (1,), (1,)), "found Tensor and no"),
    ):  # fmt: skip
        visits = modules.Visits()
        if said is None:
            assert keys.open_mapping(value, True, visits) == {}
            continue
        with pytest.raises(keys.UnclearError, match=said):
            keys.open_mapping(value, True, visits)


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        (b"}(K\x01K\x02K\x03u.", "sets items of what is no mapping"),  # three of keys and values
        (b"}(K\x01K\x02K\x03K\x04K\x05u.", "sets items of what is no mapping"),
        (b"](K\x01K\x02u.", "sets items of what is no mapping"),
        (b"}(K\x01e.", "appends to what is no list"),
        (b"K\x01u.", "a pickle without a mark"),
        (b"h\x05.", "recalls what it has not kept"),
        (b"0.", "takes what it has not put"),
        (b"(a.", "takes what it has not put"),
        (b"K\x01X\x01\x00\x00\x00a\x93.", "a name that is no text"),
        (b"X\x01\x00\x00\x00aK\x01\x93.", "a name that is no text"),
        (b"K\x01}b.", "gives attributes to a plain value"),
        (b"K\x01Q.", "a persistent id outside the weights"),
        (b"Px\n.", "a persistent id that is not torch's"),
    ],
)
def test_pickles_that_make_no_sense(operations: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pickles.load(io.BytesIO(b"\x80\x02" + operations))


@pytest.mark.parametrize(
    "value",
    [
        {1: 2, 3: [4, 5], "a": (6, 7, 8), 9: {}}, [[], (), {}, None, True, 2.5, "é"],
        ((1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)), [1] * 3, {"a": {"b": {"c": 1}}},
    ],
)  # fmt: skip
@pytest.mark.parametrize("protocol", range(5))
def test_plain_values_of_every_protocol(value: object, protocol: int) -> None:
    assert pickles.load(io.BytesIO(pickle.dumps(value, protocol))) == value


def test_names_with_spaces_are_names() -> None:
    said = pickles.load(io.BytesIO(b"\x80\x02cnet\nA B C\n."))
    assert said == Name("net.A B C")


def test_what_is_kept_twice_is_one_value() -> None:
    """A value duplicated, recalled and dropped: DUP, BINPUT and BINGET, POP, POP_MARK."""
    for operations, value in (
        (b"K\x012\x86.", (1, 1)), (b"K\x01q\x07K\x02h\x07\x87.", (1, 2, 1)),
        (b"K\x01K\x020.", 1), (b"K\x01(K\x02K\x031.", 1), (b"(K\x01K\x02l.", [1, 2]),
        (b"(K\x01K\x02d.", {1: 2}),
    ):  # fmt: skip
        assert pickles.load(io.BytesIO(b"\x80\x02" + operations)) == value


def test_a_budget_is_spent_to_the_last_byte() -> None:
    """Sixteen times the file, and 64 MiB."""
    budget = Budget.of_file(10)
    assert budget.left == 160 + 2**26
    budget.spend(100)
    budget.spend(60 + 2**26)
    assert budget.left == 0
    budget.spend(0)
    with pytest.raises(ValueError, match="its tensors claim many times the size of the file"):
        budget.spend(1)


@pytest.mark.parametrize("length", range(9))
def test_headers_of_safetensors_end_at_eight_bytes(tmp_path: Path, length: int) -> None:
    """With as few spaces as that takes; the values follow at once."""
    arrays = {"a": Array("F32", np.ones((2, 3), np.float32))}
    safetensors_file.write(tmp_path / "a", arrays, {"x": "y" * length})
    content = (tmp_path / "a").read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + size]
    assert size % 8 == 0
    assert len(header) - len(header.rstrip()) < 8
    assert content[8 + size :] == np.ones(6, np.float32).tobytes()
    assert json.loads(header)["a"]["data_offsets"] == [0, 24]


def test_tensors_are_looked_for_eight_mappings_deep() -> None:
    inner: dict[str, Any] = {"w": Stored(Storage("F32", 1), 0, (1,), (1,))}
    for _ in range(7):
        inner = {"in": inner}
    assert keys.has_tensors(inner, modules.Visits())
    assert not keys.has_tensors({"in": inner}, modules.Visits())
    endless: dict[str, Any] = {}
    endless["self"] = endless
    assert not keys.has_tensors(endless, modules.Visits())


@pytest.mark.parametrize(
    ("view", "values"),
    [
        (("v", 1, 2), [2, 3]), (("v", 0, 4), [1, 2, 3, 4]), (("v", 4, 0), []), (("v", 3, 2), None),
        (("v", 4, 1), None), (("v", -1, 2), None), (("v", 2, -1), None), (("v", 0.0, 1), None),
        (["v", 0, 1], None), (("v", True, 1), None),
    ],
)  # fmt: skip
def test_parts_of_a_storage_in_old_files(view: Any, values: list[float] | None) -> None:
    """Its part from a value on, so many values, none of them outside."""
    raw = np.array([1, 2, 3, 4], np.float32)
    root = Storage("F32", 4, lambda: bytearray(raw.tobytes()))
    if values is None:
        with pytest.raises(ValueError, match="a view that "):
            torch_file._view(root, view)
        return
    part = torch_file._view(root, view)
    assert (part.kind, part.count) == ("F32", len(values))
    assert part.values().tolist() == values


# --- one tensor, read in parts --------------------------------------------------------------------
def one_tensor(path: Path, array: np.ndarray, legacy: bool, steps: tuple[int, ...] = ()) -> Path:
    """A file that holds a tensor by itself, as torch.save(tensor) writes it."""
    made = tensor("0", array.size, array.shape, steps or strides(array))
    return write(path, made, {"0": array}, legacy)


@both_kinds
def test_rows_of_a_tensor_are_read_alone(
    tmp_path: Path, legacy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = np.arange(60, dtype=np.float32).reshape(5, 4, 3)
    path = one_tensor(tmp_path / "t.pt", array, legacy)
    monkeypatch.setattr(Storage, "values", None)  # nothing is read as a whole
    with path.open("rb") as file:
        opened = reader.open_tensor(file, path, check=True)
        assert opened.shape == (5, 4, 3)
        for rows in (slice(0, 1), slice(2, 5)):
            np.testing.assert_array_equal(opened.read_rows(file, rows), array[rows])


def test_rows_of_a_turned_or_packed_tensor_are_those_of_the_whole(tmp_path: Path) -> None:
    array = np.arange(12, dtype=np.float32).reshape(4, 3)
    path = one_tensor(tmp_path / "t.pt", array, False, steps=(1, 4))
    packed = tmp_path / "packed.pt"
    with (
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive,
        zipfile.ZipFile(path) as plain,
    ):
        for name in plain.namelist():
            archive.writestr(name, plain.read(name))
    turned = array.ravel().reshape(3, 4).T[1:3]
    for each in (path, packed):
        with each.open("rb") as file:
            opened = reader.open_tensor(file, each, check=True)
            np.testing.assert_array_equal(opened.read_rows(file, slice(1, 3)), turned)


def test_one_tensor_is_refused_where_it_is_damaged_or_none(tmp_path: Path) -> None:
    array = np.arange(4000, dtype=np.float32).reshape(4, 1000)
    path = one_tensor(tmp_path / "t.pt", array, False)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    changed = tmp_path / "changed.pt"
    changed.write_bytes(content)
    cut = tmp_path / "cut.pt"
    cut.write_bytes(content[:9000])
    mapped = write(tmp_path / "map.pt", flat(VALUES), VALUES, False)
    for wrong, message in (
        (changed, "a wrong checksum of archive/data/0"), (cut, "cut short or damaged"),
        (mapped, "no tensor by itself"),
    ):  # fmt: skip
        with wrong.open("rb") as file, pytest.raises(StageError, match=message) as told:
            reader.open_tensor(file, wrong, check=True)
        assert str(told.value).startswith(f"{wrong}: ")
    with changed.open("rb") as file:  # found when it is looked for
        assert reader.open_tensor(file, changed, check=False).shape == (4, 1000)

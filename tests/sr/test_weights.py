"""Weights: tensors only, out of any wrapper; a misfit says what is missing or extra."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from shared.backend import weights
from shared.errors import StageError


@pytest.mark.parametrize("wrapper", [*weights.WRAPPERS, None])
def test_reads_a_state_dict_out_of_its_wrapper(tmp_path: Path, wrapper: str | None) -> None:
    tensors = nn.Linear(2, 3).state_dict()
    torch.save({wrapper: tensors} if wrapper else tensors, tmp_path / "w.pth")
    loaded = weights.read(tmp_path / "w.pth")
    assert loaded.keys() == {"weight", "bias"}
    assert torch.equal(loaded["weight"], tensors["weight"])


def test_averaged_weights_come_first(tmp_path: Path) -> None:
    both = {"params": {"a": torch.zeros(1)}, "params_ema": {"a": torch.ones(1)}}
    torch.save(both, tmp_path / "w.pth")
    assert weights.read(tmp_path / "w.pth")["a"] == 1


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("w.pth", lambda p: p.write_bytes(b"not weights"), "found neither ("),
        ("w.safetensors", lambda p: p.write_bytes(b"not weights"), "found neither ("),
        ("w.pth", lambda p: torch.save(Path("/"), p), "with nothing but tensors"),
        ("w.pth", lambda p: torch.save({"model": nn.Linear(1, 1)}, p), "weights --src "),
        ("w.pth", lambda p: torch.save([torch.zeros(1)], p), "found list and no state dict"),
        (
            "w.pth",
            lambda p: torch.save({"a": torch.eye(2).to_sparse()}, p),
            "a: a tensor that is sparse",
        ),
        ("w.pth", lambda p: torch.save({"a": "b"}, p), "found the keys a and no tensors"),
        ("w.safetensors", lambda p: save_file({"a": torch.tensor([torch.inf])}, p), "in a"),
    ],
)
def test_refuses(tmp_path: Path, name: str, make: object, message: str) -> None:
    make(tmp_path / name)  # type: ignore[operator]
    with pytest.raises(StageError, match=r"w\.") as caught:
        weights.read(tmp_path / name)
    assert message in str(caught.value)


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "w.pth", tmp_path / "w.safetensors"):
        save = torch.save if path.suffix == ".pth" else save_file
        save({"a": torch.zeros(1000)}, path)
        path.write_bytes(path.read_bytes()[:2000])
        with pytest.raises(StageError, match="found neither"):
            weights.read(path)


def test_an_old_pth_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    """The format before torch 1.6, in which most published files are."""
    path = tmp_path / "w.pth"
    torch.save({"a": torch.zeros(50)}, path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    assert weights.read(path).keys() == {"a"}
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(StageError, match="found neither"):
            weights.read(path)


def test_misfit_names_what_does_not_fit() -> None:
    wanted = {"a": torch.zeros(2), "b": torch.zeros(2), "c": torch.zeros(2)}
    given = {"a": torch.zeros(2), "b": torch.zeros(3), "d": torch.zeros(2)}
    assert weights.misfit(wanted, wanted) == ""
    expected = "missing: c; extra: d; other shape: b (3,) instead of (2,); 1 of 3 keys fit"
    assert weights.misfit(wanted, given) == expected


def test_fit_takes_all_tensors_or_none() -> None:
    network, good = nn.Linear(2, 3), nn.Linear(2, 3).state_dict()
    weights.fit(Path("w.pth"), network, good, "Linear")
    assert torch.equal(network.weight, good["weight"])
    with pytest.raises(StageError, match=r"w\.pth: not Linear weights: missing: bias"):
        weights.fit(Path("w.pth"), network, {"weight": good["weight"]}, "Linear")


def test_a_beginning_that_all_names_of_a_network_have_is_kept(tmp_path: Path) -> None:
    network = nn.Sequential()
    network.add_module("model", nn.Sequential())
    network.model.add_module("conv", nn.Linear(2, 3))
    torch.save({"module." + n: t for n, t in network.state_dict().items()}, tmp_path / "w.pth")
    tensors = weights.read(tmp_path / "w.pth")
    assert tensors.keys() == {"conv.weight", "conv.bias"}
    assert tensors.note == "dropping 'module.model.'"
    restored = weights.restore(network.state_dict(), tensors)
    assert restored.keys() == network.state_dict().keys()
    assert restored.note == "dropping 'module.'"
    weights.fit(tmp_path / "w.pth", network, tensors, "Linear")


def test_misfit_tells_the_best_fit() -> None:
    wanted = {f"layer.{n}": torch.zeros(2) for n in range(412)}
    loaded = {f"my.net.{name}": tensor for name, tensor in wanted.items() if name != "layer.7"}
    loaded |= {"my.net.layer.9": torch.zeros(3), "loss.a": torch.zeros(1)}
    assert weights.misfit(wanted, loaded) == (
        "missing: layer.7; extra: loss.a; other shape: layer.9 (3,) instead of (2,); "
        "410 of 412 keys fit after dropping 'my.net.'; "
        "weights --src FILE --prefix my.net. takes those alone"
    )


def test_double_that_float32_cannot_hold_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.tensor([1e300], dtype=torch.float64)}, tmp_path / "w.pth")
    with pytest.raises(StageError, match="a: expected values that float32 holds"):
        weights.read(tmp_path / "w.pth")


def test_which_wrapper_was_taken_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network, path = nn.Linear(2, 3), tmp_path / "w.pth"
    state = network.state_dict()
    torch.save({"model": {"module." + n: t for n, t in state.items()}, "ema": state}, path)
    for _ in range(2):
        weights.fit(path, network, weights.read(path), "Linear")
    assert capsys.readouterr().err == f"{path}: weights read by taking 'ema' rather than model\n"


@pytest.mark.parametrize("name", ["control\x1b[2J", "two\nlines"])
def test_names_never_break_the_terminal(tmp_path: Path, name: str) -> None:
    torch.save({name: torch.zeros(1), "a": torch.zeros(1)}, tmp_path / "w.pth")
    network = nn.Linear(1, 1)
    with pytest.raises(StageError) as told:
        weights.fit(tmp_path / "w.pth", network, weights.read(tmp_path / "w.pth"), "Linear")
    assert str(told.value).isprintable()
    torch.save({name: torch.tensor([torch.nan])}, tmp_path / "w.pth")
    with pytest.raises(StageError) as told:
        weights.read(tmp_path / "w.pth")
    assert str(told.value).isprintable()


def test_sizes_of_a_network_by_either_of_its_ends() -> None:
    """A weight, else a bias; the first convolution, else the last one, else a guess."""
    first = {"in.weight": torch.zeros(8, 3, 3, 3)}
    last = {"out.weight": torch.zeros(5, 9, 3, 3), "out.bias": torch.zeros(5)}
    assert weights.ends({**first, **last}, "in", "out", 64) == (8, 3)
    assert weights.ends(first, "in", "out", 64) == (8, 3)
    assert weights.ends(last, "in", "out", 64) == (9, 5)
    assert weights.ends({}, "in", "out", 64) == (64, 1)
    assert weights.ends({"out.bias": torch.zeros(5)}, "in", "out", 64) == (64, 5)
    assert weights.size({"in.weight": torch.zeros(0, 2)}, "in", 0, 7) == 7
    assert weights.size({"in.weight": torch.zeros(4, 2)}, "in", 2, 7) == 7

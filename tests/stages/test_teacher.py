"""teacher: what the product holds, shards, going on after a kill, refusals; checkpoints."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import torchvision

from shared import cli, lcz, models, onnx_graphs, patches
from shared.backend import weights
from shared.errors import StageError
from shared.models import scores
from shared.runs import record
from shared.training import (
    Descent,
    Ensemble,
    Machine,
    Network,
    Plan,
    Validation,
    ensemble,
    networks,
)
from stages.teacher import main as stage
from stages.teacher import onnx_members, thesis_checkpoint
from tests import foreign as others
from tests import keras_files, weight_forms
from tests import training_wiring as wiring
from tests.conftest import pixels, write_raw

QUICK = {
    "architecture": "test_resnet", "size": "32", "epochs": "1", "batch": "16", "device": "cpu",
    "members": "2",
}  # fmt: skip


def line(train: Path, test: Path, dst: Path, *flags: str) -> list[str]:
    """Quick settings, each unless a flag says otherwise."""
    given = {flag[2:].partition("=")[0] for flag in flags}
    quick = [f"--{name}={value}" for name, value in QUICK.items() if name not in given]
    return [f"--train={train}", f"--test={test}", f"--dst={dst}", *quick, *flags]


def command(train: Path, test: Path, dst: Path, *flags: str) -> Path:
    """Run the stage as its container does."""
    cli.main(stage.run, line(train, test, dst, *flags))
    return dst


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in record.files_of(folder)}


@pytest.mark.parametrize("name", ["simple-net", "student-separable"])
def test_students_of_our_own_can_be_teachers(
    prepared: Path, prepared_test: Path, tmp_path: Path, name: str
) -> None:
    flags = (f"--architecture={name}", "--size=22")
    dst = command(prepared, prepared_test, tmp_path / "teacher", *flags)
    cards = models.load(dst)
    assert [(card.architecture, card.size) for card in cards] == [(name, 22)] * 2
    said = json.loads((dst / "model.json").read_text())["onnx_difference"]
    assert max(said.values()) < 1e-4


@pytest.mark.parametrize("mode", ["rand", "randrgb", "sar"])
def test_product_is_what_its_onnx_files_say(
    prepared: Path, prepared_test: Path, tmp_path: Path, mode: str
) -> None:
    dst = command(prepared, prepared_test, tmp_path / "teacher", f"--mode={mode}")
    assert {path.name for path in record.files_of(dst)} == {
        "confusion.csv", "confusion.png", "curves.csv", "curves.png", "member-01.onnx",
        "member-02.onnx", "metrics.json", "model.json", "models.csv", "test_labels.npy",
        "test_logits.npy", "test_scores.npy", "train_labels.npy", "train_logits.npy",
    }  # fmt: skip
    each = []
    with patches.read(prepared_test) as source:
        for card in models.load(dst):
            assert len(card.bands) == 3
            assert (card.bands[2] in lcz.SEN1.bands) == (mode == "sar")
            images = models.preprocess(models.read_scaled(source, card.bands, slice(0, 17)), card)
            session = networks.onnxruntime.InferenceSession(dst / card.file)
            each.append(session.run(["logits"], {"image": images})[0])
    np.testing.assert_allclose(np.mean(each, 0), np.load(dst / "test_logits.npy"), atol=1e-4)
    expected = np.mean([scores.softmax(said) for said in each], 0)
    np.testing.assert_allclose(np.load(dst / "test_scores.npy"), expected, atol=1e-5)
    assert np.load(dst / "train_logits.npy").shape == (34, 17)
    np.testing.assert_array_equal(np.load(dst / "train_labels.npy"), np.arange(34) % 17)


def test_every_flag_reaches_the_training(
    prepared: Path, prepared_test: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, file = wiring.stop_at_training(monkeypatch), tmp_path / "start.safetensors"
    start = wiring.write_start(file)
    flags = (*wiring.FLAGS, f"--weights={file}")
    with pytest.raises(SystemExit, match="130"):
        command(prepared, prepared_test, tmp_path / "teacher", *flags)
    groups, recipe, labels = given
    assert recipe == wiring.recipe()
    for member in wiring.check_members(groups, labels):
        torch.testing.assert_close(
            member.network().state_dict()["conv1.0.weight"], start["conv1.0.weight"]
        )
        logits = torch.randn(2, 17, dtype=torch.float64)
        each = -np.log(scores.softmax(logits.numpy()))
        expected = each[[0, 1], [3, 2]].mean()
        said = member.loss(logits, {"label": torch.tensor([3, 2])}).item()
        assert said == pytest.approx(expected, rel=1e-9)


def test_rows_that_the_file_marks_are_never_trained_on(
    prepared: Path, prepared_test: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wiring.mark(prepared, 5, 33)
    given = wiring.stop_at_training(monkeypatch)
    for share in (0, 0.1):
        with pytest.raises(SystemExit, match="130"):
            command(prepared, prepared_test, tmp_path / "teacher", f"--validation={share}")
        groups, recipe, _ = given[-3:]
        held_out = [member.held_out.tolist() for group in groups for member in group]
        assert held_out == [[5, 33]] * 2
        assert recipe.keep_best == (share > 0)  # 0 measures them, and keeps the last epoch


GAINED = {"schedule", "optimiser", "monitor", "min_improvement"}


@pytest.mark.parametrize("flags", [(), ("--cosine",), ("--validation=0.1", "--patience=3")])
def test_products_of_before_are_up_to_date(
    prepared: Path, prepared_test: Path, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    given = line(prepared, prepared_test, tmp_path / "teacher", *flags)
    assert wiring.plan_is_that_of_before(stage.run, given, GAINED)
    given.append("--optimiser=adam")
    assert not wiring.plan_is_that_of_before(stage.run, given, GAINED)


def test_a_cosine_by_either_name_makes_the_same(
    prepared: Path, prepared_test: Path, tmp_path: Path
) -> None:
    flags = ("--members=1", "--epochs=2", "--batch=9", "--lr=0.01")
    made = [
        content(command(prepared, prepared_test, tmp_path / name, *flags, flag))
        for name, flag in (("a", "--cosine"), ("b", "--schedule=cosine"), ("c", "--nocosine"))
    ]
    assert made[0] == made[1]
    assert made[0]["member-01.onnx"] != made[2]["member-01.onnx"]


def test_it_learns(prepared: Path, prepared_test: Path, tmp_path: Path) -> None:
    """Brightness tells the classes apart: more than chance after a few epochs.

    The rate falls to zero, so that the statistics of the norms, which evaluation uses, settle.
    """
    flags = ("--members=1", "--epochs=25", "--lr=0.05", "--cosine", "--augment=false")
    dst = command(prepared, prepared_test, tmp_path / "teacher", *flags)
    curves = (dst / "curves.csv").read_text().splitlines()
    first, last = (float(curves[i].split(",")[2]) for i in (1, -1))
    assert last < 0.75 * first
    accuracy = json.loads((dst / "metrics.json").read_text())["overall_accuracy"]
    assert accuracy > 2 / 17


def test_one_file_may_be_both_splits(prepared: Path, tmp_path: Path) -> None:
    dst = command(prepared, prepared, tmp_path / "teacher", "--members=1")
    np.testing.assert_array_equal(*(np.load(dst / f"{s}_logits.npy") for s in ("train", "test")))


def test_shard_makes_the_same_member(prepared: Path, prepared_test: Path, tmp_path: Path) -> None:
    whole = command(prepared, prepared_test, tmp_path / "whole")
    second = command(prepared, prepared_test, tmp_path / "second", "--shard=2/2")
    name = "member-02.onnx"
    assert (second / name).read_bytes() == (whole / name).read_bytes()
    assert [card.file for card in models.load(second)] == [name]
    assert models.load(second)[0] == models.load(whole)[1]


@pytest.mark.parametrize("bands", [100, 4])
def test_members_of_one_pass_equal_those_trained_apart(
    prepared: Path, prepared_test: Path, tmp_path: Path, bands: int
) -> None:
    """Also where the bands of one member may lie in memory and those of two may not."""
    with patches.read(prepared, "label") as source:
        resident = bands * source.total * 32 * 32 * 2 / 1e9
    flags: tuple[str, ...] = ("--members=3", "--mode=sar", "--batch=4", f"--resident={resident}")
    whole = command(prepared, prepared_test, tmp_path / "whole", *flags)
    flags += ("--together=2",)
    assert content(command(prepared, prepared_test, tmp_path / "two", *flags)) == content(whole)
    third = command(prepared, prepared_test, tmp_path / "third", *flags, "--shard=3/3")
    assert (third / "member-03.onnx").read_bytes() == (whole / "member-03.onnx").read_bytes()


def test_refuses_splits_that_are_stored_otherwise(
    prepared: Path, prepared_test: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both go through one view, to which integers of 1e-4 are not reflectance."""
    with h5py.File(prepared_test, "r+") as file:
        values, attributes = file["sen2"][:] / 1e4, dict(file["sen2"].attrs)
        del file["sen2"]
        file["sen2"] = values.astype(np.float32)
        file["sen2"].attrs.update(attributes | {"per_unit": 1.0})
    with pytest.raises(SystemExit, match="2"):
        command(prepared, prepared_test, tmp_path / "teacher")
    message = "(10000 a unit, 0 … 2.8), found 1 a unit, 0 … 2.8; prepare both with the same --dtype"
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("teacher*"))


def test_rows_in_pieces_and_held_out(prepared: Path, prepared_test: Path, tmp_path: Path) -> None:
    """A split that may not lie in memory is read in pieces; epochs are chosen by rows held out."""
    flags = ("--epochs=3", "--validation=0.5", "--patience=2", "--resident=0.0002")
    dst = command(prepared, prepared_test, tmp_path / "teacher", *flags, "--batch=4")
    curves = (dst / "curves.csv").read_text().splitlines()
    quantities = "train loss,train accuracy,validation accuracy,validation loss"
    assert curves[0] == f"network,epoch,{quantities}"
    assert len(curves) > 2


def test_two_processes_make_one_product(
    prepared: Path, prepared_test: Path, tmp_path: Path
) -> None:
    """As with torchrun; the loss is that of one process but for rounding."""
    flags = ("--members=2", "--epochs=2", "--lr=0.01", "--batch=17")
    whole = command(prepared, prepared_test, tmp_path / "whole", *flags)
    given = line(prepared, prepared_test, tmp_path / "two", *flags)
    done = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2",
            "-m", "stages.teacher.main", *given,
        ],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "two") in done.stdout.splitlines()
    assert sorted(path.name for path in tmp_path.glob("two*")) == ["two", "two.run.json"]
    curves = [
        (dst / "curves.csv").read_text().splitlines()[1:] for dst in (whole, tmp_path / "two")
    ]
    for ours, theirs in zip(*curves, strict=True):
        assert float(theirs.split(",")[2]) == pytest.approx(float(ours.split(",")[2]), abs=2e-3)


def test_goes_on_after_a_kill(prepared: Path, prepared_test: Path, tmp_path: Path) -> None:
    flags = ("--members=1", "--epochs=4")
    whole = command(prepared, prepared_test, tmp_path / "whole", *flags)
    given = line(prepared, prepared_test, tmp_path / "cut", *flags)
    process = subprocess.Popen(
        [sys.executable, "-m", "stages.teacher.main", *given], stderr=subprocess.DEVNULL
    )
    checkpoint = tmp_path / "cut.partial" / "work" / "member-01.ckpt"
    deadline = time.monotonic() + 60
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert content(command(prepared, prepared_test, tmp_path / "cut", *flags)) == content(whole)
    assert not (tmp_path / "cut.partial").exists()


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--mode=rgb", "--mode: expected rand, randrgb or sar, found 'rgb'"),
        ("--architecture=resnet19", "expected a timm or torchvision name, found 'resnet19'; near"),
        ("--members=0", "--members: expected at least 1, found 0"),
        ("--shard=3/2", "--shard: expected 1 to n before the slash, found '3/2'"),
        ("--epochs=0", "--epochs: expected at least 1, found 0"),
        ("--size=4", "--size: expected 16 to 1024, found 4"),
        ("--device=tpu", "--device: expected auto, cpu or cuda, found 'tpu'"),
        ("--together=0", "--together: expected at least 1, found 0"),
        ("--resident=0", "--resident: expected above 0, found 0.0"),
        ("--validation=0.6", "--validation: expected 0 to 0.5, found 0.6"),
        ("--patience=2", "--patience: expected 0 without rows held out by --validation"),
        ("--schedule=plateau", "--schedule=plateau: needs rows held out by --validation; any"),
        ("--precision=16-mixed", "--precision: expected auto, float32 or bfloat16, found '16-m"),
        ("--lr=1e30", "member-01: training diverged in epoch 1; lower --lr"),
        ("--epoch=3", "--epoch: no such flag; did you mean --epochs?"),
    ],
)
def test_refuses(prepared, prepared_test, tmp_path, capfd, flag, message) -> None:  # type: ignore[no-untyped-def]
    refused(prepared, prepared_test, tmp_path, flag)
    heard = capfd.readouterr().err
    assert message in heard
    assert [line for line in heard.splitlines() if line.startswith("error: ")]


def refused(train: Path, test: Path, tmp_path: Path, *flags: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit, match="2"):
        command(train, test, tmp_path / "out" / "teacher", *flags)
    assert sorted(tmp_path.rglob("*")) == before  # nothing left behind


def test_refuses_files(prepared, prepared_test, lcz42, tmp_path, capfd) -> None:  # type: ignore[no-untyped-def]
    refused(lcz42, prepared_test, tmp_path)
    assert (
        "sen2: expected attributes mean and std, found none; run prepare on the file first"
        in capfd.readouterr().err
    )
    arrays = pixels(5)
    arrays["label"][:] = np.eye(17)[4]
    single = write_raw(tmp_path / "single.h5", arrays)
    with h5py.File(single, "a") as file:
        file["sen2"].attrs.update(mean=np.ones(10), std=np.ones(10))
    refused(single, prepared_test, tmp_path)
    assert "label: one class only" in capfd.readouterr().err
    with h5py.File(prepared_test, "a") as file:
        file.attrs["classes"] = [f"class {i}" for i in range(17)]
    refused(prepared, prepared_test, tmp_path)
    heard = capfd.readouterr().err
    assert f"{prepared_test}: expected 17 classes 01_CompactHighRise" in heard
    assert heard.count("\n") == 1


# --- networks trained elsewhere -------------------------------------------------------------------
ROWS = [[7, 0, 3], [9, 2, 1]]  # in the thesis code, bands are in the order they were drawn
OPTICAL = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
TAKEN = ("--architecture=resnet18", "--interpolation=nearest")


def lively(name: str, seed: int) -> torch.nn.Module:
    """A torchvision network whose batch norms do something."""
    torch.manual_seed(seed)
    network = torchvision.models.get_model(name, num_classes=17)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
            torch.nn.init.normal_(layer.bias, std=0.2)
            torch.nn.init.uniform_(layer.running_var, 0.5, 1.5)
            torch.nn.init.normal_(layer.running_mean, std=0.2)
    return network.eval()


def spelling(name: str) -> str:
    """torchvision's name in a ResNet of the thesis code: nn.Sequential of all but the head."""
    order = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool"]
    first, _, rest = name.partition(".")
    return name if first == "fc" else f"features.{order.index(first)}.{rest}"


def thesis(path: Path, seeds: int = 2, rows: list[list[int]] | None = None) -> Path:
    """A checkpoint as the thesis code writes it."""
    tensors = {"bands_matrix": torch.tensor(rows or ROWS)}
    for i in range(seeds):
        own = lively("resnet18", i).state_dict()
        tensors |= {f"models.{i}.{spelling(name)}": tensor for name, tensor in own.items()}
    torch.save(tensors, path)
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two members."""
    return thesis(tmp_path_factory.mktemp("thesis") / "Rand_resnet18.pth")


def by_hand(prepared_test: Path, bands: list[str], card: models.Card) -> torch.Tensor:
    """(N, 3, 32, 32) reflectance / 2.8, less the mean, over the deviation."""
    with h5py.File(prepared_test) as file:
        stored = file["sen2"][:][..., [OPTICAL.index(band) for band in bands]]
    scaled = stored.astype(np.float32) / 10_000 / 2.8
    return torch.from_numpy((scaled - card.mean) / card.std).float().permute(0, 3, 1, 2)


def test_checkpoint_says_what_plain_torchvision_says(
    prepared: Path, prepared_test: Path, tmp_path: Path, checkpoint: Path
) -> None:
    dst = command(prepared, prepared_test, tmp_path / "t", f"--checkpoint={checkpoint}", *TAKEN)
    assert {path.name for path in record.files_of(dst)} == {
        "confusion.csv", "confusion.png", "member-01.onnx", "member-02.onnx", "metrics.json",
        "model.json", "models.csv", "test_labels.npy", "test_logits.npy", "test_scores.npy",
        "train_labels.npy", "train_logits.npy",
    }  # fmt: skip
    said, exported = [], []
    for seed, card in enumerate(models.load(dst)):
        assert card.bands == tuple(OPTICAL[k] for k in ROWS[seed])
        assert (card.architecture, card.size, card.interpolation) == ("resnet18", 32, "nearest")
        with h5py.File(prepared) as file:
            mean = file["sen2"].attrs["mean"][ROWS[seed]] / 255
        np.testing.assert_allclose(card.mean, mean, atol=6e-4)
        images = by_hand(prepared_test, list(card.bands), card)
        with torch.inference_mode():
            said.append(lively("resnet18", seed)(images).numpy())
        exported.append(networks.run_onnx(dst / card.file, {"image": images}))
    np.testing.assert_allclose(np.load(dst / "test_logits.npy"), np.mean(said, 0), atol=1e-4)
    np.testing.assert_allclose(exported, said, atol=1e-4)
    expected = np.mean([scores.softmax(one) for one in said], 0)
    np.testing.assert_allclose(np.load(dst / "test_scores.npy"), expected, atol=1e-5)
    assert np.std(said, 1).min() > 1e-3  # the rows differ, so this says something
    assert np.load(dst / "train_logits.npy").shape == (34, 17)


def test_shard_of_a_checkpoint(
    prepared: Path, prepared_test: Path, tmp_path: Path, checkpoint: Path
) -> None:
    flags = (f"--checkpoint={checkpoint}", *TAKEN)
    second = command(prepared, prepared_test, tmp_path / "2", "--shard=2/2", *flags)
    assert [(c.file, c.bands) for c in models.load(second)] == [
        ("member-02.onnx", ("B12", "B4", "B3"))
    ]


def test_checkpoint_goes_on_after_a_stop(  # type: ignore[no-untyped-def]
    prepared, prepared_test, tmp_path, checkpoint, monkeypatch
) -> None:
    flags = (f"--checkpoint={checkpoint}", *TAKEN)
    whole = command(prepared, prepared_test, tmp_path / "whole", *flags)
    finish, seen = ensemble._finish, []

    def stop_once(dst, member, learner):  # type: ignore[no-untyped-def]
        seen.append(member.name)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return finish(dst, member, learner)

    monkeypatch.setattr(ensemble, "_finish", stop_once)
    with pytest.raises(SystemExit, match="130"):
        command(prepared, prepared_test, tmp_path / "cut", *flags)
    assert content(command(prepared, prepared_test, tmp_path / "cut", *flags)) == content(whole)
    assert seen == ["member-01", "member-02", "member-02"]


def test_densenet_of_the_thesis_has_no_last_relu() -> None:
    whole, ours = lively("densenet121", 0), thesis_checkpoint.Reference("densenet121", 17)
    own = {name.replace("classifier.", "fc."): t for name, t in whole.state_dict().items()}
    ours.load_state_dict(own)
    with torch.inference_mode():
        features = whole.features(torch.ones(2, 3, 32, 32))
        expected = whole.classifier(features.mean((2, 3)))
        torch.testing.assert_close(ours.eval()(torch.ones(2, 3, 32, 32)), expected)
        assert (features < 0).any()


def test_sar_channels_count_from_ten() -> None:
    tensors = {"models.0.fc.bias": torch.zeros(17), "bands_matrix": torch.tensor([[8, 0, 15]])}
    names = thesis_checkpoint.read_bands(Path("SAR.pth"), tensors, "sar")
    assert names == [("B11", "B2", lcz.SEN1.bands[5])]


def renamed(tensors: dict[str, torch.Tensor]) -> None:
    tensors["models.1.head.weight"] = tensors.pop("models.1.fc.weight")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (renamed, "missing: models.1.fc.weight; extra: models.1.head.weight"),
        (lambda t: t.update(step=torch.zeros(1)), "models.I.… and bands_matrix, found step"),
        (lambda t: t.pop("bands_matrix"), "expected bands_matrix (2, 3), found none"),
        (
            lambda t: t.update(bands_matrix=torch.zeros(2, 4, dtype=torch.long)),
            "bands_matrix: expected whole numbers (2, 3), found (2, 4) torch.int64",
        ),
        (
            lambda t: t.update(bands_matrix=torch.tensor([[0, 1, 2], [3, 4, 12]])),
            "--mode=rand expects two numbers 0 to 9 and one 0 to 9, found [3, 4, 12]",
        ),
        (
            lambda t: t.update({"models.0.fc.bias": torch.zeros(10)}),
            "other shape: models.0.fc.bias (10,) instead of (17,)",
        ),
        (
            lambda t: t.update(note=print),
            "nothing but tensors), found neither (it names 'builtins.",
        ),
    ],
)
def test_refuses_checkpoints(  # type: ignore[no-untyped-def]
    prepared, prepared_test, tmp_path, checkpoint, capfd, change, message
) -> None:
    tensors = torch.load(checkpoint, weights_only=True)
    change(tensors)
    torch.save(tensors, tmp_path / "wrong.pth")
    refused(prepared, prepared_test, tmp_path, f"--checkpoint={tmp_path}/wrong.pth", *TAKEN)
    heard = capfd.readouterr().err
    assert message in heard
    assert heard.count("error: ") == heard.count("\n") == 1


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--members=10", "Rand_resnet18.pth has 2 networks, found 10"),
        ("--architecture=vgg16", "expected a ResNet or DenseNet of torchvision for --checkpoint"),
        ("--architecture=densenet121", "not densenet121 (17 classes) weights: missing: models.0."),
        ("--mode=sar", "--mode=sar expects two numbers 0 to 9 and one 10 to 17, found [7, 0, 3]"),
        ("--mode=all", "--mode: expected rand, randrgb or sar, found 'all'"),
        ("--weights={}", "--weights: --checkpoint has weights of its own; give one of the two"),
    ],
)
def test_refuses_flags_beside_a_checkpoint(  # type: ignore[no-untyped-def]
    prepared, prepared_test, tmp_path, checkpoint, capfd, flag, message
) -> None:
    flags = [f"--checkpoint={checkpoint}", flag.format(checkpoint)]
    flags += [] if "architecture" in flag else ["--architecture=resnet18"]
    refused(prepared, prepared_test, tmp_path, *flags)
    assert message in capfd.readouterr().err


def foreign(folder: Path, softmax: bool, **card: object) -> tuple[Path, torch.nn.Module]:
    """A folder with a network of four bands, exported for one picture, names of its own."""
    folder.mkdir()
    torch.manual_seed(3)
    layers = [torch.nn.Conv2d(4, 8, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1)]
    network = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(8, 17))
    whole = torch.nn.Sequential(network, torch.nn.Softmax(1)) if softmax else network
    torch.onnx.export(
        whole, (torch.zeros(1, 4, 32, 32),), str(folder / "cnn.onnx"), dynamo=False,
        input_names=["x"], output_names=["image"], opset_version=13,
    )  # fmt: skip
    said = {
        "file": "cnn.onnx", "architecture": "cnn", "bands": ["B8", "B4", "B3", "B2"],
        "mean": [0.1] * 4, "std": [0.05] * 4, "size": 32, "interpolation": "bilinear",
        "classes": list(lcz.CLASSES), **card,
    }  # fmt: skip
    (folder / "model.json").write_text(json.dumps({"members": [said]}))
    return folder, network.eval()


ALONE = ("--architecture=cnn", "--members=1")


@pytest.mark.parametrize("softmax", [False, True])
def test_onnx_of_others(prepared: Path, prepared_test: Path, tmp_path: Path, softmax: bool) -> None:
    folder, network = foreign(tmp_path / "matlab", softmax)
    dst = command(prepared, prepared_test, tmp_path / "t", f"--checkpoint={folder}", *ALONE)
    (card,) = models.load(dst)
    assert (card.file, card.bands) == ("member-01.onnx", ("B8", "B4", "B3", "B2"))
    images = by_hand(prepared_test, list(card.bands), card)
    with torch.inference_mode():
        said = network(images)
    np.testing.assert_allclose(np.load(dst / "test_logits.npy"), said, atol=1e-4)
    logits = networks.run_onnx(dst / card.file, {"image": images})  # all 17 rows at once
    np.testing.assert_allclose(logits, said, atol=1e-4)
    np.testing.assert_allclose(np.load(dst / "test_scores.npy"), said.softmax(1), atol=1e-5)
    assert json.loads((dst / "model.json").read_text())["onnx_difference"]["member-01.onnx"] < 1e-4


@pytest.mark.parametrize(
    ("card", "flag", "message"),
    [
        ({}, "--size=64", "model.json says 32, found 64"),
        ({"bands": ["B8", "B4"], "mean": [0, 0], "std": [1, 1]}, "", "(N, 32, 32, 2), found (1, 4"),
        ({"bands": ["B8", "B4", "B3", "B1"]}, "", "expected band 'B1', found ["),
        ({"classes": ["a", "b"]}, "", "expected 2 classes a, b …, found 17 classes"),
        ({"file": "../matlab/cnn.onnx"}, "", "expected ONNX files beside it, found '../matlab/cnn"),
        ({"features": 5}, "", "cnn.onnx: expected a picture as the only input"),
        ({"std": [0.05, 0, 1, 1]}, "", "not a model description (std)"),
    ],
)
def test_refuses_onnx_of_others(  # type: ignore[no-untyped-def]
    prepared, prepared_test, tmp_path, capfd, card, flag, message
) -> None:
    folder, _ = foreign(tmp_path / "matlab", False, **card)
    capfd.readouterr()
    flags = [flag] if flag else []
    refused(prepared, prepared_test, tmp_path, f"--checkpoint={folder}", *ALONE, *flags)
    assert message in capfd.readouterr().err


def test_refuses_onnx_for_one_picture_only(  # type: ignore[no-untyped-def]
    prepared, prepared_test, tmp_path, capfd
) -> None:
    class Fixed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Linear(32 * 32, 17)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.head(images.reshape(4, 32 * 32)).mean(0, keepdim=True)

    folder, _ = foreign(tmp_path / "matlab", False)
    place = str(folder / "cnn.onnx")
    torch.onnx.export(Fixed(), (torch.zeros(1, 4, 32, 32),), place, dynamo=False)
    refused(prepared, prepared_test, tmp_path, f"--checkpoint={folder}", *ALONE)
    assert (
        "cnn.onnx: cannot take two pictures at once (Reshape '/Reshape': " in capfd.readouterr().err
    )
    (folder / "cnn.onnx").write_bytes(b"half")
    refused(prepared, prepared_test, tmp_path, f"--checkpoint={folder}", *ALONE)
    assert "cnn.onnx: not a usable ONNX file (" in capfd.readouterr().err


@pytest.mark.parametrize("form", weight_forms.FEW)
def test_a_checkpoint_is_read_in_every_form(  # type: ignore[no-untyped-def]
    checkpoint, tmp_path, form
) -> None:
    path, expected = weight_forms.write(form, weights.read(checkpoint), tmp_path)
    tensors = weights.read(path)
    assert thesis_checkpoint.read_bands(path, tensors, "rand") == [
        tuple(OPTICAL[number] for number in row) for row in ROWS
    ]
    made = thesis_checkpoint.build_member(path, tensors, "resnet18", 17, 1).state_dict()
    assert len(made) == 122
    assert all(torch.equal(t, expected[f"models.1.{name}"]) for name, t in made.items())


# --- networks as other people's exporters write them ----------------------------------------------
def starts_of(folder: Path, train: Path) -> list[onnx_members.Start]:
    network = Network(architecture="foreign", size=32)
    plan = Plan(Ensemble(members=1), network, Descent(), Validation(), Machine())
    return onnx_members.read(folder, train, plan)


@pytest.mark.parametrize("name", others.STYLES)
def test_styles_of_other_exporters(prepared: Path, tmp_path: Path, name: str) -> None:
    style = others.STYLES[name]
    (start,) = starts_of(others.folder(tmp_path / "given", style), prepared)
    images = by_hand(prepared, list(start.card.bands), start.card)
    network = start.network()
    style.check(network(images).numpy(), images.numpy())
    assert start.export(network, {"image": images[:8]}, tmp_path / "m.onnx") < 2e-3
    assert [path.name for path in tmp_path.glob("m.onnx*")] == ["m.onnx"]
    style.check(networks.run_onnx(tmp_path / "m.onnx", {"image": images}), images.numpy())
    assert onnx_graphs.load(tmp_path / "m.onnx") == network.network.model
    again = others.folder(tmp_path / "again", style)
    (tmp_path / "m.onnx").rename(again / "a.onnx")
    (second,) = starts_of(again, prepared)  # ours now: taken as it is
    assert second.network().network.model == network.network.model


@pytest.mark.parametrize("name", others.REFUSED)
def test_networks_that_no_stage_takes(prepared: Path, tmp_path: Path, name: str) -> None:
    build, message = others.REFUSED[name]
    with pytest.raises(StageError) as caught:
        starts_of(others.folder(tmp_path / "given", others.Style(build)), prepared)
    assert f"{tmp_path}/given/a.onnx: " in str(caught.value)
    assert message in str(caught.value)


def test_a_folder_says_its_flags_itself(  # type: ignore[no-untyped-def]
    prepared, prepared_test, tmp_path, capfd
) -> None:
    folder = others.folder(tmp_path / "given", others.STYLES["keras"])
    files = [f"--train={prepared}", f"--test={prepared_test}", f"--checkpoint={folder}"]
    cli.main(stage.run, [*files, f"--dst={tmp_path / 't'}", "--device=cpu"])
    plan = json.loads((tmp_path / "t.run.json").read_text())["plan"]["parameters"]
    said = {name: plan[name] for name in ("architecture", "members", "size", "interpolation")}
    assert said == {
        "architecture": "foreign", "members": 1, "size": 32, "interpolation": "bilinear"
    }  # fmt: skip
    lines = (tmp_path / "t" / "models.csv").read_text().splitlines()
    kernel, head = 8 * 3 * 9, 4 * 8 * 17
    counted = f"{kernel + 8 + head + 17},{32 * 32 * kernel + head}"
    assert lines[1].startswith(f"member-01.onnx,foreign,B8 B4 B11,0,32,{counted},")
    given = [f"--{name}={value}" for name, value in said.items()]
    cli.main(stage.run, [*files, f"--dst={tmp_path / 't'}", "--device=cpu", *given])
    assert "up to date" in capfd.readouterr().err
    for flag, value, stored in (
        ("architecture", "resnet18", "'foreign'"), ("members", 10, "1"), ("size", 224, "32"),
        ("interpolation", "nearest", "'bilinear'"),
    ):  # fmt: skip
        with pytest.raises(SystemExit, match="2"):
            cli.main(stage.run, [*files, f"--dst={tmp_path / 'u'}", f"--{flag}={value}"])
        told, shown = capfd.readouterr().err, repr(value)
        assert f"error: --{flag}: {folder}/model.json says {stored}, found {shown}\n" in told
    assert not list(tmp_path.glob("u*"))


def test_classes_in_another_order_are_put_right(prepared: Path, tmp_path: Path) -> None:
    style, turned = others.STYLES["gemm"], list(lcz.CLASSES[::-1])
    (start,) = starts_of(others.folder(tmp_path / "given", style, classes=turned), prepared)
    assert start.card.classes == lcz.CLASSES
    images = by_hand(prepared, list(start.card.bands), start.card)
    said = start.network()(images).numpy()
    np.testing.assert_allclose(said, style.logits(images.numpy())[:, ::-1], atol=1e-3)
    assert start.export(start.network(), {"image": images[:8]}, tmp_path / "m.onnx") < 1e-4


def test_members_of_two_sizes_are_refused(prepared: Path, tmp_path: Path) -> None:
    folder = others.folder(tmp_path / "given", others.STYLES["gemm"])
    content = json.loads((folder / "model.json").read_text())
    content["members"].append(content["members"][0] | {"size": 48})
    (folder / "model.json").write_text(json.dumps(content))
    with pytest.raises(StageError, match="expected one size for all networks, found 32, 48"):
        onnx_members.describe(folder, {"train": prepared})


# --- classifiers that Keras saved -----------------------------------------------------------------
def test_a_classifier_of_keras_is_scored(  # type: ignore[no-untyped-def]
    prepared, prepared_test, tmp_path, capfd
) -> None:
    tensors = keras_files.draw()
    path = keras_files.write(tmp_path / "net.h5", tensors, "alphabetic")
    files = [f"--train={prepared}", f"--test={prepared_test}", f"--checkpoint={path}"]
    cli.main(stage.run, [*files, f"--dst={tmp_path / 't'}", "--device=cpu"])
    with h5py.File(prepared_test) as file:
        reflectance = file["sen2"][:] / 10_000
    expected = keras_files.forward(tensors, reflectance)
    said = np.load(tmp_path / "t" / "test_logits.npy")
    np.testing.assert_allclose(said, expected, atol=1e-4 * np.abs(expected).max())
    (card,) = models.load(tmp_path / "t")
    assert (card.architecture, card.size, card.bands) == ("keras-resnet11-v2", 32, OPTICAL)
    plan = json.loads((tmp_path / "t.run.json").read_text())["plan"]["parameters"]
    assert (plan["members"], plan["architecture"]) == (1, "keras-resnet11-v2")
    capfd.readouterr()
    for flag, message in (
        ("--size=64", f"--size: {path} says 32, found 64"),
        ("--mode=rand", "net.h5: expected a network for 10 bands, found 7"),
    ):
        with pytest.raises(SystemExit, match="2"):
            cli.main(stage.run, [*files, f"--dst={tmp_path / 'u'}", flag])
        assert message in capfd.readouterr().err
        assert not list(tmp_path.glob("u*"))
        keras_files.write(path, keras_files.draw(channels=7))


# --- folds ----------------------------------------------------------------------------------------
def test_folds_leave_each_row_out_of_some_members(
    prepared: Path, prepared_test: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two rows a class the one, then the other; of the first class 1, 17, then 18; 0 never."""
    with h5py.File(prepared, "r+") as file:
        file["label"][1] = file["label"][18] = file["label"][0]
    wiring.mark(prepared, 0)
    given = wiring.stop_at_training(monkeypatch)
    flags = ("--folds=2", "--members=5", "--together=2")
    with pytest.raises(SystemExit, match="130"):
        command(prepared, prepared_test, tmp_path / "teacher", *flags)
    groups, recipe, _ = given
    assert not recipe.keep_best
    assert [[member.name for member in group] for group in groups] == [
        ["member-01", "member-02"], ["member-03", "member-04"], ["member-05"],
    ]  # fmt: skip
    left = [{tuple(member.held_out) for member in group} for group in groups]
    assert left[0] == {tuple(range(18))}
    assert left[1] == left[2] == {(0, *range(18, 34))}


def test_out_of_fold_scores_are_of_members_that_did_not_see_the_row(
    prepared: Path, prepared_test: Path, tmp_path: Path
) -> None:
    """Each row's are those of the only member that left it out, by its ONNX file."""
    dst = command(prepared, prepared_test, tmp_path / "teacher", "--folds=2")
    said = np.load(dst / "out_of_fold_scores.npy")
    with patches.read(prepared) as source:
        for card, rows in zip(models.load(dst), (slice(0, 17), slice(17, 34)), strict=True):
            images = models.preprocess(models.read_scaled(source, card.bands, rows), card)
            session = networks.onnxruntime.InferenceSession(dst / card.file)
            expected = scores.softmax(session.run(["logits"], {"image": images})[0])
            np.testing.assert_allclose(said[rows], expected, atol=1e-5)
    right = (said.argmax(1) == np.arange(34) % 17).mean()
    metrics = json.loads((dst / "metrics.json").read_text())
    assert metrics["out_of_fold_accuracy"] == pytest.approx(right)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--folds=1"], "--folds: expected 0, or 2 to --members=2, found 1"),
        (["--folds=3"], "--folds: expected 0, or 2 to --members=2, found 3"),
        (["--folds=2", "--validation=0.5"], "--folds: expected --validation=0, as the rows"),
        (["--folds=2", "--shard=1/2"], "--folds: expected --shard=1/1, as members"),
        (["--folds=21"], "--folds: expected 0 to 20, found 21"),
    ],
)
def test_refuses_folds(  # type: ignore[no-untyped-def]
    prepared, prepared_test, tmp_path, capsys, flags, message
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command(prepared, prepared_test, tmp_path / "teacher", *flags)
    assert message in capsys.readouterr().err
    assert not (tmp_path / "teacher").exists()


def test_folds_go_on_after_a_stop(
    prepared: Path, prepared_test: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first fold is finished, the second is not: what is made after that equals the whole."""
    whole = command(prepared, prepared_test, tmp_path / "whole", "--folds=2")
    fit, done = ensemble.engine.fit, list[str]()

    def second_stops(*given, **more):  # type: ignore[no-untyped-def]
        done.extend(learner.name for learner in given[0])
        if done == ["member-01", "member-02"]:
            raise KeyboardInterrupt
        return fit(*given, **more)

    monkeypatch.setattr(ensemble.engine, "fit", second_stops)
    with pytest.raises(SystemExit, match="130"):
        command(prepared, prepared_test, tmp_path / "cut", "--folds=2")
    assert content(command(prepared, prepared_test, tmp_path / "cut", "--folds=2")) == content(
        whole
    )
    assert done == ["member-01", "member-02", "member-02"]

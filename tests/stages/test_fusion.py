"""fusion: parameters, z-score inside, variants in turn, radar, the ablations, the refusals."""

import itertools
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor

from shared import cli, lcz, models, patches
from shared.models import scores
from shared.runs import record
from shared.training import ensemble, networks, students
from shared.training.data.split import Split, merge_inputs
from shared.training.data.stream import load_split
from stages.fusion import main as stage
from stages.fusion import topology_features
from stages.fusion.file_variants import Variants
from stages.fusion.fusion_network import FusionNetwork, TopologyNetwork
from tests import training_wiring as wiring
from tests.conftest import pixels, write_patches

QUICK = {
    "architecture": "test_resnet", "size": "32", "epochs": "1", "batch": "16", "device": "cpu",
    "members": "2",
}  # fmt: skip
Files = dict[str, list[Path]]


def tda(path: Path, images: Path, width: int = 5, seed: int = 0, grid: float = 1.0) -> Path:
    """A features file beside its images; its grid spans 0 to ``grid``."""
    facts = {"kind": "stats", "modality": "sen2", "bands": ["B2", "B8"]}
    constant = patches.Constant(np.full((2, 2, 2, 2), [0, grid]), facts)
    with patches.read(images, "label") as source:
        values = np.random.default_rng(seed).random((source.total, width)) * 100
        fields: dict[str, Any] = {"features": patches.Field((width,), "float16")}
        with patches.Writer(
            path, source.total, like=source, constants={"grid": constant}, **fields
        ) as sink:
            for rows in sink.todo(99):
                sink.put(rows, features=values[rows])
    return path


@pytest.fixture
def two(tmp_path: Path) -> Files:
    """Patches as observed and a variant twice as large, each with its features."""
    files: Files = {"train": [], "test": [], "tda_train": [], "tda_test": []}
    for split, rows in (("train", 34), ("test", 17)):
        for scale in (1, 2):
            arrays = pixels(rows, seed=scale)
            arrays["sen2"] = arrays["sen2"].repeat(scale, 1).repeat(scale, 2)
            path = write_patches(tmp_path / f"{split}-x{scale}.h5", arrays)
            files[split].append(path)
            name = tmp_path / f"tda-{split}-x{scale}.h5"
            files[f"tda_{split}"].append(tda(name, path, seed=scale))
    return files


def command(files: Files, dst: Path, *flags: str) -> Path:
    """Run the stage as its container does."""
    given = {flag[2:].partition("=")[0] for flag in flags}
    lists = [f"--{name}={','.join(map(str, paths))}" for name, paths in files.items() if paths]
    quick = [f"--{name}={value}" for name, value in QUICK.items() if name not in given]
    cli.main(stage.run, [*lists, f"--dst={dst}", *quick, *flags])
    return dst


def test_parameters_are_those_of_the_architecture() -> None:
    known = torch.stack([torch.zeros(18_000), torch.ones(18_000)])
    network = FusionNetwork("resnet18", 3, 17, known)
    sizes = (18_000, 1024, 512, 256, 128)
    branch = sum(a * b + b + 2 * b for a, b in itertools.pairwise(sizes))
    head = 2 * 640 + (640 * 128 + 128) + 2 * 128 + (128 * 17 + 17)
    image = 11_185_233 - (512 * 17 + 17)  # ResNet18 without its matrix
    assert sum(weight.numel() for weight in network.parameters()) == image + branch + head
    rates = [m.p for m in network.modules() if isinstance(m, torch.nn.Dropout)]
    assert rates == [0.25, 0.25, 0.5, 0.5, 0.5, 0.5, 0.5]


@pytest.mark.parametrize(("name", "features", "hidden"), [("resnet18", 512, 128),
                                                          ("densenet201", 1920, 256)])  # fmt: skip
def test_head_is_as_wide_as_published(name: str, features: int, hidden: int) -> None:
    with torch.device("meta"):
        both = FusionNetwork(name, 3, 17, torch.zeros(2, 9)).head
        pictures = FusionNetwork(name, 3, 17, None).head
    layers = [[m.weight.shape for m in head if isinstance(m, torch.nn.Linear)]
              for head in (both, pictures)]  # fmt: skip
    assert layers == [[(hidden, features + 128), (17, hidden)], [(hidden, features), (17, hidden)]]


def normalised(values: Tensor, part: torch.nn.Module) -> Tensor:
    """Batch norm in evaluation, written out."""
    centred = (values - part.running_mean) / (part.running_var + 1e-5).sqrt()
    return centred * part.weight + part.bias


def test_both_branches_and_the_head_by_an_independent_reference() -> None:
    torch.manual_seed(3)
    network = FusionNetwork("test_resnet", 3, 4, torch.tensor([[2.0, 5.0], [3.0, 0.5]])).eval()
    with torch.no_grad():
        for name, value in network.state_dict().items():  # no constant hides behind a zero or one
            if "backbone" not in name and name not in ("mean", "std") and value.is_floating_point():
                value.uniform_(0.5, 1.5) if "var" in name else value.normal_(0, 0.4)
        images, tda = torch.rand(5, 3, 32, 32), torch.rand(5, 2) * 9
        rows = (tda - torch.tensor([2.0, 5.0])) / torch.tensor([3.0, 0.5])
        for linear, norm in zip(network.topology[0::4], network.topology[1::4], strict=True):
            rows = normalised(rows @ linear.weight.T + linear.bias, norm).clamp_min(0)
        joined = torch.cat([network.backbone(images), rows], 1)
        _, _, linear, norm, _, _, last = network.head
        scale, shift = network.head[0].weight, network.head[0].bias
        spread = (joined.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
        joined = (joined - joined.mean(1, keepdim=True)) / spread * scale + shift
        hidden = normalised(joined @ linear.weight.T + linear.bias, norm).clamp_min(0)
        expected = hidden @ last.weight.T + last.bias
        assert expected.std(0).min() > 0.01  # the rows differ, so that equality says something
        torch.testing.assert_close(network(images, tda), expected)


def test_backbone_with_a_layer_before_its_head() -> None:
    network = FusionNetwork("mobilenetv3_small_100", 3, 17, None).eval()
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 17)


@pytest.mark.parametrize("name", students.BUILDERS)
def test_backbone_of_our_own(name: str) -> None:
    network = FusionNetwork(name, 3, 17, torch.zeros(2, 9), size=22).eval()
    assert network(torch.zeros(2, 3, 22, 22), torch.ones(2, 9)).shape == (2, 17)


def test_statistics_by_hand_and_zscore_inside() -> None:
    values = torch.tensor([[1.0, 5.0], [3.0, 5.0]], dtype=torch.float16)
    known = topology_features.compute_statistics([values[:1], values[1:]])
    assert known.tolist() == [[2.0, 5.0], [1.0, 1.0]]  # a constant column keeps its unit
    torch.manual_seed(0)
    network = FusionNetwork("test_resnet", 3, 4, known).eval()
    images = torch.rand(2, 3, 32, 32)
    plain = FusionNetwork("test_resnet", 3, 4, torch.tensor([[0.0, 0.0], [1.0, 1.0]])).eval()
    own = {key: value for key, value in network.state_dict().items() if key not in ("mean", "std")}
    plain.load_state_dict(plain.state_dict() | own)
    with torch.no_grad():
        expected = plain(images, torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))
        torch.testing.assert_close(network(images, values.float()), expected)


def test_every_flag_reaches_the_training(
    two: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, file = wiring.stop_at_training(monkeypatch), tmp_path / "start.safetensors"
    start = wiring.write_start(file)
    flags = (*wiring.FLAGS, f"--weights={file}", "--clip=0.75", "--label_smoothing=0.2")
    with pytest.raises(SystemExit, match="130"):
        command(two, tmp_path / "fusion", *flags)
    groups, recipe, labels = given
    assert recipe == wiring.recipe(clip=0.75)
    for member in wiring.check_members(groups, labels):
        torch.testing.assert_close(
            member.network().backbone.state_dict()["conv1.0.weight"], start["conv1.0.weight"]
        )
        logits = torch.randn(2, 17, dtype=torch.float64)
        each = -np.log(scores.softmax(logits.numpy()))
        expected = 0.8 * each[[0, 1], [3, 2]].mean() + 0.2 * each.mean()
        said = member.loss(logits, {"label": torch.tensor([3, 2])}).item()
        assert said == pytest.approx(expected, rel=1e-9)


def test_rows_that_the_files_mark_are_never_trained_on(
    two: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wiring.mark(two["train"][0], 5, 33)
    wiring.mark(two["train"][1], 5)
    with pytest.raises(SystemExit, match="2"):
        command(two, tmp_path / "fusion")
    assert "validation: expected the same rows as in" in capsys.readouterr().err
    with h5py.File(two["train"][1], "r+") as file:
        file["validation"][33] = 1
    given = wiring.stop_at_training(monkeypatch)
    for share in (0, 0.1):
        with pytest.raises(SystemExit, match="130"):
            command(two, tmp_path / "fusion", f"--validation={share}")
        groups, recipe, _ = given[-3:]
        held_out = [member.held_out.tolist() for group in groups for member in group]
        assert held_out == [[5, 33]] * 2
        assert recipe.keep_best == (share > 0)  # 0 measures them, and keeps the last epoch


def test_members_take_the_variants_in_turn(two: Files, tmp_path: Path) -> None:
    dst = command(two, tmp_path / "fusion", "--members=3")
    each = []
    for number, card in enumerate(models.load(dst)):
        assert card.features == 5
        images, topology = two["test"][number % 2], two["tda_test"][number % 2]
        with patches.read(images) as source, h5py.File(topology) as file:
            pictures = models.preprocess(models.read_scaled(source, card.bands, slice(0, 17)), card)
            feed = {"image": pictures, "tda": file["features"][:].astype(np.float32)}
        session = networks.onnxruntime.InferenceSession(dst / card.file)
        assert [put.name for put in session.get_inputs()] == ["image", "tda"]
        each.append(session.run(["logits"], feed)[0])
    np.testing.assert_allclose(np.mean(each, 0), np.load(dst / "test_logits.npy"), atol=1e-4)
    mean = np.mean([scores.softmax(said) for said in each], 0)
    np.testing.assert_allclose(np.load(dst / "test_scores.npy"), mean, atol=1e-5)
    assert len(json.loads((dst / "metrics.json").read_text())["member_accuracy"]) == 3


def test_without_topology_and_with_radar_of_another_file(two: Files, tmp_path: Path) -> None:
    images = {name: two[name][1:] for name in ("train", "test")}  # the large variant alone
    radar = [f"--sar_{split}={two[split][0]}" for split in ("train", "test")]
    dst = command(images, tmp_path / "fusion", "--mode=sar", "--members=1", *radar)
    (card,) = models.load(dst)
    assert card.features == 0
    assert [band in lcz.SEN1.bands for band in card.bands] == [False, False, True]
    session = networks.onnxruntime.InferenceSession(dst / card.file)
    assert [put.name for put in session.get_inputs()] == ["image"]
    with patches.read(two["test"][0]) as small, patches.read(two["test"][1]) as large:
        optical = models.Card(
            "", "", card.bands[:2], card.mean[:2], card.std[:2], 32, "bilinear", ()
        )
        sar = models.Card("", "", card.bands[2:], card.mean[2:], card.std[2:], 32, "bilinear", ())
        rows = slice(0, 17)
        parts = [
            models.preprocess(models.read_scaled(source, one.bands, rows), one)
            for source, one in ((large, optical), (small, sar))
        ]
    said = session.run(["logits"], {"image": np.concatenate(parts, 1)})[0]
    np.testing.assert_allclose(said, np.load(dst / "test_logits.npy"), atol=1e-4)


@pytest.mark.parametrize("bands", [100, 8])
def test_shard_and_one_pass_make_the_same_members(two: Files, tmp_path: Path, bands: int) -> None:
    """Also where the smaller variant may lie in memory and the larger one may not."""
    radar = [f"--sar_{split}={two[split][0]}" for split in ("train", "test")]
    resident = bands * 34 * 32 * 32 * 2 / 1e9
    flags = ("--mode=sar", *radar, f"--resident={resident}", "--batch=4")
    whole = command(two, tmp_path / "whole", *flags, "--together=2")
    for number in (1, 2):
        part = command(two, tmp_path / str(number), *flags, f"--shard={number}/2")
        name = f"member-0{number}.onnx"
        assert (part / name).read_bytes() == (whole / name).read_bytes()


def test_a_variant_named_twice_is_read_once(two: Files) -> None:
    images, topology = two["train"], two["tda_train"]
    files = Variants((images[0], *images), (topology[0], *topology), images[0])
    assert [files.key(number, "B4") for number in range(4)] == ["0/B4", "0/B4", "2/B4", "0/B4"]
    radar = lcz.SEN1.bands[5]
    assert files.keys(2, ("B4", "B8", radar)) == ("2/B4", "2/B8", f"sar/{radar}")
    wants = merge_inputs([want for number in (0, 1) for want in files.inputs(number, ("B4",))])
    assert [(want.path, dict(want.keys)) for want in wants] == [
        (images[0], {"0/B4": 2}), (topology[0], {"0/tda": None}),
    ]  # fmt: skip


def test_statistics_from_memory_and_from_the_file_are_the_same(two: Files) -> None:
    files = Variants(tuple(two["train"]), tuple(two["tda_train"]), None)
    whole = load_split(files.inputs(1, ("B4",)), {"label": torch.zeros(34)}, 32.0, 16)
    known = topology_features.split_statistics(whole, "1/tda", two["tda_train"][1])
    with h5py.File(two["tda_train"][1]) as file:
        stored = file["features"][:].astype(np.float64)
    np.testing.assert_allclose(known, [stored.mean(0), stored.std(0)], rtol=1e-5)
    pieces = Split({}, {"label": torch.zeros(34)})  # as one that is read in pieces
    torch.testing.assert_close(
        topology_features.split_statistics(pieces, "1/tda", two["tda_train"][1]), known
    )


def test_topology_alone_is_the_branch_and_one_matrix() -> None:
    known = torch.stack([torch.zeros(18_000), torch.ones(18_000)])
    network = TopologyNetwork(17, known)
    # Matrix, bias, scale and shift of batch norm: 18000 → 1024 → 512 → 256 → 128, then 17 classes.
    layers = [18_435_072, 525_824, 131_840, 33_152]
    assert sum(weight.numel() for weight in network.parameters()) == sum(layers) + 128 * 17 + 17
    rates = [m.p for m in network.modules() if isinstance(m, torch.nn.Dropout)]
    assert rates == [0.25, 0.5, 0.5, 0.5]
    assert [type(m).__name__ for m in network.topology[:4]] == [
        "Linear", "BatchNorm1d", "ReLU", "Dropout",
    ]  # fmt: skip


def only_topology(files: Files, dst: Path, *flags: str) -> Path:
    """The stage without an image branch, on a CPU, quickly."""
    lists = [f"--{name}={','.join(map(str, paths))}" for name, paths in files.items() if paths]
    quick = ["--epochs=1", "--batch=16", "--device=cpu", "--members=3"]
    given = {flag.partition("=")[0] for flag in flags}
    quick = [flag for flag in quick if flag.partition("=")[0] not in given]
    cli.main(stage.run, [*lists, f"--dst={dst}", "--noimage", *quick, *flags])
    return dst


def test_topology_alone_takes_the_features_of_the_variants_in_turn(
    two: Files, tmp_path: Path
) -> None:
    dst, each = only_topology(two, tmp_path / "fusion"), []
    for number, card in enumerate(models.load(dst)):
        assert (card.architecture, card.features, card.bands) == ("tda-mlp", 5, ("B2", "B8"))
        with h5py.File(two["tda_test"][number % 2]) as file:
            feed = {"tda": file["features"][:].astype(np.float32)}
        session = networks.onnxruntime.InferenceSession(dst / card.file)
        assert [(put.name, put.shape) for put in session.get_inputs()] == [("tda", ["batch", 5])]
        each.append(session.run(["logits"], feed)[0])
        one = {"tda": feed["tda"][:1]}
        np.testing.assert_allclose(session.run(["logits"], one)[0], each[-1][:1], atol=1e-5)
    np.testing.assert_allclose(np.mean(each, 0), np.load(dst / "test_logits.npy"), atol=1e-5)
    assert max(json.loads((dst / "model.json").read_text())["onnx_difference"].values()) < 1e-5
    assert len(json.loads((dst / "metrics.json").read_text())["member_accuracy"]) == 3
    assert {"confusion.png", "curves.csv", "test_scores.npy", "train_logits.npy"} <= {
        path.name for path in dst.iterdir()
    }


def test_topology_alone_learns_from_features(two: Files, tmp_path: Path) -> None:
    """Each class has a feature of its own, in any units: the training rows are told apart."""
    wide = {"train": two["train"][:1], "test": two["test"][:1]}
    for split in ("train", "test"):
        path = tda(tmp_path / f"wide-{split}.h5", two[split][0], width=17)
        with h5py.File(path, "a") as file:
            file["features"][:] = 1000 + 100 * file["label"][:].astype(np.float16)
        wide[f"tda_{split}"] = [path]
    flags = ("--epochs=30", "--lr=0.05", "--members=1")
    dst = only_topology(wide, tmp_path / "fusion", *flags)
    assert json.loads((dst / "metrics.json").read_text())["overall_accuracy"] > 0.8


def test_topology_alone_by_shards_and_after_a_crash(
    two: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = only_topology(two, tmp_path / "whole", "--members=2")
    last = only_topology(two, tmp_path / "last", "--members=2", "--shard=2/2")
    assert (last / "member-02.onnx").read_bytes() == (whole / "member-02.onnx").read_bytes()

    fit, done = ensemble.engine.fit, list[Any]()

    def second_crashes(*given, **more):  # type: ignore[no-untyped-def]
        done.extend(learner.name for learner in given[0])
        if done == ["member-01", "member-02"]:
            raise KeyboardInterrupt
        return fit(*given, **more)

    monkeypatch.setattr(ensemble.engine, "fit", second_crashes)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        only_topology(two, tmp_path / "cut", "--members=2")
    cut = only_topology(two, tmp_path / "cut", "--members=2")
    assert done == ["member-01", "member-02", "member-02"]
    for path in record.files_of(whole):
        assert (cut / path.name).read_bytes() == path.read_bytes(), path.name


def refused(files: Files, tmp_path: Path, capfd, *flags: str) -> str:  # type: ignore[no-untyped-def]
    before = sorted(tmp_path.rglob("*"))
    capfd.readouterr()
    with pytest.raises(SystemExit, match="2"):
        command(files, tmp_path / "out" / "fusion", *flags)
    assert sorted(tmp_path.rglob("*")) == before  # nothing left behind
    heard = capfd.readouterr().err
    assert heard.count("\n") == 1
    return heard


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--label_smoothing=1.0", "--label_smoothing: expected 0 to below 1, found 1.0"),
        ("--clip=-1.0", "--clip: expected at least 0, found -1.0"),
        ("--mode=sar", "--mode=sar: needs --sar_train and --sar_test, patch files with sen1"),
        ("--architecture=resnet", "expected a timm or torchvision name, found 'resnet'"),
        ("--members=0", "--members: expected at least 1, found 0"),
        ("--together=0", "--together: expected at least 1, found 0"),
    ],
)
def test_refuses(two: Files, tmp_path: Path, capfd, flag: str, message: str) -> None:  # type: ignore[no-untyped-def]
    assert message in refused(two, tmp_path, capfd, flag)


def test_refuses_files_that_do_not_belong_together(two, tmp_path, capfd) -> None:  # type: ignore[no-untyped-def]
    counts = "--train, --test: expected the same number of files for both, and for --tda_train"
    assert counts in refused(two | {"tda_test": two["tda_test"][:1]}, tmp_path, capfd)
    for alone in ("tda_train", "tda_test"):
        files = {name: paths for name, paths in two.items() if name != alone}
        assert counts in refused(files, tmp_path, capfd), alone
    narrow = tda(tmp_path / "narrow.h5", two["test"][1], width=4)
    files = two | {"tda_test": [two["tda_test"][0], narrow]}
    assert "narrow.h5: expected 5 features, found 4" in refused(files, tmp_path, capfd)
    files = two | {"tda_train": two["tda_train"][:1] + two["tda_test"][:1]}
    first = two["train"][0]
    rows = f"tda-test-x1.h5: expected 34 rows as in {first}, found 17"
    assert rows in refused(files, tmp_path, capfd)
    with h5py.File(two["train"][1], "a") as file:
        file["label"][:] = file["label"][:][::-1]
    assert f"train-x2.h5: labels differ from those of {first}, first in row 0" in refused(
        two, tmp_path, capfd
    )
    radar = [f"--sar_train={two['test'][0]}", f"--sar_test={two['test'][0]}", "--mode=sar"]
    files = {name: two[name][:1] for name in ("train", "test")}
    assert f"test-x1.h5: expected 34 rows as in {first}, found 17" in refused(
        files, tmp_path, capfd, *radar
    )


def test_refuses_classes_and_bands_that_are_not_those_of_the_first(two, tmp_path, capfd) -> None:  # type: ignore[no-untyped-def]
    with h5py.File(two["test"][1], "a") as file:
        bands = [str(name) for name in file["sen2"].attrs["bands"]]
        file["sen2"].attrs["bands"] = ["X" + name for name in bands]
    assert "test-x2.h5: " in (said := refused(two, tmp_path, capfd))
    assert "'XB2'" in said or "XB2" in said
    with h5py.File(two["train"][1], "a") as file:
        file.attrs["classes"] = [f"class {number}" for number in range(17)]
    assert "train-x2.h5: " in (said := refused(two, tmp_path, capfd))
    assert "classes" in said


def test_refuses_a_single_class(two, tmp_path, capfd) -> None:  # type: ignore[no-untyped-def]
    for path in (*two["train"], *two["tda_train"]):
        with h5py.File(path, "a") as file:
            file["label"][:] = np.eye(17)[np.zeros(34, int)]
    said = f"{two['train'][0]}: label: one class only; expected at least two to train on"
    assert said in refused(two, tmp_path, capfd)
    assert said in refused(
        two, tmp_path, capfd, "--noimage", "--architecture=resnet18", "--size=224"
    )


def test_missing_variants_are_listed_with_what_makes_them(  # type: ignore[no-untyped-def]
    two, tmp_path, capfd, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    gone = [Path(f"data/demo/sr-{name}/x2/training.h5") for name in ("vdsr", "edsr")]
    line = refused(two | {"train": [*two["train"], *gone]}, tmp_path, capfd)
    assert line == (
        f"error: --train: no such file or folder: {gone[0]}, {gone[1]}; "
        "make SOURCE=demo sr-vdsr sr-edsr makes them\n"
    )


def test_refuses_another_grid(two, tmp_path, capfd) -> None:  # type: ignore[no-untyped-def]
    alien = tda(tmp_path / "alien.h5", two["test"][1], grid=2.0)
    files = two | {"tda_test": [two["tda_test"][0], alien]}
    first = two["tda_train"][1]
    said = f"alien.h5: its grid differs from that of {first} in range; make it again with --grid"
    assert said in refused(files, tmp_path, capfd)
    with h5py.File(alien, "a") as file:
        file["grid"].attrs["bands"] = ["B2", "B3"]
        file["grid"][..., 1] = 1.0
    assert "in bands; make it again" in refused(files, tmp_path, capfd)
    with h5py.File(alien, "a") as file:
        del file["grid"]
    assert "in kind, modality, bands, range;" in refused(files, tmp_path, capfd)


@pytest.mark.parametrize(
    "flag",
    ["--architecture=resnet50", "--mode=sar", "--size=64", "--noaugment", "--weights=FILE",
     "--sar_train=FILE", "--sar_test=FILE", "--interpolation=nearest"],
)  # fmt: skip
def test_refuses_pictures_without_a_branch(two, tmp_path, capfd, flag) -> None:  # type: ignore[no-untyped-def]
    name = flag.partition("=")[0].replace("--no", "--")
    plain = {"architecture": "resnet18", "size": "224"}
    flags = [f"--{key}={value}" for key, value in plain.items() if f"--{key}" != name]
    said = refused(two, tmp_path, capfd, "--noimage", flag.replace("FILE", __file__), *flags)
    assert f"{name}: concerns the image branch, which --noimage leaves out" in said


def test_refuses_no_image_and_no_topology(two, tmp_path, capfd) -> None:  # type: ignore[no-untyped-def]
    bare = {name: two[name] for name in ("train", "test")}
    needs = "--noimage: needs --tda_train and --tda_test, features files"
    assert needs in refused(bare, tmp_path, capfd, "--noimage")

"""sisr-train: corrections that are known, losses, parts, the product, stops and refusals."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from shared import cli, sisr, sisr_networks
from shared.errors import StageError
from shared.sisr import cards, fidelity, sessions
from shared.training.loop import checkpoints
from stages.sisr_train import (
    adversary,
    bands,
    corrections,
    objective,
    parts,
    prepared,
    training,
)
from stages.sisr_train import main as stage
from tests import pair_drawings

QUICK = {
    "architecture": "carn-1x1x4g2sw", "batch": "3", "lr": "0.003", "epochs": "3", "device": "cpu",
    "mode": "baseline", "t_0": "4",
}  # fmt: skip
KNOWN = {"mode": "geometric", "known_flow": "True"}
BOTH = {"mode": "geometric+radiometric", "known_flow": "True"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with plain.h5 (two bands), all.h5 (two of 20 m beside) and real.h5 (no truth)."""
    folder = tmp_path_factory.mktemp("pairs")
    pair_drawings.write(folder / "plain.h5")
    pair_drawings.write(folder / "all.h5", 24, coarse=True)
    pair_drawings.write(folder / "real.h5", simulated=False)
    return folder


def command(src: Path, dst: Path, **more: str) -> list[str]:
    flags = {"src": str(src), "dst": str(dst), **QUICK, **more}
    return [f"--{name}={value}" for name, value in flags.items()]


def make(src: Path, dst: Path, **more: str) -> Path:
    """Run the stage as its container does."""
    cli.main(stage.run, command(src, dst, **more))
    return dst


def metrics(product: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((product / "metrics.json").read_text())
    return told


@pytest.fixture(scope="module")
def product(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(files / "plain.h5", tmp_path_factory.mktemp("made") / "product", **BOTH)


# --- corrections ----------------------------------------------------------------------------------
LAYOUT = bands.Layout(24, 2, 10.0, ("B2", "B8"), ("B8A", "B11"), 3, ("B2", "B8", "B8A", "B11"))


def run_onnx(path: Path, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, C, f·h, f·w) reflectance of a product for (N, C, h, w), by onnxruntime alone."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    made: NDArray[np.float32] = session.run(["output"], {"input": images})[0]
    return made


def draw_row(shift: tuple[float, float], gain: float = 1.0) -> bands.Row:
    """A row with 20 m bands, and a smooth scene, so that cubic values between pixels are right."""
    rng, shape = np.random.default_rng(5), pair_drawings.form(LAYOUT.side, True)
    slow = pair_drawings.draw_scene(rng, 4)
    scene = pair_drawings.Scene(slow.ways * 0.2, slow.phases)
    places = pair_drawings.place(LAYOUT.side, 2)
    truth = scene.at(places)
    high = gain * scene.at(places - np.array(shift))[..., :3]
    flow = np.broadcast_to(np.array(shift, np.float32), (24, 24, 2)).copy()
    assert shape.side == LAYOUT.side
    return bands.Row(
        0, pair_drawings.see(truth[..., :2], 2, LAYOUT.low),
        pair_drawings.see(truth[..., 2:], 4, LAYOUT.coarse), high, truth, flow,
    )  # fmt: skip


def test_a_known_shift_is_undone() -> None:
    """0.4 pixels down and 0.7 to the left, which is not whole pixels of either grid."""
    row = draw_row((0.4, -0.7))
    target = corrections.correct(row, LAYOUT, "geometric", corrections.take_known_flow)
    assert row.truth is not None
    inside = slice(6, -6)
    expected = row.truth[inside, inside, :3]
    assert np.abs(row.high[inside, inside] - expected).max() > 0.02
    np.testing.assert_allclose(target[inside, inside], expected, atol=1e-3)


def test_baseline_leaves_the_finer_image() -> None:
    row = draw_row((0.4, -0.7), 1.1)
    np.testing.assert_array_equal(corrections.correct(row, LAYOUT, "baseline", None), row.high)


def test_a_smooth_offset_is_recovered_for_bands_of_both_grids() -> None:
    row = draw_row((0.0, 0.0))
    assert row.truth is not None
    across = np.cos(np.linspace(0, np.pi, 48))[None, :, None] * 0.8 * np.array([0.02, -0.03, 0.025])
    changed = bands.Row(
        0, row.low, row.coarse, row.truth[..., :3] + across + 0.01, row.truth, row.flow
    )
    target = corrections.match_brightness(changed.high, changed, LAYOUT)
    expected = row.truth[..., :3]
    assert np.abs(changed.high - expected).max() > 0.025
    inside = slice(8, -8)
    np.testing.assert_allclose(target[inside, inside], expected[inside, inside], atol=2e-3)


def test_brightness_keeps_detail() -> None:
    """What only the finer image has stays: a checkerboard of its pixels."""
    row = draw_row((0.0, 0.0))
    board = 0.05 * (-1.0) ** np.add.outer(np.arange(48), np.arange(48))[..., None]
    assert row.truth is not None
    target = corrections.match_brightness(row.truth[..., :3] + board, row, LAYOUT)
    plain = corrections.match_brightness(row.truth[..., :3], row, LAYOUT)
    np.testing.assert_allclose(
        (target - plain)[8:-8, 8:-8], np.tile(board, 3)[8:-8, 8:-8], atol=1e-3
    )


def test_the_registration_network_sees_the_input_and_the_coarser_target() -> None:
    """A network that knows the flow: the input is the reference, the finer image has moved."""
    row, asked = draw_row((0.4, -0.7)), []

    def flow(
        reference: NDArray[np.float32], moving: NDArray[np.float32], _: int
    ) -> NDArray[np.float32]:
        asked.append((reference, moving))
        assert row.flow is not None
        return row.flow[None]

    registrar: Any = SimpleNamespace(band="B8", flow=flow)
    found = corrections.find_flow(registrar, row, LAYOUT)
    ((reference, moving),) = asked
    np.testing.assert_allclose(reference[0], row.low[..., 1], atol=1e-6)
    seen = sisr.downscale(row.high[..., 1:2], 2, sisr.SENTINEL2_MTF["B8"])[..., 0]
    np.testing.assert_allclose(moving[0], seen, atol=1e-6)
    torch.testing.assert_close(found, torch.tensor([0.8, -1.4]).expand(1, 48, 48, 2))


def write_registration(folder: Path, shift: tuple[float, float], **card: Any) -> Path:
    """A product of register whose network says the same flow everywhere."""

    class Constant(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return 0 * images + torch.tensor(shift).view(1, 2, 1, 1)

    folder.mkdir()
    axes = {0: "batch", 2: "height", 3: "width"}
    with (folder / "registration.onnx").open("wb") as file:
        torch.onnx.export(
            Constant(), (torch.zeros(1, 2, 8, 8),), file, input_names=["images"],
            output_names=["flow"], dynamic_axes={"images": axes, "flow": axes},
            opset_version=17, dynamo=False,
        )  # fmt: skip
    told = {"band": "B8", "metres": 10.0} | card
    (folder / "registration.json").write_text(json.dumps(told))
    return folder


def test_a_registration_folder_gives_flows_down_and_to_the_right(tmp_path: Path) -> None:
    folder = write_registration(tmp_path / "constant", (0.25, -1.5))
    nothing = np.zeros((1, 6, 9), np.float32)
    found = sessions.Registrar(folder).flow(nothing, nothing, 0)
    assert found.shape == (1, 6, 9, 2)
    np.testing.assert_array_equal(found[0, 2, 3], [0.25, -1.5])


def test_a_registration_folder_corrects_a_training(files: Path, tmp_path: Path) -> None:
    """A flow of nothing leaves the finer images where they are."""
    folder = write_registration(tmp_path / "still", (0.0, 0.0))
    flags = {"mode": "geometric", "registration": str(folder), "epochs": "1"}
    still = make(files / "real.h5", tmp_path / "still-made", **flags)
    base = make(files / "real.h5", tmp_path / "base", epochs="1")
    ours, theirs = (metrics(of)["test"]["target"] for of in (still, base))
    assert "truth" not in metrics(still)["test"]
    assert ours["bicubic"]["PSNR"] == pytest.approx(theirs["bicubic"]["PSNR"], abs=1e-3)
    folder = write_registration(tmp_path / "moves", (0.5, 1.0))
    flags["registration"] = str(folder)
    moved = make(files / "real.h5", tmp_path / "moved-made", **flags)
    other = metrics(moved)["test"]["target"]["bicubic"]["PSNR"]
    assert abs(other - theirs["bicubic"]["PSNR"]) > 0.1


@pytest.mark.parametrize(
    ("card", "found"),
    [
        ({"band": "B3"}, r"expected a registration by a band of .* \(B2, B8\), found one by B3"),
        ({"metres": 20}, "found one of 20 m"),
        ({"metres": "far"}, "not a registration"),
    ],
)
def test_another_registration_is_refused(
    files: Path, tmp_path: Path, card: dict[str, Any], found: str
) -> None:
    folder = write_registration(tmp_path / "other", (0.0, 0.0), **card)
    with sisr.Pairs(files / "real.h5") as pairs, pytest.raises(StageError, match=found):
        corrections.choose_flows(folder, False, pairs)


def test_a_broken_registration_is_refused_by_name(files: Path, tmp_path: Path) -> None:
    folder = write_registration(tmp_path / "broken", (0.0, 0.0))
    with sisr.Pairs(files / "real.h5") as pairs:
        (folder / "registration.onnx").write_bytes(b"nothing")
        with pytest.raises(StageError, match=r"registration.onnx: not"):
            corrections.choose_flows(folder, False, pairs)
        (folder / "registration.onnx").unlink()
        with pytest.raises(StageError, match=r"registration.onnx"):
            corrections.choose_flows(folder, False, pairs)
        (folder / "registration.json").unlink()
        with pytest.raises(StageError, match="expected a folder of register with"):
            corrections.choose_flows(folder, False, pairs)


# --- rows and parts -------------------------------------------------------------------------------
def test_the_input_has_all_bands_on_one_grid(files: Path) -> None:
    with sisr.Pairs(files / "all.h5") as pairs:
        layout = bands.read_layout(pairs)
        row = next(bands.read_rows(pairs, np.array([2])))
    assert (layout.names, layout.referenced) == (("B2", "B8", "B8A", "B11"), 3)
    joined = bands.join(row)
    assert joined.shape == (24, 24, 4)
    np.testing.assert_array_equal(joined[..., :2], row.low)
    np.testing.assert_array_equal(joined[..., 2:], sisr.enlarge(row.coarse, 2))
    coarser = bands.degrade(row, layout)
    assert coarser.shape == (12, 12, 4)
    seen = sisr.downscale(row.coarse[..., 1:], 2, sisr.SENTINEL2_MTF["B11"])
    np.testing.assert_allclose(coarser[..., 3:], sisr.enlarge(seen, 2))


def test_prepared_rows_come_back_in_any_order() -> None:
    rng = np.random.default_rng(0)
    images = [{"input": rng.random((3, 5, 2)), "target": 4 * rng.random((6, 10, 1))} for _ in "abc"]
    rows = prepared.Prepared(3, {"input": (2, 3, 5), "target": (1, 6, 10)})
    for number in (2, 0, 1):
        rows.put(number, images[number])
    found = rows.get(np.array([1, 2]))
    for place, number in enumerate((1, 2)):
        shown = found["input"][place].permute(1, 2, 0).numpy()
        np.testing.assert_allclose(shown, images[number]["input"], atol=6e-5)
    assert float(found["target"].max()) == pytest.approx(3.2767)  # what int16 holds


def test_parts_of_all_images_show_the_same_land() -> None:
    ramp = torch.arange(16.0).view(1, 1, 1, 16) + 100 * torch.arange(16.0).view(1, 1, 16, 1)
    batch = {
        "input": ramp.expand(4, 1, 16, 16),
        "target": ramp.repeat_interleave(2, 2).repeat_interleave(2, 3).expand(4, 1, 32, 32),
        "coarser": functional.avg_pool2d(ramp, 2).expand(4, 1, 8, 8),
    }
    cutter = parts.Cutter(16, 8, 4)
    drawn = cutter.draw(4, (1, 2, 3))
    found = cutter.cut(batch, drawn)
    assert {name: of.shape[-1] for name, of in found.items()} == {
        "input": 8, "target": 16, "coarser": 4,
    }  # fmt: skip
    torch.testing.assert_close(found["target"][:, :, ::2, ::2], found["input"])
    torch.testing.assert_close(functional.avg_pool2d(found["input"], 2), found["coarser"])
    for row, (top, left, down, right) in enumerate(drawn):
        corner = found["input"][row, 0, -1 if down else 0, -1 if right else 0]
        assert float(corner) == 100 * top + left
    assert len({tuple(place) for place in cutter.draw(200, (0,)).tolist()}) == 3 * 3 * 4
    np.testing.assert_array_equal(cutter.draw(4, (1, 2, 3)), drawn)
    assert not parts.Cutter(16, 8, flips=False).draw(50, (0,))[:, 2:].any()


# --- losses ---------------------------------------------------------------------------------------
class Doubled(torch.nn.Module):
    """Repeats pixels and adds a half to the second band and one to the third."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        large = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        return large + torch.tensor([0.0, 0.5, 1.0]).view(1, 3, 1, 1)


def test_bands_without_a_reference_count_by_wald_alone() -> None:
    """Smooth L1 below one is half a square: 0 and 0.5² / 2 of two bands, then 2² / 2 of one."""
    batch = {
        "input": torch.zeros(2, 3, 8, 8), "target": torch.zeros(2, 2, 16, 16),
        "coarser": torch.zeros(2, 3, 4, 4),
    }  # fmt: skip
    batch["coarser"][:, 2] = -0.25  # restored: 0.75
    batch["input"][:, 2] = 100  # would ruin the first loss, and is what the second compares with
    expected = (0 + 0.125) / 2 + 0.3 * (99.25 - 0.5)
    loss = objective.Objective(2, 0.3)
    assert float(loss.measure(Doubled(), batch)[0]) == pytest.approx(expected)
    batch.pop("coarser")
    assert float(loss.measure(Doubled(), batch)[0]) == pytest.approx(0.0625)


def test_the_border_does_not_count() -> None:
    batch = {"input": torch.zeros(1, 3, 8, 8), "target": torch.zeros(1, 3, 16, 16)}
    batch["target"][..., :3] = 9
    first, second = (
        float(objective.Objective(border).measure(Doubled(), batch)[0]) for border in (3, 2)
    )
    assert first == pytest.approx((0.125 + 0.5) / 3)
    assert second > first + 0.1


def test_wald_images_are_made_only_where_bands_lack_a_reference(files: Path) -> None:
    names = {}
    for name in ("plain", "all"):
        with sisr.Pairs(files / f"{name}.h5") as pairs:
            layout = bands.read_layout(pairs)
            settings = stage.Settings(
                stage.Network(), stage.Targets("baseline", min_correlation=0.0), stage.Views(),
                stage.Descent(), stage.Adversary(), stage.Machine(), 1,
            )  # fmt: skip
            rows = training.prepare_rows(pairs, layout, settings)
            names[name] = {split: of.names for split, of in rows.items()}
    assert names["plain"]["training"] == ("input", "target")
    assert names["all"]["training"] == ("input", "target", "coarser")
    assert names["all"]["test"] == ("input", "target", "truth")


# --- the other network ----------------------------------------------------------------------------
def test_losses_of_two_networks_by_hand() -> None:
    """Logits 1 and 3 of what was made, -1 and 0 of true images."""
    made, true = torch.tensor([1.0, 3.0]), torch.tensor([-1.0, 0.0])

    def soft(*values: float) -> float:
        return float(np.mean([np.log1p(np.exp(value)) for value in values]))

    assert float(adversary.blame("wasserstein", made, true)) == -2.0
    assert float(adversary.judge("wasserstein", made, true, 0.1)) == 2.5
    assert float(adversary.blame("bce", made, true)) == pytest.approx(soft(-1, -3))
    # label 0.9: softplus(x) - 0.9 x
    right = soft(-1, 0) + 0.9 * 0.5
    assert float(adversary.judge("bce", made, true, 0.1)) == pytest.approx((right + soft(1, 3)) / 2)
    # made - mean(true) = 1.5, 3.5; true - mean(made) = -3, -2
    found = float(adversary.blame("relativistic", made, true))
    assert found == pytest.approx((soft(-1.5, -3.5) + soft(-3, -2)) / 2)
    right = soft(-3, -2) + 0.8 * 2.5
    found = float(adversary.judge("relativistic", made, true, 0.2))
    assert found == pytest.approx((right + soft(1.5, 3.5)) / 2)


def test_a_high_pass_is_that_of_the_metrics_band_by_band() -> None:
    image = np.random.default_rng(2).random((40, 36, 2))
    x = torch.from_numpy(image.transpose(2, 0, 1)[None]).float()
    found = adversary.HighPass((0.3, 0.1), 2)(x)[0].permute(1, 2, 0).numpy()
    for band, mtf in enumerate((0.3, 0.1)):
        expected = fidelity.high_pass(image[..., band : band + 1], 2, mtf)[8:-8, 8:-8, 0]
        np.testing.assert_allclose(found[8:-8, 8:-8, band], expected, atol=3e-3)
    flat = adversary.HighPass((0.3,), 2)(torch.full((1, 1, 9, 9), 0.7))
    torch.testing.assert_close(flat, torch.zeros(1, 1, 9, 9), atol=1e-6, rtol=0)


def train_losses(product: Path) -> list[str]:
    lines = [line.split(",") for line in (product / "curves.csv").read_text().splitlines()]
    return [line[lines[0].index("train loss")] for line in lines[1:]]


@pytest.mark.parametrize("mode", ["wasserstein", "bce", "relativistic"])
def test_an_adversary_counts_from_its_start(files: Path, tmp_path: Path, mode: str) -> None:
    """Two steps an epoch: its loss counts from the second on, so that the second epoch differs."""
    adversarial = {"adversarial": mode, "high_pass": str(mode == "bce"), "adversarial_weight": "5",
                   "discriminator_lr": "0.001", "min_correlation": "0", "epochs": "2"}  # fmt: skip
    plain = make(files / "plain.h5", tmp_path / "plain", min_correlation="0", epochs="2")
    late = make(files / "plain.h5", tmp_path / "late", generator_start="1", **adversarial)
    ours, theirs = train_losses(late), train_losses(plain)
    assert ours[:1] == theirs[:1]
    assert ours[1] != theirs[1]
    told = metrics(late)
    assert told["kept_epoch"] == 0  # the last one
    assert told["adversarial"] == mode


# --- the product ----------------------------------------------------------------------------------
def test_card_and_files(product: Path) -> None:
    card = cards.read(product)
    assert (card.bands, card.made, card.metres, card.factor) == (
        ("B2", "B8"),
        ("B2", "B8"),
        10.0,
        2,
    )
    assert card.margin == 10
    assert card.mode == "geometric+radiometric"
    assert card.mtf == {"B2": 0.304, "B8": 0.222}
    there = {path.name for path in product.iterdir()} - {"tensorboard"}
    assert there == {
        "network.onnx", "network.safetensors", "sisr.json", "metrics.json", "curves.csv",
        "curves.png", "example.png",
    }  # fmt: skip


def test_statistics_are_of_the_training_rows(files: Path, product: Path) -> None:
    card = cards.read(product)
    with sisr.Pairs(files / "plain.h5") as pairs:
        low = pairs.source["low"].raw(slice(None))[[0, 2, 4, 6, 8]] / 10_000
    np.testing.assert_allclose(card.mean, low.mean((0, 1, 2)), atol=1e-6)
    np.testing.assert_allclose(card.std, low.std((0, 1, 2)), atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 2, 13, 22), (1, 2, 40, 17)])
def test_the_onnx_file_is_the_network(product: Path, shape: tuple[int, ...]) -> None:
    """Built from the weights and the card alone."""
    card = cards.read(product)
    network = sisr_networks.build(card.architecture, 2, 2, card.factor)
    sisr_networks.load_weights(network, product / "network.safetensors")
    images = np.random.default_rng(1).normal(0.2, 0.1, shape).astype(np.float32)
    mean, std = (torch.tensor(of).view(1, -1, 1, 1) for of in (card.mean, card.std))
    with torch.no_grad():
        expected = network.eval()((torch.from_numpy(images) - mean) / std) * std + mean
    found = run_onnx(product / cards.ONNX, images)
    assert found.shape == (shape[0], 2, 2 * shape[2], 2 * shape[3])
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


def test_measures_are_those_of_the_onnx_file(files: Path, product: Path) -> None:
    """Against the truth of the test rows, and bicubic beside, without the margin."""
    told = metrics(product)["test"]
    with sisr.Pairs(files / "plain.h5") as pairs:
        rows = [3, 7]
        low, truth = (pairs.source[n].raw(slice(None))[rows] / 10_000 for n in ("low", "truth"))
    made = run_onnx(product / cards.ONNX, low.transpose(0, 3, 1, 2).astype(np.float32))
    large = np.stack([sisr.enlarge(image, 2) for image in low])
    inside = (slice(None), slice(10, -10), slice(10, -10))
    assert told["rows"] == 2
    for maker, images in (("network", made.transpose(0, 2, 3, 1)), ("bicubic", large)):
        for band, name in enumerate(("B2", "B8")):
            one, ideal = images[inside][..., band], truth[inside][..., band]
            found = told["truth"][maker]["per_band"][name]
            assert found["PSNR"] == pytest.approx(fidelity.psnr(one, ideal), abs=0.01)
            assert found["RMSE"] == pytest.approx(fidelity.rmse(one, ideal), rel=1e-3)


def test_a_mode_learns_from_other_images(files: Path, product: Path, tmp_path: Path) -> None:
    """The input is the same, so bicubic is as far from the truth, but not from the target."""
    base = make(files / "plain.h5", tmp_path / "base")
    ours, theirs = (metrics(of)["test"] for of in (product, base))
    assert ours["truth"]["bicubic"] == theirs["truth"]["bicubic"]
    corrected, plain = (of["target"]["bicubic"]["PSNR"] for of in (ours, theirs))
    assert corrected > plain + 5  # the finer images of this file are up to 1.2 pixels elsewhere
    weights = [(of / "network.safetensors").read_bytes() for of in (product, base)]
    assert weights[0] != weights[1]


def test_all_bands_together(files: Path, tmp_path: Path) -> None:
    made = make(files / "all.h5", tmp_path / "all", **BOTH, epochs="1")
    card, told = cards.read(made), metrics(made)["test"]
    assert card.made == ("B2", "B8", "B8A", "B11")
    assert list(told["target"]["network"]["per_band"]) == ["B2", "B8", "B8A"]
    assert list(told["truth"]["network"]["per_band"]) == ["B2", "B8", "B8A", "B11"]


def test_weights_start_a_training(files: Path, product: Path, tmp_path: Path) -> None:
    made = make(
        files / "plain.h5", tmp_path / "more", weights=str(product / "network.safetensors"),
        lr="1e-12", epochs="1", **BOTH,
    )  # fmt: skip
    ours, theirs = (
        metrics(of)["validation"]["target"]["network"]["PSNR"] for of in (made, product)
    )
    assert ours == pytest.approx(theirs, abs=1e-3)


def test_going_on_is_as_never_stopped(
    files: Path, product: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again, saved = make_in_two_parts(files, tmp_path, monkeypatch, BOTH)
    assert len(saved) == 3  # the first two epochs were done
    same(again, product)


def test_going_on_with_an_adversary(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = {"adversarial": "relativistic", "discriminator_lr": "0.001", "generator_start": "1"}
    whole = make(files / "plain.h5", tmp_path / "whole", **flags)
    again, _ = make_in_two_parts(files, tmp_path, monkeypatch, flags)
    same(again, whole)


def make_in_two_parts(
    files: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, flags: dict[str, str]
) -> tuple[Path, list[int]]:
    """A product whose training is stopped after two epochs and goes on; the epochs saved."""
    saved, save = [], checkpoints.save

    def stop(*given: Any) -> None:
        save(*given)
        saved.append(1)
        if len(saved) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "save", stop)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        make(files / "plain.h5", folder / "again", **flags)
    assert not (folder / "again").exists()
    return make(files / "plain.h5", folder / "again", **flags), saved


def same(one: Path, other: Path) -> None:
    names = ("network.onnx", "network.safetensors", "metrics.json", "curves.csv", "example.png")
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_two_processes_share_each_step_and_end_with_what_one_makes(
    files: Path, tmp_path: Path
) -> None:
    """Steps of four rows and of one, which both processes see; another network judges."""
    more = {**KNOWN, "batch": "4", "min_correlation": "0", "epochs": "1", "adversarial": "bce",
            "discriminator_lr": "0.001"}  # fmt: skip
    src, both = files / "plain.h5", tmp_path / "both"
    alone = make(src, tmp_path / "alone", **more)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    words = [*launch, "-m", "stages.sisr_train.main", *command(src, both, **more)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    ours, theirs = (
        np.genfromtxt(made / "curves.csv", delimiter=",", skip_header=1)[1:]
        for made in (both, alone)
    )
    assert ours.shape == (4,)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


# --- refusals -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "flags", "found"),
    [
        ("plain", {"mode": "geometric"}, "--mode=geometric: expected --registration"),
        ("plain", {"known_flow": "True"}, "--known_flow: concerns the geometric modes"),
        ("real", KNOWN, "--known_flow: expected the flow"),
        ("plain", {"architecture": "unet"}, "--architecture: expected carn-"),
        ("plain", {"crop": "17"}, "--crop: expected at most the 16 pixels of a row, found 17"),
        ("plain", {"border": "16"}, "--border: --border 16, 16 output pixels at each side, leaves"),
        ("plain", {"architecture": "carn-2x2x4g2"}, "--border: the margin of the network, 22"),
        ("plain", {"wald": "2"}, "--wald: concerns bands without a reference"),
        ("plain", {"high_pass": "True"}, "--high_pass: concerns --adversarial, found none"),
        (
            "plain",
            {"adversarial": "bce", "discriminator": "plain"},
            "--discriminator=plain: expected 37 output pixels of a side inside the border",
        ),
        ("all", {"crop": "14"}, "--crop: expected a multiple of 4"),
        ("plain", {"min_correlation": "0.95"}, "with a correlation of at least 0.95, found none"),
        ("plain", {"lr": "1e30"}, "training diverged in epoch"),
    ],
)
def test_refuses(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str,
    flags: dict[str, str], found: str,
) -> None:  # fmt: skip
    with pytest.raises(SystemExit) as caught:
        make(files / f"{name}.h5", tmp_path / "out", **flags)
    assert caught.value.code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert found in lines[0]
    assert not list(tmp_path.iterdir())


def test_a_file_without_validation_rows_is_refused(tmp_path: Path) -> None:
    pair_drawings.write(tmp_path / "short.h5", splits=(0, 0, 2))
    with pytest.raises(SystemExit, match="2"):
        make(tmp_path / "short.h5", tmp_path / "out")


def test_other_bands_are_refused() -> None:
    images = {"low": sisr.Bands(("B2", "B8"), 10.0), "high": sisr.Bands(("B8",), 5.0)}
    opened: Any = SimpleNamespace(path="x.h5", form=sisr.Form(8, images))
    with pytest.raises(StageError, match="high: expected the bands B2, B8 or the first"):
        bands.read_layout(opened)

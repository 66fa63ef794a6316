"""The flows of `shared.registration`, and the stage `register`."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from shared import cli, registration, sisr
from shared.registration import Extent, Size, draw_warps
from shared.registration.objective import SHARP
from shared.runs import record
from shared.sisr import sessions
from stages.register import baselines, images, measures, onnx_file
from stages.register import main as stage
from tests import pair_files

ROOT = Path(__file__).resolve().parents[2]


def places(high: int, wide: int) -> torch.Tensor:
    """(1, H, W, 2) place of each pixel, down and to the right."""
    down, right = torch.meshgrid(torch.arange(high), torch.arange(wide), indexing="ij")
    return torch.stack([down, right], -1)[None].double()


def flow_of(high: int, wide: int, down: float, right: float) -> torch.Tensor:
    """(1, H, W, 2) the same flow everywhere."""
    return torch.tensor([down, right], dtype=torch.float64).expand(1, high, wide, 2).clone()


def test_warp_takes_the_value_at_place_plus_flow() -> None:
    high, wide = 9, 14
    at = places(high, wide)[0]
    image = (3 * at[..., 0] - 7 * at[..., 1])[None, None]  # a plane, which a cubic keeps
    moved = registration.warp(image, flow_of(high, wide, 0.25, -1.5))
    expected = 3 * (at[..., 0] + 0.25) - 7 * (at[..., 1] - 1.5)
    inside = (slice(4, -4), slice(4, -4))
    np.testing.assert_allclose(moved[0, 0][inside], expected[inside], atol=1e-9)


def test_warp_of_whole_pixels_mirrors_beyond_the_edges() -> None:
    image = torch.arange(5 * 7, dtype=torch.float64).view(1, 1, 5, 7)
    moved = registration.warp(image, flow_of(5, 7, 0, 2))[0, 0]
    np.testing.assert_allclose(moved[:, :5], image[0, 0, :, 2:], atol=1e-9)
    # half-pixel centres: what lies one pixel beyond the edge is the pixel at it
    np.testing.assert_allclose(moved[:, 5:], image[0, 0, :, [6, 5]], atol=1e-9)


def test_warp_can_be_differentiated_in_the_flow() -> None:
    at = places(8, 11)
    image = (2 * at[..., 0] + 5 * at[..., 1])[:, None]
    flow = flow_of(8, 11, 0.3, 0.4).requires_grad_()
    registration.warp(image, flow)[0, 0, 4, 5].backward()
    assert flow.grad is not None
    np.testing.assert_allclose(flow.grad[0, 4, 5], [2, 5], atol=1e-6)


def test_composition_is_not_the_plain_sum() -> None:
    """A shift by 3 right, then a flow that grows to the right: v(x + 3) and not v(x)."""
    high, wide = 6, 20
    at = places(high, wide)
    first = flow_of(high, wide, 0, 3)
    second = torch.stack([0.1 * at[..., 1], 0.2 * at[..., 0] - 0.05 * at[..., 1]], -1)
    there = at[..., 1] + 3
    expected = torch.stack([0.1 * there, 3 + 0.2 * at[..., 0] - 0.05 * there], -1)
    found = registration.compose(first, second)
    np.testing.assert_allclose(found[:, :, :16], expected[:, :, :16], atol=1e-9)
    apart = (first + second - expected)[:, :, :16].abs().amax((0, 1, 2))
    np.testing.assert_allclose(apart, [0.3, 0.15], atol=1e-9)  # what the plain sum is wrong by


def test_beyond_the_edges_the_second_flow_is_that_at_the_edge() -> None:
    high, wide = 6, 9
    at = places(high, wide)
    second = torch.stack([0.1 * at[..., 1], 0.2 * at[..., 0] - 0.05 * at[..., 1]], -1)
    for down, right in ((-20.0, -30.0), (20.0, 30.0)):
        first = flow_of(high, wide, down, right)
        corner = second[:, 0, 0] if down < 0 else second[:, -1, -1]
        expected = first + corner[:, None, None]
        found = registration.compose(first, second)
        np.testing.assert_allclose(found, expected, atol=1e-9)
    for down, right, edge in ((0, -0.5, np.s_[:, :, 0]), (-0.5, 0, np.s_[:, 0])):
        first = flow_of(high, wide, down, right)
        found = registration.compose(first, second)
        np.testing.assert_allclose(found[edge], (first + second)[edge], atol=1e-9)


def test_a_composition_leads_where_two_warps_lead() -> None:
    at = places(40, 56).expand(8, -1, -1, -1)
    image = torch.sin(at[..., 0] / 5 + at[..., 1] / 8)[:, None]
    first, second = (
        draw_warps(Extent(8, 40, 56), 2.0, seed, torch.device("cpu")).double() for seed in (1, 2)
    )
    twice = registration.warp(registration.warp(image, second), first)
    once = registration.warp(image, registration.compose(first, second))
    plain = registration.warp(image, first + second)
    inside = (..., slice(6, -6), slice(6, -6))
    right, wrong = ((each - twice)[inside].abs().mean() for each in (once, plain))
    assert right < wrong / 3


def test_drawn_warps_are_those_of_their_seed_and_keep_within_their_reach() -> None:
    extent = Extent(16, 33, 47)
    one, same, other = (draw_warps(extent, 1.5, seed, torch.device("cpu")) for seed in (3, 3, 4))
    assert one.shape == (16, 33, 47, 2)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    reach = one.norm(dim=-1).amax((1, 2))
    assert 0.7 < reach.max() <= 1.5
    assert len(reach.unique()) == 16  # each of its own
    # smooth, but for a fault line of at least two pixels
    assert (one[:, 1:] - one[:, :-1]).abs().max() < 1.0


def test_smoothing_is_a_gaussian_with_its_sigma() -> None:
    flow = torch.zeros(1, 31, 40, 2, dtype=torch.float64)
    flow[0, 15, 20, 0], flow[0, 10, 12, 1] = 1, -2
    sigma = math.sqrt(-2 * math.log(1e-6)) / math.pi
    expected = [
        ndimage.gaussian_filter(flow[0, ..., axis].numpy(), sigma, radius=7, mode="nearest")
        for axis in (0, 1)
    ]
    np.testing.assert_allclose(
        registration.smooth_flow(flow)[0], np.stack(expected, -1), atol=1e-12
    )
    still = flow_of(9, 5, 0.5, -0.25)  # narrower than the Gaussian
    np.testing.assert_allclose(registration.smooth_flow(still), still, atol=1e-12)


@pytest.mark.parametrize("factor", [3, 4])
def test_an_enlarged_flow_is_in_smaller_pixels(factor: int) -> None:
    at = places(12, 15)
    flow = torch.stack([0.1 * at[..., 1], 0.3 - 0.02 * at[..., 0]], -1)
    finer = registration.enlarge_flow(flow, factor)
    assert finer.shape == (1, 12 * factor, 15 * factor, 2)
    # the same land in large pixels
    there = (places(12 * factor, 15 * factor) + 0.5) / factor - 0.5
    expected = factor * torch.stack([0.1 * there[..., 1], 0.3 - 0.02 * there[..., 0]], -1)
    inside = (0, slice(12, -12), slice(12, -12))
    np.testing.assert_allclose(finer[inside], expected[inside], atol=1e-9)


# --- the guess, the network and what it learns from -----------------------------------------------
def land(high: int, wide: int, seed: int = 0) -> NDArray[np.float64]:
    """(H, W) reflectance with detail of all sizes, smooth enough to be looked at anywhere."""
    rng = np.random.default_rng(seed)
    waves = [
        ndimage.gaussian_filter(rng.standard_normal((high, wide)), s, mode="wrap") for s in (1.5, 4)
    ]
    total: NDArray[np.float64] = 0.25 + 0.05 * sum(each / each.std() for each in waves)
    return total


def moved(image: NDArray[np.float64], down: float, right: float) -> NDArray[np.float64]:
    """What shows at place + (down, right) what the image shows at place, by its spectrum."""
    high, wide = (np.fft.fftfreq(cells) for cells in image.shape)
    turn = np.exp(-2j * np.pi * (down * high[:, None] + right * wide))
    shifted: NDArray[np.float64] = np.fft.ifft2(np.fft.fft2(image) * turn).real
    return shifted


def pair_of(down: float, right: float, high: int = 60, wide: int = 84) -> Tensor:
    """(1, 2, H, W) land, and itself moved."""
    image = land(high, wide)
    return torch.from_numpy(np.stack([image, moved(image, down, right)])[None]).float()


def test_least_squares_find_a_shift() -> None:
    for shift in ((0.7, -0.4), (-0.3, 1.1)):
        seen = registration.normalise(pair_of(*shift))
        for guess in registration.guess_flow(seen, 1.4).split(2, 1):
            inside = guess[0, :, 12:-12, 12:-12]
            np.testing.assert_allclose(inside.mean((1, 2)), shift, atol=0.04)
            assert inside.std((1, 2)).max() < 0.08


def test_a_flat_image_does_not_move() -> None:
    flat = registration.normalise(torch.full((1, 2, 24, 30), 0.2))
    assert registration.guess_flow(flat, 1.4).abs().max() == 0


@pytest.mark.parametrize("shape", [(17, 40), (16, 16), (33, 5)])
@pytest.mark.parametrize("guess", [True, False])
def test_the_network_takes_any_size_and_keeps_its_limit(
    shape: tuple[int, int], guess: bool
) -> None:
    torch.manual_seed(0)
    network = registration.RegistrationNetwork(Size(4, 3, 1.5, guess))
    torch.nn.init.normal_(network.last.weight, std=50)
    flow = network(0.3 * torch.rand(2, 2, *shape)).detach()
    assert flow.shape == (2, 2, *shape)
    assert 0.9 * 1.5 < flow.norm(dim=1).max() <= 1.5 * (1 + 1e-6)


def test_the_network_begins_with_the_guess() -> None:
    network = registration.RegistrationNetwork(Size(4, 2))
    torch.nn.init.zeros_(network.last.weight)
    pair = pair_of(0.5, -0.8)
    expected = registration.guess_flow(registration.normalise(pair), math.sqrt(2))[:, 2:4]
    inside = (..., slice(10, -10), slice(10, -10))
    np.testing.assert_allclose(network(pair).detach()[inside], expected[inside], atol=1e-5)


def test_brightness_and_contrast_do_not_count() -> None:
    torch.manual_seed(1)
    network = registration.RegistrationNetwork(Size(4, 2)).eval()
    pair = pair_of(0.4, 0.6)
    other = pair * torch.tensor([1.0, 1.3])[:, None, None] + torch.tensor([0, 0.05])[:, None, None]
    with torch.no_grad():
        np.testing.assert_allclose(network(other), network(pair), atol=5e-3)


def test_published_size() -> None:
    """64 features, four halvings, skips from the second on, 32 outputs: counted by hand."""

    def level(given: int, made: int) -> int:
        return 9 * made * (given + made) + 2 * made

    down = level(2, 64) + level(64, 128) + level(128, 256) + 2 * level(256, 256)
    up = 2 * level(512, 256) + (9 * 256 * 128 + 128) + (9 * 128 * 32 + 32)
    network = registration.RegistrationNetwork(Size(guess=False))
    assert sum(of.numel() for of in network.parameters()) == down + up + (9 * 32 * 2 + 2)


def constant(down: float, right: float, calls: list[Tensor] | None = None) -> Any:
    """A network that says the same of all pairs."""

    def network(pairs: Tensor) -> Tensor:
        if calls is not None:
            calls.append(pairs)
        flow = torch.tensor([down, right], dtype=pairs.dtype)[:, None, None]
        return flow.expand(len(pairs), 2, *pairs.shape[2:]).clone()

    return network


def smooth_l1(error: float) -> float:
    return error**2 / (2 * SHARP) if abs(error) < SHARP else abs(error) - SHARP / 2


def test_the_four_terms_by_hand() -> None:
    """Of a network that always says (0.3, -0.05), under a warp of (0.5, 0.2) everywhere."""
    size, said, step = Size(4, 2, 2.0), (0.3, -0.05), (0.5, 0.2)
    pair = pair_of(0.0, 0.0, 30, 38).double()
    warps = flow_of(30, 38, *step)
    calls: list[Tensor] = []
    loss, terms = registration.sum_terms(constant(*said, calls), pair, warps, size)
    # w and then u is w + u, of which the network says u; of the reference itself it is w
    composed = sum(map(smooth_l1, step)) / 2
    itself = sum(smooth_l1(s - u) for s, u in zip(step, said, strict=True)) / 2
    assert terms["composition"] == pytest.approx(composed + itself, rel=1e-9)
    assert terms["identity"] == pytest.approx(sum(map(smooth_l1, said)) / 2, rel=1e-9)
    assert terms["consistency"] == pytest.approx(sum(smooth_l1(2 * u) for u in said) / 2, rel=1e-9)
    inside = registration.normalise(pair[..., 5:-5, 5:-5])
    seen = registration.warp(inside[:, 1:], flow_of(20, 28, *said))
    image = functional.smooth_l1_loss(seen, inside[:, :1])
    assert terms["image"] == pytest.approx(float(image), rel=1e-9)
    assert loss == pytest.approx(float(sum(terms.values())), rel=1e-9)
    # what the network was shown: the pair, the warped reference beside the moving image, …
    (shown,) = calls
    assert shown.shape == (5, 2, 20, 28)
    reference, moving = pair[0, :, 5:-5, 5:-5]
    warped = registration.warp(pair[:, :1], warps)[0, 0, 5:-5, 5:-5]
    expected = [(reference, moving), (warped, moving), (reference, reference),
                (moving, reference), (warped, reference)]  # fmt: skip
    torch.testing.assert_close(shown, torch.stack([torch.stack(each) for each in expected]))


def test_flows_out_of_reach_count_nowhere() -> None:
    pair, size = pair_of(0, 0, 30, 38).double(), Size(4, 2, 1.0)
    _, terms = registration.sum_terms(constant(0, 0), pair, flow_of(30, 38, 0.9, 0.0), size)
    assert terms["composition"] == 0


def test_the_true_flow_has_no_loss_but_that_of_the_warps() -> None:
    """Where the moving image is a warped reference, and the network knows by how much."""
    high, wide = 60, 84
    image = torch.from_numpy(land(high, wide))[None, None]
    shift = (0.6, -0.5)
    pair = torch.cat([image, torch.from_numpy(moved(land(high, wide), *shift))[None, None]], 1)

    def knows(pairs: Tensor) -> Tensor:
        flows = torch.tensor([shift, shift, (0, 0), (-shift[0], -shift[1]), (0, 0)])
        return flows[:, :, None, None].expand(5, 2, *pairs.shape[2:]).double()

    _, terms = registration.sum_terms(knows, pair, flow_of(high, wide, 0, 0), Size(4, 2))
    assert max(float(terms[name]) for name in registration.TERMS[:3]) < 1e-12
    _, lost = registration.sum_terms(constant(0, 0), pair, flow_of(high, wide, 0, 0), Size(4, 2))
    assert terms["image"] < 0.1 * lost["image"]


# --- baselines ------------------------------------------------------------------------------------
def test_phase_correlation_finds_shifts_between_pixels() -> None:
    image = land(64, 48)
    for shift in ((0.65, -1.2), (-0.35, 0.5)):
        found = baselines.shift_whole(image, moved(image, *shift), 2.0)
        assert found.shape == (64, 48, 2)
        np.testing.assert_allclose(found[5, 7], shift, atol=0.051)


def test_windows_have_shifts_of_their_own() -> None:
    image = land(48, 128)
    beside = np.where(np.arange(128) < 64, moved(image, 0.5, 0.0), moved(image, 0.0, -0.75))
    found = baselines.shift_windows(image, beside, 2.0)
    np.testing.assert_allclose(found[10:-10, 16:40].mean((0, 1)), [0.5, 0], atol=0.12)
    np.testing.assert_allclose(found[10:-10, 88:112].mean((0, 1)), [0, -0.75], atol=0.12)


def test_end_point_errors_are_summarised_over_pixels() -> None:
    errors = np.concatenate([np.zeros(90), np.full(10, 2.0)])
    assert measures.summarise(errors) == {"mean": 0.2, "median": 0.0, "p95": 2.0}


# --- the stage ------------------------------------------------------------------------------------
SHIFTS = ((0.8, -0.3), (-0.5, 0.6), (0.9, 0.5), (-0.7, -0.4), (0.3, 0.9), (0.0, 0.0))
SMALL = {"width": "4", "depth": "2", "epochs": "3", "batch": "1", "lr": "2e-3", "device": "cpu"}
SIDE = 44


def write_pairs(path: Path, **given: Any) -> Path:
    """Six rows of land, of which high shows each with a shift of its own, in pixels of low."""
    bands = ("B2", "B8")
    form = sisr.Form(
        SIDE, {"low": sisr.Bands(bands, 10.0), "high": sisr.Bands(bands, 5.0)}, simulated=True
    )
    rng = np.random.default_rng(0)
    low, high = np.empty((6, SIDE, SIDE, 2)), np.empty((6, 2 * SIDE, 2 * SIDE, 2))
    for row, shift in enumerate(SHIFTS):
        true = ndimage.gaussian_filter(land(2 * SIDE, 2 * SIDE, row), 0.7, mode="wrap")
        seen = 1.1 * moved(true, 2 * shift[0], 2 * shift[1]) + 0.02  # two pixels of high are one
        for image, values in (
            (low, sisr.downscale(true[..., None], 2, 0.222)),
            (high, seen[..., None]),
        ):
            image[row, ..., 1:] = values
            image[row, ..., 0] = rng.random(image.shape[1:3])  # of B2, which must not count
    flow = np.broadcast_to(np.array(SHIFTS, np.float32)[:, None, None], (6, SIDE, SIDE, 2))
    stored = {
        name: np.rint(image * 10_000).astype(np.int16)
        for name, image in (("low", low), ("high", high))
    }
    pair_files.write(path, form, **stored, flow=np.ascontiguousarray(flow), **given)
    return path


def command(src: Path, dst: Path, **flags: str) -> list[str]:
    return [
        f"--{name}={value}" for name, value in {"src": src, "dst": dst, **SMALL, **flags}.items()
    ]


def make(src: Path, dst: Path, **flags: str) -> Path:
    cli.main(stage.run, command(src, dst, **flags))
    return dst


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs") / "pairs.h5")


@pytest.fixture(scope="module")
def product(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(pairs, tmp_path_factory.mktemp("product") / "made")


def read_json(path: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(path.read_text())
    return told


def test_the_metrics_are_those_of_the_file(product: Path) -> None:
    told = read_json(product / "metrics.json")
    splits = told["splits"]
    assert [splits[name]["rows"] for name in sisr.SPLITS] == [2, 2, 1]
    for split, rows in (("training", (0, 3)), ("validation", (1, 4)), ("testing", (2,))):
        still = np.mean([np.hypot(*SHIFTS[row]) for row in rows])
        assert splits[split]["no registration"]["epe"]["mean"] == pytest.approx(still, abs=1e-4)
        assert splits[split]["phase correlation"]["epe"]["mean"] < 0.1
        assert splits[split]["network"]["epe"]["mean"] < 0.15
        before, after = (splits[split][of]["correlation"] for of in ("no registration", "network"))
        assert before < 0.97 < 0.99 < after
    assert (told["band"], told["metres"], told["steps"]) == ("B8", 10.0, 6)
    assert told["trained_epochs"] == 3
    assert told["onnx_difference"] < 1e-3


def test_files_for_people(product: Path) -> None:
    for name in ("flow.png", "curves.png"):
        assert (product / name).read_bytes().startswith(b"\x89PNG")
    header, *lines = (product / "curves.csv").read_text().splitlines()
    named = ("loss", *registration.TERMS)
    wanted = [*(f"train {name}" for name in named), *(f"validation {name}" for name in named)]
    assert header.split(",") == ["network", "epoch", *wanted, "validation EPE"]
    assert len(lines) == 3
    losses = [float(line.split(",")[header.split(",").index("validation loss")]) for line in lines]
    assert read_json(product / "metrics.json")["kept_epoch"] == 1 + int(np.argmin(losses))
    assert not (product / "work").exists()


def test_the_registrar_and_the_onnx_file_say_where_the_other_image_shows_it(
    product: Path, pairs: Path
) -> None:
    registrar = sessions.Registrar(product)
    assert (registrar.band, registrar.metres) == ("B8", 10.0)
    assert read_json(product / registration.CARD)["mtf"] == 0.222
    with sisr.Pairs(pairs) as file:
        band = images.choose_band(file, None, 2.0)
        seen = images.read(file, np.array([2, 4]), band, "read")
    flow = registrar.flow(seen.both[:, 0].numpy(), seen.both[:, 1].numpy(), 0)
    assert flow.shape == (2, SIDE, SIDE, 2)
    means = flow[:, 8:-8, 8:-8].mean((1, 2))
    np.testing.assert_allclose(means, [SHIFTS[2], SHIFTS[4]], atol=0.1)
    card = read_json(product / registration.CARD)
    size = registration.Size(card["width"], card["depth"], card["max_offset"], card["guess"])
    network = registration.RegistrationNetwork(size).eval()
    network.load_state_dict(load_file(product / registration.TENSORS))
    for part in (seen.both, seen.both[:1, :, 3:30, :41]):
        made = registrar.flow(part[:, 0].numpy(), part[:, 1].numpy(), 0)
        with torch.no_grad():
            expected = network(part).permute(0, 2, 3, 1).numpy()
        np.testing.assert_allclose(made, expected, atol=1e-3)


def test_a_second_run_and_a_killed_one_give_the_same_bytes(
    product: Path, pairs: Path, tmp_path: Path
) -> None:
    dst, argv = tmp_path / "again", command(pairs, tmp_path / "again")
    process = subprocess.Popen(
        [sys.executable, "-m", "stages.register.main", *argv], cwd=ROOT, stderr=-3, stdout=-3
    )
    kept = tmp_path / "again.partial" / "work" / "network.ckpt"
    while not kept.exists() and process.poll() is None:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert kept.exists()
    assert not dst.exists()
    make(pairs, dst)
    assert record.digest(dst) == record.digest(product)


def test_two_processes_share_each_step_and_end_with_what_one_makes(tmp_path: Path) -> None:
    """Steps of four rows and of one, which both processes see; no row is left for testing."""
    src = write_pairs(tmp_path / "pairs.h5", split=np.array([0, 0, 0, 0, 0, 1], np.uint8))
    more, both = {"epochs": "2", "batch": "4"}, tmp_path / "both"
    alone = make(src, tmp_path / "alone", **more)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    words = [*launch, "-m", "stages.register.main", *command(src, both, **more)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    ours, theirs = (
        np.genfromtxt(made / "curves.csv", delimiter=",", skip_header=1)[:, 1:]
        for made in (both, alone)
    )
    assert ours.shape == (2, 12)
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)
    assert set(read_json(both / "metrics.json")["splits"]) == {"training", "validation"}


def test_another_seed_gives_another_network(pairs: Path, tmp_path: Path) -> None:
    one, other = (
        make(pairs, tmp_path / seed, seed=seed, epochs="1", guess="false") for seed in ("6", "7")
    )
    assert (one / registration.TENSORS).read_bytes() != (other / registration.TENSORS).read_bytes()


def test_pairs_without_truth_have_a_correlation_alone(tmp_path: Path) -> None:
    src = tmp_path / "real.h5"
    rng = np.random.default_rng(3)
    form = sisr.Form(
        22, {"low": sisr.Bands(("B8A", "B5"), 20.0), "high": sisr.Bands(("B5", "B8A"), 5.0)}
    )
    high = rng.integers(500, 4000, (6, 88, 88, 2), np.int16)
    low = high.reshape(6, 22, 4, 22, 4, 2).mean((2, 4)).astype(np.int16)[..., ::-1]
    pair_files.write(src, form, low=np.ascontiguousarray(low), high=high)
    made = make(src, tmp_path / "made", epochs="1", guess="false")
    told = read_json(made / "metrics.json")
    assert (told["band"], told["metres"]) == ("B8A", 20.0)
    assert set(told["splits"]["testing"]["network"]) == {"correlation"}
    assert told["splits"]["testing"]["no registration"]["correlation"] > 0.8
    assert "EPE" not in (made / "curves.csv").read_text()


# --- refusals -------------------------------------------------------------------------------------
def refuse(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit, match="2"):
        cli.main(stage.run, argv)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"band": "B4"}, "--band: expected a band of low of .* found B4"),
        ({"band": "B8A"}, "--band: expected a band of low of .* found B8A"),
        ({"max_offset": "9"}, "expected 30 pixels along a side of low or more, found 22"),
        ({"correlation": "0.9"}, "expected training rows with a correlation of at least 0.9"),
        ({"width": "3"}, "--width: expected 4 to 256, found 3"),
        ({"lr": "1e9"}, "training diverged in epoch 1; lower --lr"),
    ],
)
def test_refusals(
    flags: dict[str, str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    src = tmp_path / "pairs.h5"
    pair_files.write(src, pair_files.form(22))
    found = refuse(command(src, tmp_path / "dst", **flags), capsys)
    assert re.search(message, found), found
    assert not (tmp_path / "dst").exists()


def test_a_file_without_rows_of_a_split_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    src = tmp_path / "pairs.h5"
    pair_files.write(src, pair_files.form(22), split=np.array([0, 0, 0, 0, 2, 3], np.uint8))
    assert "expected validation rows, found none" in refuse(command(src, tmp_path / "dst"), capsys)


def test_an_onnx_file_that_says_something_else_is_noticed(tmp_path: Path) -> None:
    class Fixed(torch.nn.Module):
        """What depends on the size of the example."""

        def forward(self, pairs: Tensor) -> Tensor:
            return pairs * float(pairs.shape[2])

    with pytest.raises(onnx_file.ParityError):
        onnx_file.export_network(Fixed(), tmp_path / "wrong.onnx")

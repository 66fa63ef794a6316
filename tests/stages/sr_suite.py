"""What every super-resolution stage has to do, written once; `Suite` runs it for one method.

A stage's own test file subclasses `Suite` (`ThreeChannels` where published networks of three
channels are folded into one, `Matching` where bands are matched as well), says what its networks
are, and adds the tests of its layouts and its mathematics. Which scales and flags a stage has is
read from the method's record and from the signature of the stage.
"""

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

import stages.weights.main
from shared import cli, patches
from shared.backend import weights as backend
from shared.sr import forward
from shared.sr.methods import load_all
from tests import weight_forms
from tests.conftest import pixels, write_patches, write_raw

ROWS, HEIGHT, WIDTH = 7, 16, 12
TYPOS = {"match": "mach", "channel": "chanel"}
REFUSALS = {  # flags that no stage takes
    "--precision=int8": "--precision: expected float32, bfloat16 or float16, found 'int8'",
    "--precision=float16": "--precision: float16 needs a CUDA device",
    "--batch=0": "--batch: expected at least 1, found 0",
    "--shard=3/2": "--shard: expected 1 to n",
}
MIX = {"first": (1.0, 0.0, 0.0), "mean": (1 / 3, 1 / 3, 1 / 3), "luma": (0.299, 0.587, 0.114)}
Capture = pytest.CaptureFixture[str]
Tensors = dict[str, torch.Tensor]
Published = tuple[str, int, int]  # key of the state dict in the file, scale, learnt numbers
Plain = tuple[nn.Module, Tensors, int, tuple[int, int]]  # network, its file, scale, patch to try


def small(arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The same rows with fewer pixels."""
    return {n: a[:, :HEIGHT, :WIDTH] if n.startswith("sen") else a for n, a in arrays.items()}


def mix(images: torch.Tensor, channel: str) -> torch.Tensor:
    """(M, 3, H, W) to (M, 1, H, W), the band that a stage makes of three outputs."""
    return torch.einsum("mkhw,k->mhw", images, torch.tensor(MIX[channel]))[:, None]


class Suite:
    """The tests of one stage; see the attributes for what a subclass says.

    Attributes:
        method: name of the record in shared/sr/methods; the stage is sr_NAME.
        scale: of the small weights.
        channels: of the small weights.
        title: what messages call the network of the weights.
        tensor: one tensor of the small weights, renamed and spoilt by the tests.
        side: least pixels per side of a patch.
        weights_know_scale: whether weights of another scale are refused.
        bfloat16_steps: how many steps of 0.0001 reduced precision may cost.
        refusals: further flags, each with its message.
        network_flags: further flags that the network is loaded with, each with its value.
    """

    method: ClassVar[str]
    title: ClassVar[str]
    tensor: ClassVar[str]
    scale: ClassVar[int] = 2
    channels: ClassVar[int] = 1
    side: ClassVar[int] = 2
    weights_know_scale: ClassVar[bool] = True
    bfloat16_steps: ClassVar[int] = 10
    refusals: ClassVar[dict[str, str]] = {}
    network_flags: ClassVar[dict[str, Any]] = {}

    def network(self, channels: int) -> nn.Module:
        """A small random network of 1 or 3 channels, all of whose layers matter."""
        raise NotImplementedError

    @staticmethod
    def load(path: Path, scale: int, channel: str) -> nn.Module:
        """(M, 1, H, W) to (M, 1, scale * H, scale * W), as the stage reads it from a file."""
        raise NotImplementedError

    def tensors(self) -> Tensors:
        """The small weights."""
        return self.network(self.channels).state_dict()

    def misfits(self) -> dict[str, Tensors]:
        """Weights that do not fit, each behind what the refusal has to say."""
        return {}

    def neutral(self) -> Tensors:
        """Weights that only interpolate; none where a network cannot."""
        return {}

    @pytest.fixture
    def few(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """Seven small patches in So2Sat's own layout, alone in their folder."""
        return write_raw(tmp_path_factory.mktemp("few") / "training.h5", small(pixels(ROWS)))

    @pytest.fixture
    def stored(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """The same patches as `prepare` writes them, alone in their folder."""
        return write_patches(tmp_path_factory.mktemp("stored") / "training.h5", small(pixels(ROWS)))

    @pytest.fixture
    def weights(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """The small weights as a file."""
        path = tmp_path_factory.mktemp("weights") / "small.safetensors"
        save_file(self.tensors(), path)
        return path

    @property
    def run(self) -> Callable[..., None]:
        """The stage."""
        return importlib.import_module(f"stages.sr_{self.method}.main").run  # type: ignore[no-any-return]

    @property
    def plain_flags(self) -> tuple[str, ...]:
        """Flags with which the stage changes nothing after the network."""
        return load_all()[self.method].flags_with_own_weights

    def command(self, src: Path, dst: Path, weights: Path, *flags: str) -> NDArray[Any]:
        """Run the stage as its container does; the stored sen2."""
        arguments = [f"--src={src}", f"--dst={dst}", f"--weights={weights}", "--device=cpu", *flags]
        if not any(flag.startswith("--scale=") for flag in flags):
            arguments.append(f"--scale={self.scale}")
        cli.main(self.run, arguments)
        with h5py.File(dst) as file:
            return np.asarray(file["sen2"])

    def refuse(self, src: Path, weights: Path, capsys: Capture, *flags: str) -> str:
        """The only line that a refused run writes; it leaves nothing behind."""
        with pytest.raises(SystemExit, match="2"):
            self.command(src, src.with_name("out.h5"), weights, *flags)
        assert [src] == list(src.parent.iterdir())
        return capsys.readouterr().err

    def enlarge_band(self, few: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """A band of a patch, (H, W), and its values in 0 … 1 enlarged by the plain network."""
        with h5py.File(few) as file:
            band = file["sen2"][4, :, :, 7].astype(np.float32)
        unit = torch.from_numpy((band - band.min()) / np.ptp(band))
        with torch.inference_mode():
            large = self.network(self.channels)(unit.expand(1, self.channels, *unit.shape))
        if self.channels == 3:
            large = mix(large, inspect.signature(self.run).parameters["channel"].default)
        return band, large[0, 0].numpy()

    def test_every_band_is_enlarged_on_its_own(self, few: Path, weights: Path) -> None:
        values = self.command(few, few.with_name("x.h5"), weights, *self.plain_flags)
        band, large = self.enlarge_band(few)
        expected = (large * np.ptp(band) + band.min()).clip(0, 2.8)
        np.testing.assert_allclose(values[4, :, :, 7] / 1e4, expected, atol=6e-5)

    def test_what_the_network_is_loaded_with(
        self, few: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given, flags = [], ["--channel=mean", *self.network_flags]
        if "channel" not in inspect.signature(self.run).parameters:
            pytest.skip("this network takes its channels as they are")

        def stop(*arguments: Any) -> None:
            given.append(arguments)
            raise KeyboardInterrupt

        monkeypatch.setattr(sys.modules[self.load.__module__], "load", stop)
        with pytest.raises(SystemExit, match="130"):
            self.command(few, few.with_name("x.h5"), weights, *flags)
        assert given == [(weights, self.scale, "mean", *self.network_flags.values())]

    def test_one_channel_of_sr_train_is_used_as_it_is(self, weights: Path) -> None:
        network, grey = self.network(1), torch.rand(2, 1, 16, 15)
        save_file(network.state_dict(), weights)
        with torch.inference_mode():
            enlarged = self.load(weights, self.scale, "luma").eval()(grey)
            torch.testing.assert_close(enlarged, network(grey), atol=1e-6, rtol=0)

    @pytest.mark.parametrize("plain", [False, True])
    def test_constant_bands_stay_constant_and_labels_go_along(
        self, few: Path, weights: Path, plain: bool
    ) -> None:
        if plain and not self.plain_flags:
            pytest.skip("this stage changes nothing after the network")
        with h5py.File(few, "a") as file:
            file["sen2"][2, :, :, 0] = 0
            file["sen2"][3, :, :, 2] = 0.125
            file["sen2"][4] = 0  # nodata
            file["sen2"][5, :, :, 1] = 5.5
            file["sen2"][6, 3:5] = (-0.5, 7.0, *[0.1] * 8)
        dst = few.with_name("x.h5")
        values = self.command(few, dst, weights, *(self.plain_flags if plain else ()))
        assert values.shape == (ROWS, HEIGHT * self.scale, WIDTH * self.scale, 10)
        assert values.dtype == np.uint16
        assert not values[2, :, :, 0].any()
        assert (values[3, :, :, 2] == 1250).all()
        assert not values[4].any()
        assert (values[5, :, :, 1] == 28_000).all()
        with patches.read(dst, "sen2", "label") as source:
            assert source.labels().tolist() == list(range(ROWS))
            assert 0 <= source["sen2"][:].min() <= source["sen2"][:].max() <= np.float32(2.8)
            assert source.statistics("sen2")[0].shape == (10,)

    @pytest.mark.parametrize("precision", ["float32", "bfloat16"])
    @pytest.mark.parametrize("batch", [1, ROWS])
    def test_reruns_and_batches_have_the_same_bytes(
        self, stored: Path, weights: Path, batch: int, precision: str
    ) -> None:
        first, second = stored.with_name("a.h5"), stored.with_name("b.h5")
        self.command(stored, first, weights, f"--precision={precision}", "--batch=3")
        self.command(stored, second, weights, f"--precision={precision}", f"--batch={batch}")
        assert first.read_bytes() == second.read_bytes()

    @pytest.mark.parametrize("count", [2, 9])  # 9 shards of 7 rows: some are empty
    def test_shards_joined_are_the_whole(self, stored: Path, weights: Path, count: int) -> None:
        whole, parts = self.command(stored, stored.with_name("whole.h5"), weights), []
        for i in range(1, count + 1):
            flags = (f"--shard={i}/{count}", f"--batch={count}")
            parts.append(self.command(stored, stored.with_name(f"{i}.h5"), weights, *flags))
        np.testing.assert_array_equal(np.concatenate(parts), whole)

    def test_bfloat16_is_close(self, stored: Path, weights: Path) -> None:
        exact = self.command(stored, stored.with_name("a.h5"), weights).astype(int)
        rounded = self.command(stored, stored.with_name("b.h5"), weights, "--precision=bfloat16")
        assert 0 < np.abs(rounded - exact).max() < self.bfloat16_steps

    def test_continues_after_a_crash(
        self, stored: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = self.command(stored, stored.with_name("whole.h5"), weights)
        apply, rows = forward.apply, []

        def crash_once(*args: Any, **flags: Any) -> NDArray[Any]:
            rows.append(len(args[1]) // flags["per_patch"])
            if len(rows) == 3:
                raise OSError("the machine is gone")
            return apply(*args, **flags)

        monkeypatch.setattr(forward, "apply", crash_once)
        dst = stored.with_name("out.h5")
        with pytest.raises(SystemExit, match="1"):
            self.command(stored, dst, weights, "--batch=2")
        assert not dst.exists()
        again = self.command(stored, dst, weights, "--batch=2")
        np.testing.assert_array_equal(again, whole)
        assert rows == [2, 2, 2, 2, 1]  # 4 rows were on disk and not computed again

    def test_refuses(self, few: Path, weights: Path, capsys: Capture) -> None:
        refusals = REFUSALS | self.refusals
        parameters = inspect.signature(self.run).parameters
        known = "channel" in parameters
        wrong = "--channel: expected first, mean or luma, found 'red'" if known else "--channel"
        refusals["--channel=red" if known else "--channel=luma"] = wrong
        typos = {name: typo for name, typo in TYPOS.items() if name in parameters}
        refusals |= {f"--{typo}=1": f"did you mean --{name}" for name, typo in typos.items()}
        training = load_all()[self.method].train
        scales = training.scales if training else load_all()[self.method].variants
        outside, allowed = (5, "2 to 4") if scales == (2, 3, 4) else (3, "2 or 4")
        refusals[f"--scale={outside}"] = f"--scale: expected {allowed}, found {outside}"
        if self.weights_know_scale:
            message = f"expected weights of --scale {6 - self.scale}, found scale {self.scale}"
            refusals[f"--scale={6 - self.scale}"] = message  # 4 for 2 and 2 for 4
        for flag, message in refusals.items():
            assert message in self.refuse(few, weights, capsys, flag), flag

    @pytest.mark.parametrize(
        "fault",
        ["loss beside", "missing", "shape", "whole numbers", "two networks", "gzip", "page"],
    )
    def test_says_how_weights_misfit(
        self, few: Path, weights: Path, capsys: Capture, fault: str
    ) -> None:
        tensors, path = dict(backend.read(weights)), weights.with_name("other.pth")
        name, count, value = self.tensor, len(tensors), tensors[self.tensor]
        beside = weight_forms.prefixed(tensors, "module.model.")
        beside |= {"module.loss.vgg.weight": value}
        given: dict[str, tuple[Any, list[str]]] = {
            "loss beside": (beside, [f"{count} of {count} keys fit after", "dropping 'model.'",
                                     "extra: loss.vgg.weight;", "--prefix model. takes those"]),
            "missing": ({n: t for n, t in tensors.items() if n != name}, ["missing: ", name]),
            "shape": (tensors | {name: value[..., None]}, [name]),
            "whole numbers": (tensors | {name: value.char()}, ["other type: ", name, "int8"]),
            "two networks": ({"a": tensors, "b": tensors},
                             ["a (with tensors), b (with tensors), none of which", "--key NAME"]),
            "gzip": (b"\x1f\x8b\x08", ["a file compressed with gzip; gunzip it first"]),
            "page": (b"<!DOCTYPE html>", ["a web page"]),
        }  # fmt: skip
        content, messages = given[fault]
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)
        line = self.refuse(few, path, capsys)
        assert [message for message in messages if message not in line] == [], line
        assert line.count("\n") == 1

    def spoil(self, fault: str, weights: Path) -> str:
        """Put one fault into the weights; what the refusal has to say."""
        tensors, name = load_file(weights) if fault in ("renamed", "nan") else {}, self.tensor
        if fault == "renamed":
            save_file({n + "s" if n == name else n: t for n, t in tensors.items()}, weights)
            return f"not {self.title} weights: missing: {name}; extra: {name}s"
        if fault == "nan":
            tensors[name].view(-1)[0] = torch.nan
            save_file(tensors, weights)
            return f"NaN or infinite values in {name}"
        if fault == "cut":
            weights.write_bytes(weights.read_bytes()[:-1])
            return "with nothing but tensors), found neither ("
        if fault == "foreign pth":
            torch.save({"params": {"alien": torch.zeros(1)}}, weights)
            return f"not {self.title} weights"
        if fault == "pickled pth":
            torch.save(Path("/"), weights)
            return "with nothing but tensors"
        weights.write_bytes(b"not weights")
        return "found neither ("

    @pytest.mark.parametrize(
        "fault", ["renamed", "nan", "cut", "foreign pth", "pickled pth", "text", "text pth"]
    )
    def test_refuses_weights(self, few: Path, weights: Path, capsys: Capture, fault: str) -> None:
        path = weights.rename(weights.with_suffix(".pth")) if "pth" in fault else weights
        message = self.spoil(fault, path)
        line = self.refuse(few, path, capsys)
        assert message in line
        assert str(path) in line
        assert ("alien" in line) == (fault == "foreign pth")
        assert line.count("\n") == 1

    def test_names_what_does_not_fit(self, few: Path, weights: Path, capsys: Capture) -> None:
        for message, tensors in self.misfits().items():
            save_file(tensors, weights)
            assert message in self.refuse(few, weights, capsys)

    @pytest.mark.parametrize("form", weight_forms.FORMS)
    def test_reads_weights_as_people_have_them(
        self, few: Path, weights: Path, capsys: Capture, form: str
    ) -> None:
        path, tensors = weight_forms.write(form, backend.read(weights), weights.parent)
        save_file(tensors, weights.with_name("plain.safetensors"))
        expected = self.command(few, few.with_name("a.h5"), weights.with_name("plain.safetensors"))
        capsys.readouterr()
        assert np.array_equal(self.command(few, few.with_name("b.h5"), path), expected)
        lines = [line for line in capsys.readouterr().err.splitlines() if str(path) in line]
        assert len(lines) == (form not in ("views", "parameters", "double", "legacy views",
                                           "torch as .safetensors"))  # fmt: skip
        assert "training" not in form or "taking 'state_dict' and dropping 'module.'" in lines[0]

    @pytest.mark.parametrize("legacy", [False, True])
    def test_a_module_is_converted_and_read(
        self, few: Path, weights: Path, capsys: Capture, legacy: bool
    ) -> None:
        whole, made = weights.with_name("whole.pth"), weights.with_name("made.safetensors")
        tensors = dict(backend.read(weights))
        weight_forms.save_module(whole, tensors, legacy)
        line = self.refuse(few, whole, capsys)
        assert "found a pickled module (network_gone.Net); " in line
        assert f"weights --src {whole} --dst data/weights/whole.safetensors\n" in line
        cli.main(stages.weights.main.run, [f"--src={whole}", f"--dst={made}"])
        loaded = load_file(made)
        assert loaded.keys() == tensors.keys()
        assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())
        expected = self.command(few, few.with_name("a.h5"), weights)
        assert np.array_equal(self.command(few, few.with_name("b.h5"), made), expected)

    @pytest.mark.parametrize("fault", ["nan", "bands", "name", "small"])
    def test_refuses_patches(self, few: Path, weights: Path, capsys: Capture, fault: str) -> None:
        if fault == "small" and self.side < 2:
            pytest.skip("this network takes patches of any size")
        arrays, least = small(pixels(ROWS)), f"expected at least {self.side} pixels a side"
        broken = arrays.pop("sen2")
        broken[6, 3, 3, 3] = np.nan
        size = f"({ROWS}, {HEIGHT}, {WIDTH}, 9)"
        images, message = {
            "nan": (broken, "sen2: NaN or infinite values in rows 6"),
            "bands": (broken[..., :9], f"sen2: expected (N, H, W, 10), found {size}"),
            "name": (broken[:0], "expected dataset 'sen2', found"),
            "small": (broken[:, : self.side - 1], f"{least}, found {self.side - 1} x {WIDTH}"),
        }[fault]
        arrays["Sen2" if fault == "name" else "sen2"] = images
        assert message in self.refuse(write_raw(few, arrays), weights, capsys)

    @pytest.mark.data
    def test_real_patches_come_back(self, real: Path, tmp_path: Path, weights: Path) -> None:
        if not (tensors := self.neutral()):
            pytest.skip("this network cannot be told to interpolate")
        sen2 = np.load(real / "sentinel2" / "l2a_patches.npy")[:8, 16:48, 16:48] / 1e4
        src = write_raw(tmp_path / "real.h5", {"sen2": sen2, "label": np.eye(17)[:8]})
        save_file(tensors, weights)
        large = self.command(src, tmp_path / "x.h5", weights, *self.plain_flags)
        self.check_real(sen2, large / 1e4)

    def check_real(self, sen2: NDArray[Any], large: NDArray[Any]) -> None:
        """(8, 32, 32, 10) reflectance and what weights that repeat each pixel made of it."""
        np.testing.assert_allclose(large, sen2.repeat(2, 1).repeat(2, 2), atol=1e-4)


class ThreeChannels(Suite):
    """The tests of a stage that folds published networks of three channels into one.

    Attributes:
        published: published files by their name.
        folded_within: most that folding changes of a number in 0 … 1.
    """

    channels = 3
    published: ClassVar[dict[str, Published]]
    folded_within: ClassVar[float] = 1e-5

    def published_tensors(self, name: str) -> Tensors:
        """Random numbers under the names and in the shapes of a published file."""
        raise NotImplementedError

    def plain(self) -> Iterator[Plain]:
        """Small networks of three channels: all ways to enlarge, odd sides, borders."""
        raise NotImplementedError

    def test_published_layout_loads(self, tmp_path: Path) -> None:
        for name, (wrapper, scale, parameters) in self.published.items():
            tensors = self.published_tensors(name)
            made = [t for n, t in tensors.items() if not n.endswith(("attn_mask", "_index"))]
            assert sum(tensor.numel() for tensor in made) == parameters, name
            torch.save({wrapper: tensors} if wrapper else tensors, tmp_path / "w.pth")
            with torch.inference_mode():
                network = self.load(tmp_path / "w.pth", scale, "luma").eval()
                image = network(torch.rand(1, 1, 8, 8))
            assert image.shape == (1, 1, 8 * scale, 8 * scale), name
            assert image.isfinite().all(), name

    @pytest.mark.parametrize("channel", MIX)
    def test_folded_is_the_published_network(self, weights: Path, channel: str) -> None:
        """Three equal channels in, one of three out; also at borders, where 0 is not the mean."""
        for network, tensors, scale, size in self.plain():
            save_file(tensors, weights)
            grey = torch.rand(3, 1, *size)
            with torch.inference_mode():
                three = network(grey.expand(-1, 3, -1, -1))
                enlarged = self.load(weights, scale, channel).eval()(grey)
            assert enlarged.shape == (3, 1, size[0] * scale, size[1] * scale)
            assert (three[:, 0] - three[:, 1]).abs().max() > 0.01  # the choice of a channel is one
            expected = mix(three, channel)
            torch.testing.assert_close(enlarged, expected, atol=self.folded_within, rtol=0)


class Matching(ThreeChannels):
    """The tests of a stage that gives bands the mean and the deviation of its input."""

    def test_bands_are_matched(self, few: Path, weights: Path) -> None:
        values = self.command(few, few.with_name("x.h5"), weights)
        band, large = self.enlarge_band(few)
        boxes = large.reshape(HEIGHT, self.scale, WIDTH, self.scale).mean((1, 3))
        expected = (large - boxes.mean()) * band.std() / boxes.std() + band.mean()
        np.testing.assert_allclose(values[4, :, :, 7] / 1e4, expected.clip(0, 2.8), atol=6e-5)

    @pytest.mark.parametrize("flags", [(), ("--nomatch",)])
    def test_match_gives_the_statistics_of_the_input(
        self, few: Path, weights: Path, flags: tuple[str, ...]
    ) -> None:
        with h5py.File(few, "a") as file:
            file["sen2"][...] += 0.5  # so that nothing is clipped
            file["sen2"][3, :, :, 2] = 0.125
            sen2 = file["sen2"][:]
        values = self.command(few, few.with_name("x.h5"), weights, *flags)
        assert (values[3, :, :, 2] == 1250).all()
        boxes = values.reshape(ROWS, HEIGHT, self.scale, WIDTH, self.scale, 10).mean((2, 4)) / 1e4
        same = np.allclose(boxes.mean((1, 2)), sen2.mean((1, 2)), atol=1e-4)
        assert same == (not flags)
        assert np.allclose(boxes.std((1, 2)), sen2.std((1, 2)), atol=1e-4) == (not flags)

"""What every super-resolution stage has to do, written once; `Suite` runs it for one method.

A stage's own test file subclasses `Suite`, says how to write small weights, and adds the tests of
its layouts and its mathematics. Which scales and flags a stage has is read from the method's record
and from the signature of the stage.
"""

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from shared import cli, patches
from shared.sr import forward
from shared.sr.methods import load_all
from tests.conftest import pixels, write_patches, write_raw

ROWS, HEIGHT, WIDTH = 7, 16, 12
TYPOS = {"match": "mach", "channel": "chanel"}
Tensors = dict[str, torch.Tensor]


def small(arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The same rows with fewer pixels."""
    return {n: a[:, :HEIGHT, :WIDTH] if n.startswith("sen") else a for n, a in arrays.items()}


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Seven small patches in So2Sat's own layout, alone in their folder."""
    (tmp_path / "few").mkdir()
    return write_raw(tmp_path / "few" / "training.h5", small(pixels(ROWS)))


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """The same patches as `prepare` writes them, alone in their folder."""
    (tmp_path / "stored").mkdir()
    return write_patches(tmp_path / "stored" / "training.h5", small(pixels(ROWS)))


class Suite:
    """The tests of one stage; see the attributes for what a subclass says.

    Attributes:
        method: name of the record in shared/sr/methods; the stage is sr_NAME.
        scale: of the small weights.
        title: what messages call the network of the weights.
        tensor: one tensor of the small weights, renamed and spoilt by the tests.
        side: least pixels per side of a patch.
        weights_know_scale: whether weights of another scale are refused.
        bfloat16_steps: how many steps of 0.0001 reduced precision may cost.
        refusals: further flags, each with its message.
    """

    method: ClassVar[str]
    title: ClassVar[str]
    tensor: ClassVar[str]
    scale: ClassVar[int] = 2
    side: ClassVar[int] = 2
    weights_know_scale: ClassVar[bool] = True
    bfloat16_steps: ClassVar[int] = 10
    refusals: ClassVar[dict[str, str]] = {}

    def tensors(self) -> Tensors:
        """Small random weights, whose layers all matter."""
        raise NotImplementedError

    def band(self, weights: Path, unit: torch.Tensor) -> torch.Tensor:
        """(H, W) in 0 … 1 to (scale * H, scale * W) by the plain network, for a comparison."""
        raise NotImplementedError

    @pytest.fixture
    def weights(self, tmp_path: Path) -> Path:
        """The small weights as a file."""
        (tmp_path / "weights").mkdir()
        path = tmp_path / "weights" / "small.safetensors"
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

    def refuse(
        self, src: Path, weights: Path, capsys: pytest.CaptureFixture[str], *flags: str
    ) -> str:
        """The only line that a refused run writes; it leaves nothing behind."""
        with pytest.raises(SystemExit, match="2"):
            self.command(src, src.with_name("out.h5"), weights, *flags)
        assert [src] == list(src.parent.iterdir())
        return capsys.readouterr().err

    def test_every_band_is_enlarged_on_its_own(self, few: Path, weights: Path) -> None:
        values = self.command(few, few.with_name("x.h5"), weights, *self.plain_flags)
        with h5py.File(few) as file:
            band = file["sen2"][4, :, :, 7].astype(np.float32)
        unit = torch.from_numpy((band - band.min()) / np.ptp(band))
        with torch.inference_mode():
            large = self.band(weights, unit).numpy()
        expected = (large * np.ptp(band) + band.min()).clip(0, 2.8)
        np.testing.assert_allclose(values[4, :, :, 7] / 1e4, expected, atol=6e-5)

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
        whole = self.command(stored, stored.with_name("whole.h5"), weights)
        parts = []
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

    @pytest.mark.parametrize(
        ("flag", "message"),
        [
            (
                "--precision=int8",
                "--precision: expected float32, bfloat16 or float16, found 'int8'",
            ),
            ("--precision=float16", "--precision: float16 needs a CUDA device"),
            ("--batch=0", "--batch: expected at least 1, found 0"),
            ("--shard=3/2", "--shard: expected 1 to n"),
        ],
    )
    def test_refuses(
        self, few: Path, weights: Path, capsys: pytest.CaptureFixture[str], flag: str, message: str
    ) -> None:
        assert message in self.refuse(few, weights, capsys, flag)

    def test_refuses_its_own_flags(
        self, few: Path, weights: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        refusals = dict(self.refusals)
        parameters = inspect.signature(self.run).parameters
        if "channel" in parameters:
            refusals["--channel=red"] = "--channel: expected first, mean or luma, found 'red'"
        else:
            refusals["--channel=luma"] = "--channel"
        for name, typo in TYPOS.items():
            if name in parameters:
                refusals[f"--{typo}=1"] = f"did you mean --{name}"
        training = load_all()[self.method].train
        scales = training.scales if training else load_all()[self.method].variants
        outside = 5 if scales == (2, 3, 4) else 3
        allowed = "2 to 4" if scales == (2, 3, 4) else "2 or 4"
        refusals[f"--scale={outside}"] = f"--scale: expected {allowed}, found {outside}"
        if self.weights_know_scale:
            other = next(scale for scale in (4, 2) if scale != self.scale)
            message = f"expected weights of --scale {other}, found scale {self.scale}"
            refusals[f"--scale={other}"] = message
        for flag, message in refusals.items():
            assert message in self.refuse(few, weights, capsys, flag), flag

    def spoil(self, fault: str, weights: Path) -> tuple[Path, str]:
        """Other weights with one fault, and what the refusal has to say."""
        tensors, name = load_file(weights), self.tensor
        if fault == "renamed":
            save_file({n + "s" if n == name else n: t for n, t in tensors.items()}, weights)
            return weights, f"not {self.title} weights: missing: {name}; extra: {name}s"
        if fault == "nan":
            tensors[name].view(-1)[0] = torch.nan
            save_file(tensors, weights)
            return weights, f"NaN or infinite values in {name}"
        if fault == "cut":
            weights.write_bytes(weights.read_bytes()[:-1])
            return weights, "with nothing but tensors), found neither ("
        path = weights.with_name("other.pth" if "pth" in fault else "other.safetensors")
        if fault == "foreign pth":
            torch.save({"params": {"alien": torch.zeros(1)}}, path)
            return path, f"not {self.title} weights"
        if fault == "pickled pth":
            torch.save(Path("/"), path)
            return path, "with nothing but tensors"
        path.write_bytes(b"not weights")
        return path, "found neither ("

    @pytest.mark.parametrize(
        "fault", ["renamed", "nan", "cut", "foreign pth", "pickled pth", "text", "text pth"]
    )
    def test_refuses_weights(
        self, few: Path, weights: Path, capsys: pytest.CaptureFixture[str], fault: str
    ) -> None:
        path, message = self.spoil(fault, weights)
        line = self.refuse(few, path, capsys)
        assert message in line
        assert str(path) in line
        assert ("alien" in line) == (fault == "foreign pth")
        assert line.count("\n") == 1

    @pytest.mark.parametrize("fault", ["nan", "bands", "name", "small"])
    def test_refuses_patches(
        self, few: Path, weights: Path, capsys: pytest.CaptureFixture[str], fault: str
    ) -> None:
        if fault == "small" and self.side < 2:
            pytest.skip("this network takes patches of any size")
        arrays = small(pixels(ROWS))
        if fault == "nan":
            arrays["sen2"][6, 3, 3, 3] = np.nan
        elif fault == "name":
            arrays["Sen2"] = arrays.pop("sen2")
        elif fault == "bands":
            arrays["sen2"] = arrays["sen2"][..., :9]
        else:
            arrays["sen2"] = arrays["sen2"][:, : self.side - 1]
        size = f"{self.side - 1} x {WIDTH}"
        message = {
            "nan": "sen2: NaN or infinite values in rows 6",
            "bands": f"sen2: expected (N, H, W, 10), found ({ROWS}, {HEIGHT}, {WIDTH}, 9)",
            "name": "expected dataset 'sen2', found",
            "small": f"expected at least {self.side} pixels a side, found {size}",
        }[fault]
        assert message in self.refuse(write_raw(few, arrays), weights, capsys)

    def enlarge_real(
        self, real: Path, folder: Path, tensors: Tensors
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Eight real patches, (8, 32, 32, 10) reflectance, and what the stage makes of them."""
        sen2 = np.load(real / "sentinel2" / "l2a_patches.npy")[:8, 16:48, 16:48] / 1e4
        src = write_raw(folder / "real.h5", {"sen2": sen2, "label": np.eye(17)[:8]})
        save_file(tensors, folder / "real.safetensors")
        flags = self.plain_flags
        large = self.command(src, folder / "x.h5", folder / "real.safetensors", *flags)
        return sen2, large / 1e4

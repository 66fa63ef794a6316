"""make cwl: files and folders by what descriptions say, types, flags, outputs, the workflow."""

import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest

from shared import cli
from shared.pipeline import build, read_settings
from shared.tools import flags
from shared.tools.cwl import description, kinds, main, workflow

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "shared" / "pipeline" / "sources"


@dataclass(frozen=True)
class Steps:
    """How it learns.

    Attributes:
        rate: of it.
        rows: which ones.
        mode: how.
    """

    rate: Annotated[float, cli.between(0, 1, above=True)] = 0.5
    rows: tuple[int, ...] = ()
    mode: Literal["a", "b"] = "b"


def run(
    *,
    src: tuple[Path, ...],
    dst: Path,
    model: Path | None = None,
    weigh: bool = True,
    name: str = "",
    steps: Steps = Steps(),
) -> None:
    """Do it,
    at once.

    Args:
        src: patch files.
        dst: file to write.
        model: model folder, or an ONNX file.
        weigh: whether.
        name: of it.
    """


BESIDE = [{"pattern": ".run.json", "required": False}]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("patch file with label", ("File",)),
        ("rows to take: a CSV file, or a MATLAB file with a table", ("File",)),
        ("state dict of the same architecture (.safetensors or .pth)", ("File",)),
        ("weights to write, safetensors, keys as published", ("File",)),
        ("folder with one ONNX file per member, model.json, scores", ("Directory",)),
        ("folder of teacher with train_logits.npy (N, K)", ("Directory",)),
        ("model folder with one network, or an ONNX file of others", ("File", "Directory")),
        ("a SAFE product as a folder or zip", ("File", "Directory")),
        ("folder to write. With a --shard other than 1/1 a file", ("File", "Directory")),
        ("file to write, of a classifier of Keras a model folder", ("File", "Directory")),
        ("products of any stage: patch files (HDF5), folders of scores", ("File", "Directory")),
        ("product of audit, of these rows", ("File", "Directory")),
    ],
)
def test_whether_a_path_is_a_file_or_a_folder(text: str, expected: tuple[str, ...]) -> None:
    assert kinds.read_kinds(text) == expected


@pytest.mark.parametrize("source", sorted(path.stem for path in SOURCES.glob("*.toml")))
def test_types_fit_every_product_of_the_pipeline(source: str) -> None:
    declared = {one.stage: one for one in flags.read_signatures(ROOT)}
    folders = {"SEN2VENUS": "tests", "WORLDSTRAT": "tests"}  # any will do
    given = {name: folder for name, folder in folders.items() if name.lower() == source}
    products = build(read_settings(source, given)).products
    paths = {product.path for product in products}
    for product in products:
        texts = {parameter.name: parameter.text for parameter in declared[product.stage].parameters}
        words = ["--dst", product.path, *product.flags]
        for name, value in itertools.pairwise(words):
            for path in paths & set(value.split(",")):
                kind = "File" if re.search(r"\.[a-z]\w+$", path) else "Directory"
                assert kind in kinds.read_kinds(texts[name.removeprefix("--")]), (product, name)


def test_each_parameter_is_a_typed_input_with_its_flag() -> None:
    start = description.in_image("lcz42-edge/x", network=False)
    made = description.describe(cli.read_signature(run), start)
    assert {name: entry["type"] for name, entry in made["inputs"].items()} == {
        "dst": "string", "src": "File[]", "model": ["null", "File", "Directory"],
        "weigh": "boolean?", "name": "string?", "rate": "double?", "rows": "long[]?",
        "mode": ["null", {"type": "enum", "symbols": ["a", "b"]}],
    }  # fmt: skip
    plain = {"prefix": "--rate=", "separate": False}
    assert made["inputs"]["rate"] == {
        "type": "double?", "inputBinding": plain,
        "doc": "of it. (number, above 0 to 1; default: 0.5)",
    }  # fmt: skip
    assert made["inputs"]["src"] == {
        "type": "File[]", "doc": "patch files.", "secondaryFiles": BESIDE,
        "inputBinding": {"prefix": "--src=", "separate": False, "itemSeparator": ","},
    }  # fmt: skip
    assert made["inputs"]["weigh"]["inputBinding"] == {"valueFrom": "--weigh=$(self)"}
    assert "secondaryFiles" not in made["inputs"]["model"]
    assert made["doc"] == "Do it, at once."


def test_a_product_comes_with_its_record() -> None:
    glob = {"glob": "$(inputs.dst)"}
    record = {"type": "File", "outputBinding": {"glob": "$(inputs.dst).run.json"}}
    cases = {
        "file to write": {"product": {"type": "File", "outputBinding": glob,
                                      "secondaryFiles": BESIDE}},
        "folder to write": {"product": {"type": "Directory", "outputBinding": glob},
                            "record": record},
    }  # fmt: skip
    for text, expected in cases.items():
        dst = cli.Parameter("dst", Path, text=text)
        assert description.describe_outputs(dst) == expected


def test_a_stage_starts_in_its_image_or_in_its_environment() -> None:
    image = main.list_starts(ROOT, "docker")
    assert image["sr-edsr"].words == ()
    assert image["sr-edsr"].requirements == {
        "DockerRequirement": {"dockerImageId": "lcz42-edge/sr-edsr"},
        "EnvVarRequirement": {
            "envDef": {"PYTHONPATH": "/app", "STAGE_VOLUME": "$(runtime.outdir)"}
        },
        "NetworkAccess": {"networkAccess": False},
    }
    fetches = [
        name for name, one in image.items() if one.requirements["NetworkAccess"]["networkAccess"]
    ]
    assert fetches == ["weights"]
    local = main.list_starts(ROOT, "local")["sr-edsr"]
    python = str(ROOT / ".venvs/sr_edsr/bin/python")
    assert local.words == (python, "-m", "stages.sr_edsr.main")
    assert "DockerRequirement" not in local.requirements


@pytest.mark.parametrize("below", ["", "cwl"])
def test_a_file_is_no_place_for_descriptions(
    tmp_path: Path, below: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a").write_text("kept")
    to = tmp_path / "a" / below
    assert main.main(["--runner", "local", "--to", str(to)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {to}: expected a folder to write into: ")
    assert said.count("\n") == 1
    assert (tmp_path / "a").read_text() == "kept"


def test_a_workflow_hands_the_product_on() -> None:
    start = description.in_image("lcz42-edge/x", network=False)
    one = description.describe(cli.read_signature(run), start) | {"id": "a-b"}
    made = workflow.chain(one, one | {"id": "c"}, "src")
    assert made["id"] == "a-b-c"
    assert set(made["inputs"]) == {f"a_b_{name}" for name in one["inputs"]} | {
        f"c_{name}" for name in one["inputs"] if name != "src"
    }
    assert made["inputs"]["a_b_rate"] == {"type": "double?", "doc": one["inputs"]["rate"]["doc"]}
    assert made["steps"]["c"]["run"] == "c.cwl"
    assert made["steps"]["c"]["in"]["src"] == "a-b/product"
    assert made["steps"]["c"]["in"]["rate"] == "c_rate"
    assert made["outputs"]["c_product"] == {
        "type": "File", "secondaryFiles": BESIDE, "outputSource": "c/product"
    }  # fmt: skip

"""The contract, for every folder in stages/: the part of the design that runs."""

import ast
import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from shared import cli
from shared.cli import help_text
from shared.tools import flags

ROOT = Path(__file__).resolve().parents[1]
STAGES = sorted(
    path.name for path in (ROOT / "stages").iterdir() if (path / "__init__.py").exists()
)
LONGEST = 200  # lines of a Python file
MODULES = 9  # in one folder of shared
POSITIONAL = 6  # arguments of a function
TORCH_CALLS = {"apply", "permute", "view"}  # torch takes these arguments by position only
# What may take more than a moment to import; none of it is needed to read a command line.
HEAVY = {
    *("torch", "torchvision", "lightning_fabric", "pytorch_lightning", "torchmetrics"),
    *("timm", "spandrel", "captum"),
    *("onnx", "onnxruntime", "gtda", "sklearn", "scipy", "pandas", "matplotlib", "PIL", "matio"),
    *("tifffile", "imagecodecs", "rasterio"),
    *("basicsr", "realesrgan", "cv2", "requests", "numba", "gudhi"),
}
# The rooms of shared/ that every stage may use; the others need packages of their own.
CONTRACT = ("cli", "models", "patches", "reading", "runs", "scenes", "scratch", "unfinished")
NOT_CONTRACT = {"figures.py"}  # needs matplotlib
PACKAGES = {"fire", "numpy", "h5py", "tqdm", "shared"}
BASE = "86adf8dbadc3d6e82ee5dd2c74bec2e1c2467cdad47886280501df722372d2e1"

each_stage = pytest.mark.parametrize("stage", STAGES)


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports(module: ast.AST) -> set[str]:
    """Dotted names that a module imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def top_level(module: ast.Module) -> ast.Module:
    """The module without its functions, classes and blocks for the type checker."""
    body = [node for node in module.body if isinstance(node, ast.Import | ast.ImportFrom)]
    return ast.Module(list(body), [])


def run_of(stage: str) -> ast.FunctionDef:
    functions = [
        node
        for node in tree(ROOT / "stages" / stage / "main.py").body
        if isinstance(node, ast.FunctionDef) and node.name == "run"
    ]
    assert len(functions) == 1, "expected one function `run` in main.py"
    return functions[0]


def read_signature(stage: str) -> cli.Signature:
    return cli.read_signature(importlib.import_module(f"stages.{stage}.main").run)


def python(stage: str) -> Path:
    """The interpreter of a stage's own environment; skips where it is not made."""
    path = ROOT / ".venvs" / stage / "bin" / "python"
    if not path.exists():
        pytest.skip(f"no .venvs/{stage}: make .venvs/{stage}")
    return path


# --- one name everywhere --------------------------------------------------------------------------
def test_names_are_the_same_everywhere() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    images = {path.parent.name for path in ROOT.glob("images/*/requirements.txt")}
    tests = {path.stem.removeprefix("test_") for path in ROOT.glob("tests/stages/test_*.py")}
    assert set(STAGES) == images == {name.replace("-", "_") for name in services}
    assert tests >= set(STAGES), "a stage without tests"
    for name, service in services.items():
        folder = name.replace("-", "_")
        assert re.fullmatch("[a-z][a-z0-9-]*", name)
        assert service["image"] == f"lcz42-edge/{name}"
        arguments = service["build"]["args"]
        assert (arguments["STAGE"], arguments["TITLE"]) == (folder, name)


@each_stage
def test_files_of_a_stage(stage: str) -> None:
    for place in (f"stages/{stage}/main.py", f"stages/{stage}/README.md"):
        assert (ROOT / place).is_file(), f"{place} is missing"
    for place in ("requirements.in", "requirements.txt"):
        assert (ROOT / "images" / stage / place).is_file(), f"images/{stage}/{place} is missing"


# --- a stage is a function ------------------------------------------------------------------------
@each_stage
def test_run_is_keyword_only_typed_and_documented(stage: str) -> None:
    run = run_of(stage)
    arguments = run.args
    others = (arguments.args, arguments.posonlyargs, arguments.vararg, arguments.kwarg)
    assert not any(others)
    assert run.returns is not None
    assert ast.unparse(run.returns) == "None"
    described = ast.get_docstring(run) or ""
    assert "Args:" in described
    signature = read_signature(stage)
    named = re.findall(r"^    (\w+): ", described.partition("Args:")[2], re.M)
    assert named == [p.name for p in signature.parameters if not p.group], "docstring, in order"
    for parameter in signature.parameters:  # of run and of its groups
        assert parameter.text, f"--{parameter.name}: not described"


@each_stage
def test_dst_is_required_and_the_seed_is_42(stage: str) -> None:
    signature = read_signature(stage)
    defaults = signature.defaults()
    assert "dst" in {parameter.name for parameter in signature.parameters if parameter.required}
    assert defaults.get("seed", 42) == 42
    assert defaults.get("shard", "1/1") == "1/1"
    assert defaults.get("device", "auto") == "auto"


@each_stage
def test_help_has_every_word_of_every_docstring(stage: str) -> None:
    signature = read_signature(stage)
    groups = [inspect.getdoc(group) or "" for group in signature.groups.values()]
    said = " ".join([inspect.getdoc(signature.run) or "", *groups])
    shown = help_text.render(signature, 80).split()
    lost = [word for word in said.split() if word not in {"Args:", "Attributes:"}]
    lost = [word for word in lost if word not in shown and f"--{word.rstrip(':')}" not in shown]
    assert lost == []


@each_stage
def test_flags_are_as_docs_say(stage: str) -> None:
    """A changed default, range, choice or meaning is a change that users see: `make flags`."""
    name = stage.replace("_", "-")
    _, begins, rest = (ROOT / flags.PLACE).read_text().partition(f"\n## [{name}]")
    assert begins, f"{flags.PLACE} lacks {name}: make flags"
    section = f"## [{name}]" + rest.partition("\n## ")[0]
    assert section.strip() == flags.render_stage(read_signature(stage)).strip(), "make flags"


def test_the_page_of_flags_is_as_make_writes_it() -> None:
    assert (ROOT / flags.PLACE).read_text() == flags.render(flags.read_signatures(ROOT))


@each_stage
def test_main_ends_by_handing_run_to_cli(stage: str) -> None:
    last = tree(ROOT / "stages" / stage / "main.py").body[-1]
    assert ast.unparse(last) == "if __name__ == '__main__':\n    cli.main(run)"


@each_stage
def test_help_answers_without_heavy_imports(stage: str) -> None:
    code = (
        f"import sys; from stages.{stage} import main; print(*sorted({HEAVY!r} & {{*sys.modules}}))"
    )
    done = subprocess.run(
        [python(stage), "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
    done = subprocess.run(
        [python(stage), "-m", f"stages.{stage}.main", "--help"],
        cwd=ROOT,
        env={**os.environ, "PAGER": "cat"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for parameter in read_signature(stage).parameters:
        assert f"--{parameter.name}" in done.stdout


# --- who imports whom -----------------------------------------------------------------------------
@each_stage
def test_main_imports_little_at_its_top(stage: str) -> None:
    names = imports(top_level(tree(ROOT / "stages" / stage / "main.py")))
    known = sys.stdlib_module_names | {"numpy", "h5py", "shared", "stages"}
    assert {name.partition(".")[0] for name in names} <= known
    assert "shared.cli" in names


@each_stage
def test_stages_never_import_each_other(stage: str) -> None:
    for path in (ROOT / "stages" / stage).rglob("*.py"):
        others = {name for name in imports(tree(path)) if name.startswith("stages.")}
        assert {name.split(".")[1] for name in others} <= {stage}, path


def test_shared_never_imports_a_stage() -> None:
    for path in (ROOT / "shared").rglob("*.py"):
        assert not {name for name in imports(tree(path)) if name.split(".")[0] == "stages"}, path


def test_only_one_module_imports_fire() -> None:
    paths = [*ROOT.glob("shared/**/*.py"), *ROOT.glob("stages/**/*.py")]
    importers = [
        path for path in paths if {n.split(".")[0] for n in imports(tree(path))} & {"fire"}
    ]
    assert importers == [ROOT / "shared" / "cli" / "arguments.py"]


def test_hdf5_is_opened_for_reading_in_one_place() -> None:
    """There every error of the library is one line; others write, or read through that place."""
    room = ROOT / "shared" / "patches" / "hdf5"
    writers = {
        *(
            "shared/patches/fields.py",
            "shared/patches/writer.py",
            "shared/patches/written.py",
            "shared/scenes/writer.py",
        ),
        "stages/demo/main.py",
    }
    reading = []
    for path in [*ROOT.glob("shared/**/*.py"), *ROOT.glob("stages/**/*.py")]:
        if room in path.parents:
            continue
        name, module = path.relative_to(ROOT).as_posix(), tree(path)
        if {n.split(".")[0] for n in imports(module)} & {"h5py"}:
            assert name in writers, f"{name}: read through shared.patches.hdf5"
        for node in ast.walk(module):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "h5py.File":
                modes = [ast.literal_eval(value) for value in node.args[1:]]
                reading += [] if modes in (["w"], ["r+"]) else [name]
    assert reading == []


def test_contract_needs_only_its_four_packages() -> None:
    rooms = [path for room in CONTRACT for path in (ROOT / "shared" / room).glob("*.py")]
    for path in [*(ROOT / "shared").glob("*.py"), *rooms]:
        if path.name in NOT_CONTRACT:
            continue
        for name in imports(tree(path)):
            assert name.split(".")[0] in sys.stdlib_module_names | PACKAGES, f"{path}: {name}"
            inner = name.split(".")[1] if name.startswith("shared.") else ""
            folder = (ROOT / "shared" / inner).is_dir() and bool(inner)
            assert not folder or inner in CONTRACT, f"{path}: {name}"


def test_rooms_have_one_door() -> None:
    """Code outside a room of `shared` imports what the room's `__all__` names, and nothing else."""
    for path in [*ROOT.glob("shared/**/*.py"), *ROOT.glob("stages/**/*.py")]:
        for name in imports(tree(path)):
            room = room_of(ROOT.joinpath(*name.split(".")))
            if room and room not in path.parents:
                shown = name.removeprefix(".".join(room.relative_to(ROOT).parts) + ".")
                assert shown in door(room), f"{path.relative_to(ROOT)}: {name} is past the door"


def room_of(target: Path) -> Path | None:
    """The innermost folder of `shared` that an imported dotted name lies in."""
    inside = [p for p in target.parents if p.is_dir() and ROOT / "shared" in p.parents]
    return inside[0] if inside else None


def door(room: Path) -> list[str]:
    """What a room offers: `__all__` of its `__init__.py`."""
    for node in tree(room / "__init__.py").body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def test_rooms_are_imported_in_one_direction() -> None:
    """Two rooms that import each other at their top would be one room."""
    edges: dict[str, set[str]] = {}
    for path in (ROOT / "shared").rglob("*.py"):
        own = path.relative_to(ROOT / "shared").parts[0]
        names = imports(top_level(tree(path)))
        rooms = {name.split(".")[1] for name in names if name.startswith("shared.")}
        edges.setdefault(own, set()).update(rooms - {own})
    while leaves := {room for room, others in edges.items() if not others & edges.keys()}:
        edges = {room: others for room, others in edges.items() if room not in leaves}
    assert edges == {}


@each_stage
def test_modules_of_a_stage_are_imported_in_one_direction(stage: str) -> None:
    """Imports for the type checker alone count, too: a reader follows them."""
    edges: dict[str, set[str]] = {}
    for path in (ROOT / "stages" / stage).glob("*.py"):
        names = {name for name in imports(tree(path)) if name.startswith(f"stages.{stage}.")}
        edges[path.stem] = {name.split(".")[2] for name in names} - {path.stem}
    while leaves := {name for name, others in edges.items() if not others & edges.keys()}:
        edges = {name: others for name, others in edges.items() if name not in leaves}
    assert edges == {}


def test_nothing_in_shared_imports_a_tool() -> None:
    for path in (ROOT / "shared").rglob("*.py"):
        if ROOT / "shared" / "tools" not in path.parents:
            tools = {name for name in imports(tree(path)) if name.startswith("shared.tools")}
            assert not tools, path


def test_rooms_are_small() -> None:
    for room in {path.parent for path in (ROOT / "shared").rglob("*.py")}:
        modules = [path for path in room.glob("*.py") if path.name != "__init__.py"]
        assert len(modules) <= MODULES, room


# --- what every file keeps to ---------------------------------------------------------------------
def test_files_are_short() -> None:
    paths = [*ROOT.glob("shared/**/*.py"), *ROOT.glob("stages/**/*.py")]
    lengths = {path.relative_to(ROOT).as_posix(): len(path.open().readlines()) for path in paths}
    kept = {path: n for path, n in lengths.items() if n > LONGEST and "/upstream/" not in path}
    assert kept == {}


def test_no_stage_makes_the_folder_around_its_product() -> None:
    """`work.make_folder` stops at the product: where that was moved away, none begins anew."""
    tools = {ROOT / "stages" / "report" / "picture.py"}  # no stage: it draws docs/picture.png
    paths = {*ROOT.glob("stages/**/*.py"), *ROOT.glob("shared/training/**/*.py")} - tools
    found = [path for path in paths if re.search(r"parents=True|makedirs", path.read_text())]
    assert found == []


def test_no_function_takes_more_than_six_positional_arguments() -> None:
    """More are grouped in a dataclass, or keyword-only and passed by keyword."""
    crowded = []
    for path in [*ROOT.glob("shared/**/*.py"), *ROOT.glob("stages/**/*.py")]:
        for node in ast.walk(tree(path)):
            count = 0
            if isinstance(node, ast.FunctionDef):
                arguments = [*node.args.posonlyargs, *node.args.args]
                count = len([a for a in arguments if a.arg not in ("self", "cls")])
            elif isinstance(node, ast.Call) and called_name(node) not in TORCH_CALLS:
                count = len(node.args)
            if count > POSITIONAL:
                line = getattr(node, "lineno", 0)
                crowded.append(f"{path.relative_to(ROOT)}:{line}: {count}")
    assert crowded == []


def called_name(call: ast.Call) -> str:
    """Name of the function or method that is called."""
    return ast.unparse(call.func).rpartition(".")[2]


def test_nothing_is_unpickled() -> None:
    for path in [*ROOT.glob("shared/**/*.py"), *ROOT.glob("stages/**/*.py")]:
        module = tree(path)
        for node in ast.walk(module):
            if isinstance(node, ast.Call):
                said = {word.arg: ast.unparse(word.value) for word in node.keywords}
                called = ast.unparse(node.func)
                assert not re.match(r"(pickle|joblib|dill|cloudpickle)\.", called), path
                if called == "torch.load":
                    assert said.get("weights_only") == "True", f"{path}:{node.lineno}"
                assert said.get("allow_pickle", "False") == "False", f"{path}:{node.lineno}"


def test_pictures_do_not_name_the_version_of_what_drew_them() -> None:
    """Matplotlib writes its own, and a picture would change with it."""
    for path in [*ROOT.glob("shared/**/*.py"), *ROOT.glob("stages/**/*.py")]:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".savefig"):
                said = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert said.get("metadata") == "{'Software': None}", f"{path}:{node.lineno}"


@each_stage
def test_readme_has_its_headings(stage: str) -> None:
    lines = (ROOT / "stages" / stage / "README.md").read_text().splitlines()
    name = stage.replace("_", "-")
    assert lines[0] == f"# {name}"
    fence, headings = False, []
    for line in lines:
        fence ^= line.startswith("```")
        headings += [line] if line.startswith("## ") and not fence else []
    assert headings == ["## Use", "## Product", "## Method"]
    text = "\n".join(lines)
    assert f"make {name}" in text
    assert f"docker compose run --rm {name} " in text
    assert f".venvs/{stage}/bin/python -m stages.{stage}.main" in text


# --- images ---------------------------------------------------------------------------------------
DOCKERFILES = sorted(path.name for path in ROOT.glob("images/*.Dockerfile"))


def instructions(name: str) -> list[str]:
    """Instructions of a Dockerfile, continued lines joined, comments left out."""
    text = (ROOT / "images" / name).read_text()
    assert not text.startswith("# syntax"), "fetches a frontend"
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [line for line in joined.splitlines() if line.strip()]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_dockerfile(name: str) -> None:
    lines = instructions(name)
    base = f"FROM python:3.11.13-slim-bookworm@sha256:{BASE} AS pinned"
    assert [lines[0], lines[3]] == ["ARG BASE=pinned", base]
    assert lines[1] == "ARG WHEELS=scratch"  # nothing, unless a kit is used
    assert re.fullmatch(r"ARG SOURCE_DATE_EPOCH=\d+", lines[2])
    users = [line for line in lines if line.startswith("USER")]
    assert users == ["USER 1000:1000"]
    assert not [line for line in lines if line.startswith(("CMD", "ADD", "VOLUME"))]
    entry = [line for line in lines if line.startswith("ENTRYPOINT")]
    assert entry == ['ENTRYPOINT ["python", "-m", "stages"]']
    assert "COPY stages/${STAGE} stages/${STAGE}" in lines
    assert "COPY images/${STAGE}/requirements.txt /opt/" in lines
    assert "WORKDIR /app" in lines
    assert lines[-1].startswith('LABEL org.opencontainers.image.title="$TITLE"')
    assert 'revision="$REVISION"' in lines[-1]
    for line in lines:
        if "pip install" in line:
            assert "--require-hashes" in line, line
            assert "${OFFLINE:+--no-index} --find-links /wheels" in line, line
        if line.startswith("COPY --from"):
            assert line.split()[2:] in (["/opt/venv"] * 2, ["/app"] * 2), line
    # What a build adds to the image has been settled: packages, and the stage itself.
    assert len([line for line in lines if "/opt/uv/bin/settle /opt/venv" in line]) >= 1
    assert "RUN --mount=from=uv,source=/opt/uv,target=/opt/uv /opt/uv/bin/settle /app" in lines


def test_no_argument_of_a_stage_comes_before_the_torch_layer() -> None:
    lines = instructions("torch.Dockerfile")
    starts = [place for place, line in enumerate(lines) if line.startswith("FROM ")]
    layers = {
        lines[start]: lines[start:end]
        for start, end in zip(starts, [*starts[1:], None], strict=True)
    }
    begun = ["FROM ${BASE} AS base", "FROM base AS uv", "FROM base AS torch"]
    before = [line for name in begun for line in layers[name]]
    arguments = {line for line in before if line.startswith("ARG")}
    assert arguments == {"ARG OFFLINE", "ARG SOURCE_DATE_EPOCH"}
    assert not [line for line in before if "STAGE" in line or "stages" in line]


@each_stage
def test_image_says_what_it_is(stage: str) -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    build = services[stage.replace("_", "-")]["build"]
    assert Path(build["dockerfile"]).name in DOCKERFILES
    assert build["args"]["DESCRIPTION"]
    # giotto-tda is AGPL and gudhi in parts GPL; no other image holds them.
    licences = {"tda": "MIT AND AGPL-3.0-only AND GPL-3.0-only"}
    assert build["args"].get("LICENCES", "MIT") == licences.get(stage, "MIT")
    torch = "torch==" in (ROOT / "images" / stage / "requirements.txt").read_text()
    assert ("plain" in build["dockerfile"]) != torch


def test_an_image_runs_its_only_stage(tmp_path: Path) -> None:
    """What `docker run IMAGE --help` starts; in a checkout the stage has to be named."""
    (tmp_path / "stages").mkdir()
    for name in ("__init__.py", "__main__.py", "merge"):
        (tmp_path / "stages" / name).symlink_to(ROOT / "stages" / name)
    (tmp_path / "shared").symlink_to(ROOT / "shared")
    line = [sys.executable, "-m", "stages", "--help"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("Usage: merge --src PATH"), done.stderr
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "run python -m stages.NAME.main" in done.stdout


def wanted(path: Path) -> dict[str, str]:
    """Requirements a person wrote, with what they include: name to version clause."""
    pins: dict[str, str] = {}
    for line in path.read_text().splitlines():
        line = line.partition("#")[0].strip()
        if line.startswith("-r "):
            pins |= wanted(path.parent / line[3:].strip())
        elif line and not line.startswith("-"):
            match = re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?\s*(.*)", line)
            assert match, line
            pins[match[1].lower()] = match[2]
    return pins


@each_stage
def test_requirements_are_locked_with_hashes(stage: str) -> None:
    folder = ROOT / "images" / stage
    assert (folder / "requirements.in").read_text().startswith("-r ../contract.in\n")
    text = (folder / "requirements.txt").read_text()
    assert not re.search(r"https?://|index-url|find-links|trusted-host", text)
    entries = re.split(r"\n(?=\S)", re.sub(r"^\s*#.*\n", "", text, flags=re.M).strip())
    locked = {}
    for entry in entries:
        match = re.match(r"([\w.-]+)(?:\[[\w,]+\])?==(\S+)", entry)
        assert match, entry
        assert "--hash=sha256:" in entry, match[1]
        locked[match[1].lower()] = match[2]
    for name, clause in wanted(folder / "requirements.in").items():
        assert name in locked, f"{name} is not locked: make lock"
        if clause.startswith("=="):
            assert locked[name] == clause[2:], f"{name}: make lock"

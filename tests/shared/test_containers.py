"""Containers: an image for the very files of the checkout, links out of data/, one data folder."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shared.errors import StageError
from shared.pipeline import build, containers, early_report, read_settings, rules
from shared.pipeline.containers import images, links
from shared.pipeline.containers.inputs import digest_inputs, read_recipe

ROOT = Path(__file__).resolve().parents[2]
# An engine with images in a file: `image inspect` and `compose build`, as the real one answers;
# `compose run` says what it was asked and fails.
ENGINE = """#!{python}
import json, os, sys
from pathlib import Path
store = Path(__file__).with_name("images.json")
images = json.loads(store.read_text())
words = sys.argv[1:]
if words[:2] == ["image", "inspect"]:
    if words[-1] not in images:
        sys.exit(f"Error: No such image: {{words[-1]}}")
    print(images[words[-1]]["id"], json.dumps(images[words[-1]]["labels"]))
elif words[:2] == ["compose", "build"]:
    print("step 1 of 1")
    if broken := os.environ.get("BROKEN"):
        sys.exit({{"yes": "no space left on device"}}.get(broken, broken))
    labels = {{"lcz42-edge.inputs": os.environ["INPUTS"]}}
    labels["org.opencontainers.image.revision"] = os.environ["REVISION"]
    images["lcz42-edge/" + words[2]] = {{"id": f"sha256:{{len(images)}}", "labels": labels}}
    store.write_text(json.dumps(images))
else:
    sys.exit(f"{{words[-1]}} by {{os.environ['STAGE_IMAGE']}}")
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small checkout with two stages, the working directory, and an engine without images."""
    root = tmp_path / "checkout"
    for name in ("merge", "sr_vdsr", "torch.Dockerfile", "plain.Dockerfile", "torch.txt", "uv.txt"):
        copy(root, f"images/{name}")
    names = ("merge", "sr_vdsr", "__init__.py", "__main__.py")
    for name in ("compose.yaml", ".dockerignore", *(f"stages/{name}" for name in names)):
        copy(root, name)
    for name in ("errors.py", "README.md", "pipeline/plan.py", "runs/record.py"):
        copy(root, f"shared/{name}")
    store(tmp_path, {})
    engine = tmp_path / "bin" / "docker"
    engine.write_text(ENGINE.format(python=sys.executable))
    engine.chmod(0o755)
    monkeypatch.setenv("PATH", f"{engine.parent}:{os.environ['PATH']}")
    monkeypatch.chdir(root)
    return root


def copy(root: Path, name: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, root / name)


def store(folder: Path, content: dict[str, object]) -> None:
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / "images.json").write_text(json.dumps(content))


def inputs(stage: str, base: str = "pinned") -> str:
    return digest_inputs(read_recipe(stage, Path.cwd()), base)


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("stages/merge/main.py", {"merge"}),
        ("stages/merge/new.py", {"merge"}),
        ("images/merge/requirements.txt", {"merge"}),
        ("images/plain.Dockerfile", {"merge"}),
        ("images/torch.txt", {"sr-vdsr"}),
        ("images/uv.txt", {"merge", "sr-vdsr"}),
        ("shared/runs/record.py", {"merge", "sr-vdsr"}),
        ("stages/__main__.py", {"merge", "sr-vdsr"}),
        ("shared/README.md", set()),
        ("stages/merge/README.md", set()),
        ("stages/merge/__pycache__/main.pyc", set()),
        ("shared/pipeline/plan.py", set()),
        ("images/merge/requirements.in", set()),
    ],
)
@pytest.mark.usefixtures("checkout")
def test_a_file_changes_the_images_that_it_goes_into(file: str, changed: set[str]) -> None:
    before = {stage: inputs(stage) for stage in ("merge", "sr-vdsr")}
    Path(file).parent.mkdir(exist_ok=True)
    with Path(file).open("a") as opened:
        opened.write("# changed\n")
    assert {stage for stage, digest in before.items() if inputs(stage) != digest} == changed


def test_arguments_and_base_go_into_an_image_too(checkout: Path) -> None:
    before = inputs("merge")
    assert inputs("merge", "another base") != before
    compose = checkout / "compose.yaml"
    compose.write_text(compose.read_text().replace("pids_limit: 4096", "pids_limit: 9"))
    assert inputs("merge") == before
    compose.write_text(compose.read_text().replace("The shards of one product", "All shards"))
    assert inputs("merge") != before


def test_every_stage_has_a_recipe() -> None:
    for path in sorted(ROOT.glob("stages/*/main.py")):
        recipe = read_recipe(path.parent.name.replace("_", "-"), ROOT)
        assert f"stages/{path.parent.name}" in recipe.sources
        assert f"STAGE: {path.parent.name}," in recipe.build
        assert all((ROOT / source).exists() for source in recipe.sources), recipe.sources


def test_no_stage_needs_what_images_leave_out() -> None:
    left_out = (ROOT / ".dockerignore").read_text().split()
    rooms = [line.replace("/", ".") for line in left_out if line.startswith("shared/")]
    assert rooms == ["shared.pipeline", "shared.tools"]
    for path in [*ROOT.glob("stages/**/*.py"), *ROOT.glob("shared/**/*.py")]:
        if not path.relative_to(ROOT).as_posix().startswith(("shared/pipeline/", "shared/tools/")):
            assert not re.search(rf"(from|import) ({'|'.join(rooms)})\b", path.read_text()), path


def test_a_missing_image_is_built_and_a_current_one_left_alone(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    number = containers.ensure_image("merge")
    first, last = capsys.readouterr().err.splitlines()
    assert first == "image merge: building (it is not in the engine)"
    assert last.startswith("image merge: built in ")
    assert containers.ensure_image("merge") == number == "sha256:0"
    assert capsys.readouterr().err == ""  # a current image says nothing
    assert (checkout / ".make" / "build-merge.log").read_text() == "step 1 of 1\n"
    store(checkout.parent, {})  # as after `docker image prune --all`
    containers.ensure_image("merge")
    assert "it is not in the engine" in capsys.readouterr().err


def test_an_image_of_another_clone_is_built_again(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = {"lcz42-edge.inputs": "0" * 64, "org.opencontainers.image.revision": "1" * 40}
    store(checkout.parent, {"lcz42-edge/merge": {"id": "sha256:other", "labels": labels}})
    assert containers.ensure_image("merge") != "sha256:other"
    assert "(the one in the engine, of 111111111111111, was built from other files)" in (
        capsys.readouterr().err
    )
    made = images.find_image("lcz42-edge/merge")
    assert made
    assert made.inputs == inputs("merge")


def test_a_build_that_fails_shows_its_end(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checkout
    monkeypatch.setenv("BROKEN", "yes")
    with pytest.raises(StageError, match="`docker compose build merge` failed"):
        containers.ensure_image("merge")
    assert "step 1 of 1\nno space left on device" in capsys.readouterr().err
    monkeypatch.setenv("BROKEN", "\n".join(map(str, range(40))))
    with pytest.raises(StageError, match="`docker compose build merge` failed"):
        containers.ensure_image("merge")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("image merge: building")
    assert lines[1:] == list(map(str, range(10, 40)))  # the last thirty


def test_without_an_engine_there_is_one_line(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout.parent / "bin" / "images.json").write_text("broken")
    with pytest.raises(StageError, match="RUNNER=local needs no container engine"):
        containers.ensure_image("merge")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(StageError, match="docker: no such command; RUNNER=local needs none"):
        containers.ensure_image("merge")


def test_settings_of_compose_keep_the_lines_of_others(checkout: Path) -> None:
    (checkout / ".env").write_text(
        "# mine\nUID=7\nSTAGE_RUNTIME=nvidia\nBASE=old\n\nHTTPS_PROXY=x\n"
    )
    containers.ensure_images([])
    ours = [f"UID={os.getuid()}", f"GID={os.getgid()}", "BASE=pinned"]
    others = ["# mine", "STAGE_RUNTIME=nvidia", "", "HTTPS_PROXY=x"]
    assert (checkout / ".env").read_text().splitlines() == [*ours, *others]
    store(checkout.parent, {images.BASE: {"id": "sha256:b", "labels": None}})
    containers.ensure_images([])
    ours[2] = "BASE=localhost/lcz42-edge/base"  # a registry that is this machine
    assert (checkout / ".env").read_text().splitlines() == [*ours, *others]
    assert (checkout / "data").is_dir()


# --- the words that start a container -------------------------------------------------------------
def prepare(*arguments: str) -> list[str]:
    words, _ = containers.prepare(["docker", "compose", "run", "--rm", "-T", *arguments], {})
    return words[5:]


def test_a_container_gets_its_image_and_the_folder_of_make(checkout: Path) -> None:
    words = ["docker", "compose", "run", "--rm", "-T", "-v", "/m:/mirror:ro", "merge", "--src", "x"]
    same, environment = containers.prepare(words, {"DATA": "/other", "A": "1"})
    assert same == words
    assert environment == {"DATA": f"{checkout}/data", "STAGE_IMAGE": "sha256:0", "A": "1"}
    local = ["python", "-m", "stages.merge.main"]
    assert containers.prepare(local, {"B": "2"}) == (local, {"B": "2"})


def test_whatever_make_starts_has_its_image(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A product, `make merge`, and the report in between."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    words = ["docker", "compose", "run", "--rm", "-T", "merge"]
    for start in (["step", "none.json", "merge", "data/x", "--", *words], ["run", *words]):
        line = [sys.executable, "-m", "shared.pipeline", *start, "--by=3"]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        assert done.stderr.splitlines()[-1] == "--by=3 by sha256:0"
    (checkout / "data" / "a.run.json").touch()
    state = {"report": "data/r.html", "shown": ["data/a"], "refresh": True, "report_flags": ["!"]}
    Path("s.json").write_text(json.dumps({**state, "start_report": " ".join(words)}))
    early_report.refresh(Path("s.json"))
    assert "data/r.html: not renewed yet (! by sha256:0)" in capsys.readouterr().err


def test_finished_products_and_those_of_containers_wait_for_no_image() -> None:
    text = rules.write(build(read_settings("tiny"), "docker"), Path("s.json"), [])
    assert "docker compose run --rm -T teacher" in text
    for word in (".images", "build/", "image inspect"):
        assert word not in text


def test_links_out_of_data_are_mounted(checkout: Path) -> None:
    big = checkout.parent / "big"
    (big / "so2sat").mkdir(parents=True)
    (checkout / "data" / "in").mkdir(parents=True)
    for name in ("a.h5", "b.h5", "so2sat/c.h5"):
        (big / name).touch()
    link(checkout / "data/in/a.h5", f"{big}/a.h5")
    link(checkout / "data/in/b.h5", "../../../big/b.h5")
    link(checkout / "data/again.h5", "in/a.h5")  # a link to a link
    link(checkout / "data/so2sat", f"{big}/so2sat")
    link(big / "so2sat" / "d.h5", f"{big}/a.h5")
    link(checkout / "data/gone.h5", "/gone/x.h5")
    a, b = f"{big}/a.h5:{big}/a.h5:ro", f"{big}/b.h5:/big/b.h5:ro"
    folder = f"{big}/so2sat:{big}/so2sat:ro"
    assert prepare("merge", "--src", "data/in/a.h5,data/in/b.h5", "--dst", "data/x.h5") == [
        "-v", b, "-v", a, "merge", "--src", "data/in/a.h5,data/in/b.h5", "--dst", "data/x.h5",
    ]  # fmt: skip
    assert prepare("merge", "--src=data/again.h5")[:-2] == ["-v", a]
    assert prepare("merge", "--src=data/so2sat/c.h5")[:-2] == ["-v", folder]
    assert prepare("merge", "--src=data/so2sat/d.h5")[:-2] == ["-v", a, "-v", folder]
    assert prepare("merge", "--src=data/in")[:-2] == ["-v", b, "-v", a]  # links in a folder
    assert prepare("merge", "--src=data/gone.h5", "--by=3") == [
        "merge",
        "--src=data/gone.h5",
        "--by=3",
    ]
    # Where the product goes, its owner made the link for it.
    assert prepare("merge", "--dst=data/so2sat/x.h5")[:-2] == ["-v", folder.removesuffix(":ro")]


def link(path: Path, target: str) -> None:
    path.symlink_to(target)


def test_a_folder_of_very_many_links_is_one_line(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "MOST", 2)
    (checkout / "data" / "many").mkdir(parents=True)
    for name in ("a", "b", "c"):
        (checkout.parent / name).touch()
        link(checkout / "data" / "many" / name, f"../../../{name}")
    with pytest.raises(
        StageError, match=r"data/many: expected at most 2 links .* found 3; make the"
    ):
        prepare("merge", "--src=data/many")


def test_one_place_decides_where_the_data_are(checkout: Path) -> None:
    (checkout.parent / "big").mkdir()
    containers.check_folders("data/demo", "", checkout)
    containers.check_folders("data/demo", "./data", checkout)
    with pytest.raises(
        StageError, match=r"DATA: expected data/ .* found \.\./big; .*: ln -s /.*/big data"
    ):
        containers.check_folders("data/demo", "../big", checkout)
    (checkout / ".env").write_text(f"DATA='{checkout.parent}/big'\n")
    with pytest.raises(StageError, match="DATA: expected data/ of this checkout"):
        containers.check_folders("data", "", checkout)
    link(checkout / "data", "../big")  # what the line says
    containers.check_folders("data", "", checkout)
    with pytest.raises(StageError, match=r"D: expected a folder below data/.*found /big/x"):
        containers.check_folders("/big/x", "", checkout)


# --- make -----------------------------------------------------------------------------------------
def make(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in variables}
    return subprocess.run(
        ["make", *words],
        cwd=ROOT, env=environment | variables, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_make_refuses_another_data_folder_in_containers(tmp_path: Path) -> None:
    for words, variables in (((), {"DATA": str(tmp_path)}), ((f"DATA={tmp_path}",), {})):
        done = make("-n", "RUNNER=docker", "SOURCE=demo", "prepare", *words, **variables)
        assert done.returncode == 2
        assert "DATA: expected data/ of this checkout, where make looks for" in done.stderr
        assert f"ln -s {tmp_path} data" in done.stderr
    assert make("-n", "RUNNER=local", "SOURCE=demo", "help", DATA=str(tmp_path)).returncode == 0


@pytest.mark.parametrize("verb", ["demo", "gallery", "tiny", "eurosat", "landcover"])
def test_a_verb_with_a_source_of_its_own_takes_no_other(verb: str) -> None:
    other = "demo" if verb == "tiny" else "tiny"
    done = make("RUNNER=local", verb, f"SOURCE={other}")
    assert done.returncode == 2
    assert f"make {verb}: expected no SOURCE, found {other}; make all SOURCE={other}" in done.stderr
    assert "==" not in done.stderr


def test_what_is_made_needs_no_environment_and_no_image(tmp_path: Path) -> None:
    """`make ship` with a bundle that is there asks for nothing that only made it."""
    words = ("SOURCE=tiny", f"D={tmp_path}", f"W={tmp_path}/weights", "RUNNER=local")
    whole = json.loads(make("plan", "FORMAT=json", *words).stdout)
    for number, product in enumerate(whole, 1):
        path = Path(product["product"])
        assert path.is_relative_to(tmp_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        Path(f"{path}.run.json").touch()
        os.utime(f"{path}.run.json", (number, number))
    ship = ("ship", "DEST=/x", *words)
    bundle = f"{tmp_path}/voyager/resnet18.run.json:"
    (line,) = [line for line in make("-pn", *ship).stdout.splitlines() if line.startswith(bundle)]
    assert ".venvs" not in line
    assert "shared.pipeline step" not in make("-n", *ship).stdout
    (tmp_path / "voyager" / "resnet18").unlink()
    (line,) = [line for line in make("-pn", *ship).stdout.splitlines() if line.startswith(bundle)]
    assert ".venvs/voyager/made" in line


def test_base_without_its_tool_is_one_line(tmp_path: Path) -> None:
    scripts = {"docker": "exit 1", "python3": f'exec {sys.executable} "$@"'}
    for name, text in scripts.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    for name in ("make", "id", "sed"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    done = make("base", "RUNNER=local", PATH=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == (
        "make base: mmdebstrap: no such command; apt-get install mmdebstrap"
    )


@pytest.mark.parametrize(
    ("source", "student"), [("demo", "student-separable"), ("tiny", "resnet18")]
)
def test_the_bundle_that_ships_is_that_of_the_student(
    source: str, student: str, tmp_path: Path
) -> None:
    said = make("-n", "ship", f"SOURCE={source}", "RUNNER=local", f"D={tmp_path}").stdout
    assert f"--bundle='{tmp_path}/voyager/{student}'" in said

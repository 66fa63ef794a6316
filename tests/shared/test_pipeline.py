"""The pipeline as data: products by value, settings, rules for make, the time that is left."""

import contextlib
import io
import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.errors import StageError
from shared.pipeline import Plan, Product, build, containers, read_settings, reading, remaining
from shared.pipeline.__main__ import main, suggest
from shared.pipeline.reading import sources

ROOT = Path(__file__).resolve().parents[2]


# Folders that are looked for while a source is planned; any will do.
GIVEN = {"sen2venus": {"SEN2VENUS": "tests"}, "worldstrat": {"WORLDSTRAT": "tests"}}


def plan(source: str, runner: str = "local", goals: str = "", **changes: str) -> Plan:
    return build(read_settings(source, changes), runner, goals.split())


def product(plan: Plan, path: str) -> Product:
    (one,) = [product for product in plan.products if product.path == path]
    return one


@pytest.mark.parametrize("source", sources())
@pytest.mark.parametrize("runner", ["local", "docker"])
def test_every_product_is_made_once_after_its_inputs(source: str, runner: str) -> None:
    whole, seen = plan(source, runner, **GIVEN.get(source, {})), set[str]()
    for one in whole.products:
        assert one.path not in seen
        assert set(one.inputs) <= seen, one.path
        assert (
            one.in_all
            or one.path in {p.path for v in whole.by_verb().values() for p in v}
            or (one.aside and one.path in {path for p in whole.products for path in p.inputs})
        ), f"{one.path}: nobody asks for it"
        seen.add(one.path)
    assert whole.products[-1].stage == "report"


@pytest.mark.parametrize("source", sources())
def test_flags_name_the_inputs(source: str) -> None:
    """What a command reads from the data folder is what make waits for."""
    whole = plan(source, **GIVEN.get(source, {}))
    made = {one.path for one in whole.products}
    for one in whole.products:
        words = {part for word in whole.arguments(one)[2:] for part in word.split(",")}
        assert words & made <= set(one.inputs), one.path


def test_command_of_an_ensemble_by_value() -> None:
    whole = plan("gallery")
    assert whole.command(product(whole, "data/gallery/teacher/densenet201-sar")) == (
        ".venvs/teacher/bin/python -m stages.teacher.main "
        "--dst data/gallery/teacher/densenet201-sar "
        "--train data/gallery/prepare/training.h5 --test data/gallery/prepare/testing.h5 "
        "--architecture densenet201 --mode sar --size 32 --members 2 --epochs 4 --lr 0.05 --cosine "
        "--batch 32"
    )
    fusion = product(whole, "data/gallery/fusion/resnet18-sar")
    assert "data/gallery/tda/sr-swinir-x2/testing.h5" in fusion.inputs
    assert shlex.join(whole.arguments(fusion)).split(" --")[5:7] == [
        "sar_train data/gallery/prepare/training.h5", "sar_test data/gallery/prepare/testing.h5",
    ]  # fmt: skip


def test_architectures_may_have_dashes() -> None:
    whole = plan("gallery", ARCHITECTURES="student-resnet", MODES="sar")
    flags = whole.command(product(whole, "data/gallery/teacher/student-resnet-sar"))
    assert "--architecture student-resnet --mode sar" in flags
    assert product(whole, "data/gallery/fusion/student-resnet-sar")


def test_published_settings_are_the_defaults_of_the_stages() -> None:
    whole = plan("so2sat", "docker")
    assert whole.command(product(whole, "data/teacher/resnet18-rand")) == (
        "docker compose run --rm -T teacher --dst data/teacher/resnet18-rand "
        "--train data/prepare/training.h5 --test data/prepare/testing.h5 "
        "--architecture resnet18 --mode rand --augment lcz"
    )
    swinir = product(whole, "data/sr-swinir/x2/testing.h5")
    weights = "data/weights/001_classicalSR_DF2K_s64w8_SwinIR-M_x2.pth"
    assert swinir.inputs == ("data/prepare/testing.h5", weights)
    vdsr = product(whole, "data/sr-vdsr/x3/testing.h5")  # of which no published file can be fetched
    assert vdsr.inputs == ("data/prepare/testing.h5", "data/sr-train/vdsr-x3.safetensors")
    assert product(whole, "data/prepare/testing.h5").raw == ("data/so2sat/testing.h5",)


def test_the_caller_changes_settings() -> None:
    changes = {"MEMBERS": "3", "EPOCHS-resnet18": "7", "MODES": "rand sar", "D": "data/x",
               "FLAGS-fusion": "--device cpu", "WEIGHTS-edsr-x2": "data/my weights.pt"}  # fmt: skip
    whole = plan("gallery", **changes)
    words = whole.arguments(product(whole, "data/x/fusion/resnet18-sar"))
    assert words[-2:] == ("--device", "cpu")
    assert words[words.index("--members") + 1] == "3"
    assert words[words.index("--epochs") + 1] == "7"
    assert not [one for one in whole.products if "randrgb" in one.path]
    edsr = product(whole, "data/x/sr-edsr/x2/training.h5")
    assert "'data/my weights.pt'" in whole.command(edsr)
    assert edsr.inputs == ("data/x/prepare/training.h5",)


def test_eurosat_is_split_by_shares_or_by_lists() -> None:
    start = "--dst data/eurosat/prepare --src"
    for changes, words in (
        ({}, f"{start} data/eurosat-rgb"),
        (
            {"EUROSAT": "data/ms", "SPLIT_LISTS": "data/lists", "FLAGS-eurosat": "--partial"},
            f"{start} data/ms --split_lists data/lists --partial",
        ),
    ):
        whole = plan("eurosat", **changes)
        assert shlex.join(whole.arguments(product(whole, "data/eurosat/prepare"))) == words


def test_weights_of_sr_train_are_not_matched() -> None:
    """The two methods that match mean and deviation would lose what their own weights restore."""
    own = plan("gallery")
    for name in ("sr-bsrnet/x2", "sr-realesrgan/x4"):
        assert "--nomatch" in own.arguments(product(own, f"data/gallery/{name}/testing.h5"))
    published = plan("so2sat")
    assert "--nomatch" not in published.arguments(
        product(published, "data/sr-bsrnet/x2/testing.h5")
    )


def test_a_mirror_is_a_folder_or_an_address(tmp_path: Path) -> None:
    (tmp_path / "edsr64_x2.pt").touch()
    files = [one for one in plan("demo", MIRROR=str(tmp_path)).products if one.stage == "weights"]
    assert [one.flags for one in files] == [("--name", "edsr64_x2.pt", "--mirror", str(tmp_path))]
    whole = plan("demo", "docker", MIRROR=f"file://{tmp_path}")
    (one,) = [one for one in whole.products if one.stage == "weights"]
    assert f"-v {tmp_path}:/mirror:ro weights" in whole.command(one)
    assert one.flags[-1] == "/mirror"
    for mirror, flags in (
        ("https://example.org/x", ("--mirror", "https://example.org/x")),
        ("", ()),
    ):
        outside = plan("demo", "docker", MIRROR=mirror)  # nothing of this machine is needed
        files = [one for one in outside.products if "--name" in one.flags]
        assert {one.flags[2:] for one in files} == {flags}
        assert not any(one.mount for one in files)
    everywhere = plan("demo", MIRROR="https://example.org/x").products
    assert len([one for one in everywhere if one.stage == "weights"]) == 18


@pytest.mark.parametrize(
    ("source", "changes", "message"),
    [
        ("x", {}, "SOURCE: expected demo, eurosat, gallery, .*, tiny or worldstrat, found x"),
        ("demo", {"SR": "edsr-x9"}, "SR: expected of vdsr-x2 .*, found edsr-x9"),
        (
            "demo",
            {"WEIGHTS": "mine"},
            "WEIGHTS: expected published or trained, found mine; WEIGHTS-",
        ),
        ("demo", {"FUSION_VARIANTS": "prepare x"}, "FUSION_VARIANTS: expected of prepare vdsr-x2"),
        ("demo", {"FUSION_VARIANTS": " "}, "FUSION_VARIANTS: expected at least one of prepare"),
        ("demo", {"MODES": ""}, "MODES: expected at least one name, found none"),
        ("demo", {"FLAGS-tda": "--src 'a"}, "FLAGS-tda: expected words as in a shell, found --src"),
        ("demo", {"MIRROR": "/nowhere"}, "MIRROR: expected a folder with published weights"),
        (
            "tiny",
            {"STAGE": "x", "GRID": "a=1"},
            "STAGE: expected a stage with products",
        ),
        ("tiny", {"STAGE": "distill", "GRID": "alpha"}, "GRID: expected flags .*, found 'alpha'"),
        ("tiny", {"STAGE": "distill", "GRID": "a=1 a=2"}, "GRID: expected flags .*, found 'a=2'"),
        ("tiny", {"STAGE": "distill", "GRID": "a=../x"}, "GRID: expected flags .*, found 'a=../x'"),
    ],
)
def test_refuses(source: str, changes: dict[str, str], message: str) -> None:
    with pytest.raises(StageError, match=message):
        plan(source, **changes)


def test_refuses_a_source_with_an_unknown_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "SOURCES", tmp_path)
    (tmp_path / "mine.toml").write_text("epoch = 3")
    with pytest.raises(StageError, match=r"mine.toml: expected only ablated.*; found epoch"):
        read_settings("mine")
    (tmp_path / "mine.toml").write_text("epochs =")
    with pytest.raises(StageError, match=r"mine.toml: not a TOML file"):
        read_settings("mine")


def test_no_super_resolution_on_request() -> None:
    whole = plan("gallery", SR="")
    assert not [one.path for one in whole.products if one.in_all and one.stage.startswith("sr")]


def test_refuses_another_runner() -> None:
    with pytest.raises(StageError, match="RUNNER: expected docker, local or slurm, found k8s"):
        plan("demo", "k8s")


def test_the_report_shows_what_is_asked_for() -> None:
    shown = product(plan("gallery"), "data/gallery/report.html").inputs
    assert "data/gallery/fusion/densenet201-sar" not in shown
    assert "data/gallery/tda-plot" not in shown
    asked = product(plan("gallery", goals="fusion report"), "data/gallery/report.html").inputs
    assert "data/gallery/fusion/densenet201-sar" in asked
    assert "data/gallery/fusion/resnet18-rand-observed" not in asked
    tuned = product(plan("gallery", goals="qat report"), "data/gallery/report.html").inputs
    assert "data/gallery/export/resnet18-qat" in tuned


def test_goals_with_what_they_are_made_of() -> None:
    whole = plan("demo", D="data/none")
    wanted = [one.path.removeprefix("data/none/") for one in whole.wanted(["sr-edsr"])]
    assert wanted == [
        "so2sat", "prepare/training.h5", "prepare/testing.h5",
        "sr-train/edsr-x2.safetensors", "sr-edsr/x2/training.h5", "sr-edsr/x2/testing.h5",
        "sr-train/edsr-x4.safetensors", "sr-edsr/x4/training.h5", "sr-edsr/x4/testing.h5",
    ]  # fmt: skip
    assert [one.path for one in whole.wanted(["data/none/so2sat.run.json"])] == ["data/none/so2sat"]


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("tacher", "did you mean `make teacher`"),
        ("galery", "`make gallery`"),
        ("sr-edrs", "`make sr-edsr`"),
        ("zzzz", "make zzzz: no such verb; `make help` lists them"),
        ("clean-teachr", "did you mean `make clean-teacher`"),
        ("data/x.h5", "data/x.h5: no such file, and nothing makes it"),
    ],
)
def test_unknown_goals_name_the_nearest(
    name: str, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert answer in suggest(name)


def test_near_verbs_are_three_at_most() -> None:
    """Of which the nearest comes first; verbs of make's own and of stages alike."""
    said = suggest("sr-e")
    assert said.count("`make sr") == 3
    assert "`make sr-eval`" in said
    assert suggest("rerun-tdaplot").startswith("make rerun-tdaplot: no such verb; did you mean `m")
    assert "`make rerun-tda-plot`" in suggest("rerun-tdaplot")


def test_a_setting_may_have_equal_signs(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["plan", "--source", "demo", "--set", "FLAGS-tda=--a=b=c", "--set", "D=x=y"]
    assert main(words) == 0
    assert "--dst x=y/tda/prepare/training.h5 --src x=y/prepare/training.h5 --a=b=c" in (
        capsys.readouterr().out
    )


def test_errors_of_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """What make includes is one line that begins with ERROR; people get a line on stderr."""
    wrong = ["--source", "demo", "--set", "WEIGHTS=x"]
    assert main(["rules", *wrong]) == 0
    assert capsys.readouterr().out.startswith("ERROR WEIGHTS: expected published or trained")
    assert main(["plan", *wrong]) == 2
    heard = capsys.readouterr()
    assert heard.err.startswith("error: WEIGHTS: expected published or trained, found x")
    assert heard.out == ""
    assert main(["suggest", "tacher"]) == 2
    assert "did you mean `make teacher`" in capsys.readouterr().err
    for words in (["plan"], ["rules", "--runner", "local"], []):
        with pytest.raises(SystemExit):
            main(words)
        assert capsys.readouterr().err.startswith("usage: shared.pipeline ")


def test_commands_that_are_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """All words after the first ones, in their order."""
    heard: list[object] = []

    def note(code: int) -> Callable[..., int]:
        def ending(*words: object) -> int:
            heard.append(words)
            if code != 5:
                sys.exit(code)  # the process has become another one
            return code

        return ending

    for name, code in (("become", 3), ("step", 4), ("explain_end", 5)):
        monkeypatch.setattr(remaining, name, note(code))
    for words, code in (
        (["run", "docker", "compose", "run"], 3),
        (["step", "s.json", "tda", "d/tda", "--", "python", "-m", "x"], 4),
    ):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == code
    assert main(["ended", "137", "tda"]) == 5
    assert heard == [
        (["docker", "compose", "run"],),
        (Path("s.json"), ("tda", "d/tda"), ["python", "-m", "x"]),
        (137, "tda"),
    ]


def test_images_of_any_number_of_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[list[str]] = []
    monkeypatch.setattr(containers, "ensure_images", heard.append)
    for stages in ([], ["tda"], ["tda", "teacher"]):
        assert main(["image", *stages]) == 0
    assert heard == [[], ["tda"], ["tda", "teacher"]]


def test_in_containers_the_data_folder_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    outside = ["plan", "--source", "demo", "--set", "D=/elsewhere"]
    assert main([*outside, "--runner", "local"]) == 0
    assert main([*outside, "--runner", "docker"]) == 2
    assert capsys.readouterr().err.startswith("error: D")


def test_rules_are_written_where_they_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The state of a run only where there are goals."""
    monkeypatch.chdir(tmp_path)
    words = ["rules", "--source", "demo"]
    assert main(words) == 0
    rules = Path(capsys.readouterr().out.strip())
    assert rules.suffix == ".mk"
    assert not rules.with_suffix(".json").exists()
    written = rules.stat().st_mtime_ns
    assert main(words) == 0
    assert rules.stat().st_mtime_ns == written
    Path(rules).write_text("old")
    assert main(words) == 0
    assert rules.read_text() != "old"
    assert main([*words, "--goals", "tda"]) == 0
    (state,) = Path(".make").glob("*.json")
    todo = json.loads(state.read_text())["todo"]
    assert todo[-1] == "data/demo/tda/sr-edsr-x2/testing.h5"


def make(*words: str) -> subprocess.CompletedProcess[str]:
    line = ["make", "-n", "RUNNER=local", "D=data/none", *words]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)


def test_make_reads_the_rules() -> None:
    done = make("SOURCE=demo", "voyager")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if " --dst " in line]
    whole = plan("demo", D="data/none")
    expected = [whole.command(one) for one in whole.wanted(["voyager"])]
    assert [line.partition(" -- ")[2].partition(" || ")[0] for line in lines] == expected


def test_make_refuses_an_unknown_verb_and_a_wrong_setting() -> None:
    done = subprocess.run(["make", "tacher"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no such verb; did you mean `make teacher`" in done.stderr
    done = make("SOURCE=nowhere", "all")
    assert done.returncode == 2
    assert "SOURCE: expected demo, eurosat" in done.stderr


def test_makes_with_other_settings_or_goals_have_other_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = set[str]()
    for words in (["--goals", "all"], ["--goals", "tda"], ["--set", "D=x"], ["--runner", "docker"]):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            assert main(["rules", "--source", "demo", *words]) == 0
        paths.add(printed.getvalue())
    assert len(paths) == 4
    assert not list(Path(".make").glob("*.mk-*"))  # no draft


def test_a_sweep_has_one_product_a_point_and_seed() -> None:
    whole = plan("tiny", STAGE="distill", GRID="alpha=0.3,0.5 batch=16", SEEDS="42 43")
    points = [one for one in whole.by_verb()["sweep"] if one.stage == "distill"]
    folder = "data/tiny/sweep/distill"
    assert [one.path for one in points] == [
        f"{folder}/alpha-{alpha}_batch-16-{seed}" for alpha in (0.3, 0.5) for seed in (42, 43)
    ]
    words = whole.arguments(points[2])
    assert words.count("--batch") == 1  # that of the source gives way
    assert words[-6:] == ("--alpha", "0.5", "--batch", "16", "--seed", "42")
    base = whole.arguments(product(whole, "data/tiny/distill/resnet18"))
    assert words[words.index("--lr") : words.index("--lr") + 2] == ("--lr", "0.001")
    assert {*base} - {*words} == {"data/tiny/distill/resnet18"}
    comparison = product(whole, f"{folder}/compare")
    assert comparison.inputs == tuple(one.path for one in points)
    assert comparison.renewed  # a larger grid gives another one
    assert comparison in whole.by_verb()["sweep"]


def test_a_sweep_over_seeds_alone_and_of_a_stage_that_is_not_compared() -> None:
    whole = plan("tiny", STAGE="tda", GRID="sigma=1,2")
    paths = [one.path for one in whole.by_verb()["sweep"]]
    assert paths == ["data/tiny/sweep/tda/sigma-1", "data/tiny/sweep/tda/sigma-2"]
    whole = plan("tiny", STAGE="teacher", GRID="seed=1,2")
    paths = [one.path for one in whole.by_verb()["sweep"]]
    assert paths[:2] == ["data/tiny/sweep/teacher/seed-1", "data/tiny/sweep/teacher/seed-2"]
    assert not plan("tiny", STAGE="teacher").by_verb()["sweep"]


def words_of(plan: Plan, path: str) -> dict[str, str]:
    """Value by flag of a product whose flags all have one."""
    words = plan.arguments(product(plan, path))
    assert len(words) == 2 * len({*words[::2]}), words
    return dict(zip(words[::2], words[1::2], strict=True))


SMALL_ONES = (
    "simple-net", "student-resnet", "student-separable", "student-depthwise-skip", "student-light",
)  # fmt: skip


def test_students_of_eurosat_are_repeated_and_compared() -> None:
    whole, folder = plan("eurosat", SEEDS="42 43 43"), "data/eurosat"
    teacher, *students, explained, comparison = whole.by_verb()["students"]
    assert teacher.path == f"{folder}/teacher/efficientnet_b4-rand"
    words = words_of(whole, teacher.path)
    assert (words["--architecture"], words["--size"], words["--members"]) == (
        "efficientnet_b4", "64", "1",
    )  # fmt: skip
    assert "--weights" not in words
    names = [f"{folder}/distill/{name}-{seed}" for name in SMALL_ONES for seed in (42, 43)]
    assert [one.path for one in students] == names
    words = words_of(whole, f"{folder}/distill/student-light-43")
    assert words == {
        "--dst": f"{folder}/distill/student-light-43", "--teacher": teacher.path,
        "--train": f"{folder}/prepare/training.h5", "--test": f"{folder}/prepare/testing.h5",
        "--architecture": "student-light", "--batch": "64", "--lr": "0.002", "--size": "64",
        "--epochs": "20", "--seed": "43",
    }  # fmt: skip
    assert (comparison.stage, comparison.path) == ("compare", f"{folder}/compare")
    assert comparison.inputs == (teacher.path, *names)
    assert comparison.flags == ("--src", ",".join(comparison.inputs))
    assert [one.path for one in whole.by_verb()["compare"]] == [comparison.path]
    assert explained.path == f"{folder}/explain/students"
    assert explained.flags[:2] == ("--src", ",".join(name for name in names if name[-2:] == "42"))
    beside = {one.path for one in (teacher, *students, explained, comparison)}
    assert not beside & {one.path for one in whole.products if one.in_all}
    assert teacher not in whole.by_verb()["teacher"]


def test_students_of_eurosat_begin_with_one_seed_and_a_report_shows_them() -> None:
    whole = plan("eurosat", goals="students report")
    students = [one.path for one in whole.by_verb()["students"] if one.stage == "distill"]
    assert students == [f"data/eurosat/distill/{name}-42" for name in SMALL_ONES]
    shown = product(whole, "data/eurosat/report.html").inputs
    assert {*students} < {*shown}
    assert "data/eurosat/compare" not in shown  # a page has no place for it


def test_a_small_teacher_and_other_students_on_request() -> None:
    changes = {"STUDENT_TEACHER": "teacher/resnet18-rand", "STUDENTS": "simple-net",
               "FLAGS-distill": "--epochs 1"}  # fmt: skip
    whole = plan("eurosat", **changes)
    student, _, comparison = whole.by_verb()["students"]
    assert not [one for one in whole.products if "efficientnet" in one.path]
    assert "data/eurosat/teacher/resnet18-rand" in student.inputs
    words = words_of(whole, "data/eurosat/distill/simple-net-42")
    assert words["--teacher"] == "data/eurosat/teacher/resnet18-rand"
    assert words["--epochs"] == "1"
    assert comparison.inputs == ("data/eurosat/teacher/resnet18-rand", student.path)


def test_weights_of_a_teacher_by_its_architecture() -> None:
    whole = plan("eurosat", **{"WEIGHTS-efficientnet_b4": "data/b4.safetensors"})
    words = words_of(whole, "data/eurosat/teacher/efficientnet_b4-rand")
    assert words["--weights"] == "data/b4.safetensors"
    assert "--weights" not in words_of(whole, "data/eurosat/teacher/resnet18-rand")


def test_students_of_other_sources_are_the_published_ones() -> None:
    whole = plan("so2sat", "docker")
    names = ["mobilenetv3_small_100", "mobilenetv4_conv_medium", "efficientnet_b0"]
    *students, explained = whole.by_verb()["students"]
    assert [one.path for one in students] == [f"data/distill/{name}" for name in names]
    assert explained.inputs == ("data/prepare/training.h5", "data/prepare/testing.h5", *(
        one.path for one in students
    ))  # fmt: skip
    assert whole.command(students[0]) == (
        "docker compose run --rm -T distill --dst data/distill/mobilenetv3_small_100 "
        "--train data/prepare/training.h5 --test data/prepare/testing.h5 "
        "--teacher data/teacher/resnet18-rand --architecture mobilenetv3_small_100 "
        "--range published --augment lcz"
    )
    *repeated, _, comparison = plan("so2sat", SEEDS="1 2").by_verb()["students"]
    assert [one.path.rpartition("-")[2] for one in repeated] == ["1", "2"] * 3
    assert comparison.path == "data/compare"


def test_a_student_is_explained_beside_its_teacher_on_request() -> None:
    whole = plan("so2sat")
    explained = product(whole, "data/explain/resnet18")
    assert whole.arguments(explained) == (
        "--dst", "data/explain/resnet18",
        "--src", "data/distill/resnet18,data/teacher/resnet18-rand",
        "--test", "data/prepare/testing.h5",
    )  # fmt: skip
    assert whole.by_verb()["explain"] == [explained]
    assert not explained.in_all
    fused = plan("so2sat", STUDENT_TEACHER="fusion/resnet18-rand")
    alone = product(fused, "data/explain/resnet18")
    assert alone.flags[:2] == ("--src", "data/distill/resnet18")
    shown = product(plan("demo", goals="explain report"), "data/demo/report.html").inputs
    assert "data/demo/explain/student-separable" in shown
    assert "data/demo/explain/students" not in shown


def test_a_source_says_which_student_is_deployed() -> None:
    whole = plan("demo")
    student = product(whole, "data/demo/distill/student-separable")
    words = whole.arguments(student)
    assert words[words.index("--architecture") + 1] == "student-separable"
    assert (
        product(whole, "data/demo/voyager/student-separable")
        .inputs[-1]
        .endswith("export/student-separable")
    )
    published = plan("so2sat")
    assert "--architecture" not in published.arguments(product(published, "data/distill/resnet18"))


def test_plan_for_people_and_programs() -> None:
    line = [sys.executable, "-m", "shared.pipeline", "plan", "--source", "demo"]
    table = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "waits for: data/demo/prepare/training.h5" in table
    done = subprocess.run([*line, "--json"], cwd=ROOT, capture_output=True, text=True, check=True)
    entries = json.loads(done.stdout)
    assert entries[0]["product"] == "data/demo/so2sat"
    assert entries[-1]["stage"] == "report"
    assert set(entries[-1]["waits_for"]) <= {entry["product"] for entry in entries}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("--lr 0.01", "--augment lcz --lr 0.01"),
        ("--augment sharp", "--augment sharp"),
        ("--noaugment --lr 0.01", "--noaugment --lr 0.01"),
        ("--augment=none", "--augment=none"),
    ],
)
def test_views_of_the_publication_stay_unless_the_caller_names_them(
    given: str, expected: str
) -> None:
    whole = plan("so2sat", **{"LEARNING": given, "FLAGS-distill": given})
    for path in ("teacher/resnet18-rand", "fusion/resnet18-rand", "distill/resnet18"):
        line = " ".join(whole.arguments(product(whole, f"data/{path}")))
        assert expected in line, path
        assert line.count("augment") == 1


def test_flags_of_students_stay_unless_the_caller_names_them() -> None:
    student = "data/eurosat/distill/simple-net-42"
    assert words_of(plan("eurosat", **{"FLAGS-distill": "--lr 1"}), student)["--epochs"] == "20"
    assert words_of(plan("eurosat", **{"FLAGS-distill": "--lr 1"}), student)["--lr"] == "1"
    line = plan("eurosat", **{"FLAGS-distill": "--epochs=3"})
    assert [w for w in line.arguments(product(line, student)) if "epochs" in w] == ["--epochs=3"]

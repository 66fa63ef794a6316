"""The pipeline on a cluster: jobs by value, and what is submitted, again, and given up."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.errors import StageError
from shared.pipeline import build, read_settings, rules
from shared.pipeline.cluster import Cluster, jobs, nodes, read_resources, resources, task
from shared.pipeline.cluster.__main__ import main
from shared.pipeline.cluster.slurm import commands, following, ledger, submission
from shared.pipeline.plan import Plan
from shared.pipeline.product import Product
from shared.unfinished import holders

ROOT = Path(__file__).resolve().parents[2]


def cluster(runner: str = "local", **shards: int) -> Cluster:
    return Cluster(runner, read_resources(), shards)


def jobs_of(path: str, made_by: Cluster, source: str = "demo") -> tuple[jobs.Job, ...]:
    plan = build(read_settings(source, {}), "local")
    (product,) = [product for product in plan.products if product.path == path]
    return tuple(made_by.jobs(plan, product))


# --- jobs by value -------------------------------------------------------------------------------


def test_rows_are_an_array_and_a_job_that_joins_them() -> None:
    path = "data/demo/tda/prepare/testing.h5"
    parts, join = jobs_of(path, cluster(any=3))
    assert parts.command == (
        ".venvs/tda/bin/python -m stages.tda.main --dst "
        "'data/demo/tda/prepare/testing.h5.parts/{task}-of-3.h5' --src "
        "data/demo/prepare/testing.h5 --grid data/demo/tda/prepare/training.h5 --shard '{task}/3'"
    )
    assert parts.count == 3
    assert set(parts.after) == {
        f"data/demo/{name}" for name in
        ("prepare/testing.h5", "prepare/training.h5", "tda/prepare/training.h5")
    }  # fmt: skip
    assert join.command == (
        f".venvs/merge/bin/python -m stages.merge.main --dst {path} --src "
        + ",".join(f"{path}.parts/{number}-of-3.h5" for number in (1, 2, 3))
    )
    assert (join.count, join.after, join.stage) == (1, (f"{path}.parts",), "merge")
    assert join.used == f"{path}.parts"
    assert parts.resources.time == "12:00:00"
    assert join.resources.time == "04:00:00"


def test_members_are_divided_only_where_that_is_asked_for() -> None:
    path = "data/demo/teacher/student-resnet-rand"
    assert [job.count for job in jobs_of(path, cluster(any=5))] == [1]
    parts, join = jobs_of(path, cluster(teacher=2))
    assert (parts.makes, parts.count) == (f"{path}.parts/{{task}}-of-2", 2)
    assert join.command.endswith(
        f"-m stages.sumrule.main --dst {path} "
        f"--src {path}.parts/1-of-2,{path}.parts/2-of-2 --weigh members"
    )
    assert join.used == ""  # the networks are still needed


def test_folders_and_stages_without_rows_are_one_job() -> None:
    for path in ("data/demo/so2sat", "data/demo/export/student-separable", "data/demo/report.html"):
        (job,) = jobs_of(path, cluster(any=4))
        assert (job.count, job.ident, job.makes) == (1, path, path)


def test_stages_that_shard_are_those_of_the_settings() -> None:
    """The flag is in the signature; docs/flags.md is made from it."""
    flags = (ROOT / "docs/flags.md").read_text()
    sections = re.split(r"^## \[", flags, flags=re.M)[1:]
    with_flag = {s.partition("]")[0] for s in sections if "`--shard`" in s}
    # Parts of a map are scores, of which one more step draws it; landcover makes a folder of files.
    with_flag -= {"map", "landcover"}
    assert {stage for stage, asks in read_resources().items() if asks.shards} == with_flag


def test_trainers_may_take_a_day_and_every_entry_is_a_stage() -> None:
    stages = ROOT / "stages"
    trainers = {
        path.relative_to(stages).parts[0].replace("_", "-")
        for path in stages.rglob("*.py")
        if re.search(r"shared\.training\.(loop|parallel)", path.read_text())
    }
    read = read_resources()
    assert trainers > {"teacher", "distill", "segment", "register", "sisr-train"}
    asked = {(read[name].time, read[name].memory) for name in trainers}
    assert asked == {("24:00:00", "32G")}
    folders = {path.parent.name.replace("_", "-") for path in stages.glob("*/main.py")}
    assert read.keys() - folders == {resources.EVERY}


def test_processes_that_train_together_start_under_srun(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text("[teacher]\ntasks = 4\ngpus = 1\n")
    path = "data/demo/teacher/student-resnet-rand"
    (job,) = jobs_of(path, Cluster("local", read_resources(site), {}))
    assert job.command.startswith("srun --ntasks=4 --kill-on-bad-exit=1 .venvs/teacher/bin/python ")
    words = commands.words(job, ledger.Ledger("data/demo"), [1], [])
    assert {"--ntasks=4", "--gpus-per-task=1", "--cpus-per-task=2"} <= set(words)


@pytest.mark.parametrize(
    ("runner", "start"),
    [
        ("docker", "python3 -m shared.pipeline run docker compose run --rm -T tda --dst "),
        (
            "apptainer",
            "apptainer run --containall --net --network none --no-home "
            '--bind "$PWD/data:/app/data" '
            "--pwd /app sif/tda.sif --dst ",
        ),
        (
            "charliecloud",
            'env USER="$(id -un)" ch-run --unset-env="*" --set-env --private-tmp '
            '--bind "$PWD/data:/app/data" --cd /app '
            "sif/tda.ch -- python -m stages --dst ",
        ),
        ("inside", "python -m stages --dst "),
    ],
)
def test_the_words_of_each_way_to_run_on_a_node(runner: str, start: str) -> None:
    (job,) = jobs_of("data/demo/tda/prepare/testing.h5", cluster(runner))
    assert job.command.startswith(start)


def test_a_folder_outside_the_volume_is_mounted() -> None:
    product = Product("weights", "data/weights/a.pth", mount="/some where")
    assert "-v '/some where':/mirror:ro weights" in nodes.start(product, "docker")
    assert "--bind '/some where':/mirror:ro" in nodes.start(product, "apptainer")
    assert "--bind '/some where':/mirror " in nodes.start(product, "charliecloud")


# --- settings of a site --------------------------------------------------------------------------


def test_a_site_says_only_what_differs(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text('[any]\nmemory = ""\npartition = "long"\n[tda]\ncores = 16\n')
    read = read_resources(site)
    assert read["tda"] == resources.Resources("12:00:00", "", 16, 0, 1, "long", (), "rows")
    assert (
        read["teacher"].memory == ""
    )  # [any] of a site wins over what the project says of a stage
    assert read_resources()["teacher"].memory == "32G"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tda", "expected TOML"),
        ("cores = 2", "expected tables such as [any] or [teacher], found cores"),
        ("[tda]\ncore = 2", "[tda]: expected one of time, memory, cores"),
        ("[tda]\ncores = 0", "[tda]: cores: expected a whole number from 1 (gpus: 0), found 0"),
        ("[tda]\ncores = true", "[tda]: cores: expected a whole number"),
        ("[tda]\ngpus = -1", "[tda]: gpus: expected a whole number"),
        ("[tda]\nmemory = 8", "[tda]: memory: expected text, found 8"),
        ('[tda]\noptions = "--qos=x"', "[tda]: options: expected a list of texts"),
        ('[tda]\nshards = "bands"', "[tda]: shards: expected rows, members or '', found bands"),
    ],
)
def test_settings_that_are_refused(tmp_path: Path, text: str, said: str) -> None:
    site = tmp_path / "site.toml"
    site.write_text(text)
    with pytest.raises(StageError) as error:
        read_resources(site)
    assert said in str(error.value)
    assert str(site) in str(error.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"SHARDS": "0"}, "SHARDS: expected a whole number from 1, found 0"),
        ({"SHARDS-tda": "x"}, "SHARDS-tda: expected a whole number from 1, found x"),
        ({"SHARDS-export": "2"}, "SHARDS-export: expected one of fusion, pairs, prepare, "),
        ({"NODE_RUNNER": "podman"}, "NODE_RUNNER: expected local or docker or apptainer"),
        ({"RESOURCES": "/nowhere.toml"}, "RESOURCES: /nowhere.toml: cannot be read"),
    ],
)
def test_variables_that_are_refused(
    changes: dict[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word for name, value in changes.items() for word in ("--set", f"{name}={value}")]
    assert main(["submit", "--source", "demo", "--goals", "tda", "--dry", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {said}")


# --- Slurm, with commands that only write down what they are asked -------------------------------

SBATCH = """#!/bin/bash
cd {folder}
number=$(( $(ls jobs | wc -l) + 1 ))
mkdir jobs/$number && printf '%s\\n' "$@" > jobs/$number/words && cat > jobs/$number/script
echo $number
"""


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with jobs/N/words, jobs/N/script, and squeue.txt, which squeue prints."""
    folder, programs = tmp_path / "slurm", tmp_path / "bin"
    (folder / "jobs").mkdir(parents=True)
    programs.mkdir()
    scripts = {
        "sbatch": SBATCH.format(folder=folder),
        "squeue": f"#!/bin/bash\ncat {folder}/squeue.txt\n",
        "scancel": f"#!/bin/bash\necho $@ > {folder}/cancelled\n",
    }
    for name, text in scripts.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (folder / "squeue.txt").write_text("")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return folder


def two_products(shards: int = 1) -> tuple[Plan, Cluster]:
    """`tda` of three parts, and what reads it."""
    settings = read_settings("demo", {"D": "data/demo"})
    first = Product("tda", "data/demo/a.h5", (), ("--src", "x.h5"), in_all=True)
    second = Product(
        "report", "data/demo/r.html", (first.path,), ("--src", first.path), in_all=True
    )
    return Plan(settings, "local", (first, second)), cluster(tda=shards)


def option(queue: Path, job: int, name: str) -> str:
    words = (queue / f"jobs/{job}/words").read_text().splitlines()
    return next((word.partition("=")[2] for word in words if word.startswith(f"--{name}=")), "")


def make_record(path: str, at: float | None = None) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    for name in (path, f"{path}.run.json"):
        Path(name).touch()
        if at is not None:
            os.utime(name, (at, at))


def test_jobs_wait_for_those_that_make_their_inputs(queue: Path) -> None:
    plan, made_by = two_products(3)
    assert submission.submit(plan, made_by, ["all"]) == [
        "1  data/demo/a.h5.parts (3 of 3 tasks)", "2  data/demo/a.h5", "3  data/demo/r.html",
    ]  # fmt: skip
    assert [option(queue, job, "dependency") for job in (1, 2, 3)] == ["", "afterok:1", "afterok:2"]
    assert [option(queue, job, "array") for job in (1, 2, 3)] == ["1,2,3", "", ""]
    (queue / "squeue.txt").write_text(
        "1 1 RUNNING\n1 2 PENDING\n1 3 PENDING\n2 N/A PENDING\n3 N/A PENDING\n"
    )
    assert submission.submit(plan, made_by, ["all"]) == []  # all of it is in the queue


def test_only_what_is_lost_is_submitted_again(queue: Path) -> None:
    plan, made_by = two_products(3)
    submission.submit(plan, made_by, ["all"])
    make_record(
        "data/demo/a.h5.parts/1-of-3.h5"
    )  # the first part is made, the second one still runs,
    (queue / "squeue.txt").write_text("1 2 RUNNING\n")  # the third one and what waited are gone
    assert submission.submit(plan, made_by, ["all"]) == [
        "4  data/demo/a.h5.parts (1 of 3 tasks)", "5  data/demo/a.h5", "6  data/demo/r.html",
    ]  # fmt: skip
    assert option(queue, 4, "array") == "3"
    assert option(queue, 5, "dependency") == "afterok:1:4"
    assert option(queue, 6, "dependency") == "afterok:5"


def test_a_part_that_is_older_than_its_input_is_made_again(queue: Path) -> None:
    settings = read_settings("demo", {"D": "data/demo"})
    product = Product("tda", "data/demo/a.h5", ("data/demo/in.h5",), ("--src", "data/demo/in.h5"))
    source = Product("prepare", "data/demo/in.h5")
    plan = Plan(settings, "local", (source, product))
    make_record("data/demo/in.h5", 100)
    submission.submit(plan, cluster(tda=2), [product.path])
    make_record("data/demo/a.h5.parts/1-of-2.h5", 99)
    make_record("data/demo/a.h5.parts/2-of-2.h5", 101)
    lines = submission.submit(plan, cluster(tda=2), [product.path])
    assert lines == ["3  data/demo/a.h5.parts (1 of 2 tasks)", "4  data/demo/a.h5"]
    assert option(queue, 3, "array") == "1"


def test_parts_of_other_flags_are_not_taken_for_the_same(queue: Path) -> None:
    """Their stage refuses them by name; without a job, merge would join what is no whole."""
    plan, made_by = two_products(2)
    submission.submit(plan, made_by, ["all"])
    for number in (1, 2):
        make_record(f"data/demo/a.h5.parts/{number}-of-2.h5")
    (queue / "squeue.txt").write_text("2 N/A PENDING\n3 N/A PENDING\n")
    assert submission.submit(plan, made_by, ["all"]) == []
    other = Product("tda", "data/demo/a.h5", (), ("--src", "x.h5", "--bins", "9"), in_all=True)
    changed = Plan(plan.settings, "local", (other, plan.products[1]))
    (queue / "squeue.txt").write_text("")
    assert submission.submit(changed, made_by, ["all"])[0] == (
        "4  data/demo/a.h5.parts (2 of 2 tasks)"
    )
    (queue / "squeue.txt").write_text("4 1 RUNNING\n")
    with pytest.raises(
        StageError, match=r"a\.h5\.parts: is in the queue with other flags or parts"
    ):
        submission.submit(plan, made_by, ["all"])
    with pytest.raises(StageError, match=r"\(job 4\); `make cancel` takes it out"):
        submission.submit(changed, cluster(tda=3), ["all"])


def test_what_is_made_needs_no_job(queue: Path) -> None:
    plan, made_by = two_products()
    make_record("data/demo/a.h5", 1)
    assert submission.submit(plan, made_by, ["all"]) == ["1  data/demo/r.html"]
    assert option(queue, 1, "dependency") == ""
    script = (queue / "jobs/1/script").read_text()
    assert "rm -rf" not in script
    make_record("data/demo/r.html", 2)
    assert submission.submit(plan, made_by, ["all"]) == []


def test_a_report_that_is_renewed_is_removed_before(queue: Path) -> None:
    settings = read_settings("demo", {"D": "data/demo"})
    report = Product("report", "data/demo/r.html", renewed=True, in_all=True)
    submission.submit(Plan(settings, "local", (report,)), cluster(), ["all"])
    lines = (queue / "jobs/1/script").read_text().splitlines()
    assert lines[1] == "rm -rf data/demo/r.html data/demo/r.html.run.json data/demo/r.html.partial*"


def test_a_script_runs_its_own_task(queue: Path) -> None:
    """Under the numbers that Slurm gives, the stage is called with the part of that task."""
    plan, made_by = two_products(3)
    submission.submit(plan, made_by, ["all"])
    said = queue.parent / "said"
    stage = queue.parent / ".venvs/tda/bin/python"
    stage.parent.mkdir(parents=True)
    stage.write_text(f'#!/bin/bash\nprintf "%s\\n" "$@" > {said}\nexit 3\n')
    stage.chmod(0o755)
    variables = {**os.environ, "SLURM_ARRAY_TASK_ID": "2", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", queue / "jobs/1/script"], env=variables, check=False)
    assert done.returncode == 3
    assert said.read_text().splitlines() == [
        "-m", "stages.tda.main", "--dst", "data/demo/a.h5.parts/2-of-3.h5", "--src", "x.h5",
        "--shard", "2/3",
    ]  # fmt: skip
    assert Path("data/demo/.slurm/ended/data-demo-a.h5.parts.2").read_text() == "3\n"


def states(plan: Plan, ident: str) -> list[tuple[str, int | None]]:
    book = ledger.Ledger(plan.settings.data)
    entry = book.entries[ident]
    return [(one.state, one.code) for one in following.tasks(entry, commands.queue(), book)]


def test_states_of_tasks(queue: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan, made_by = two_products(3)
    submission.submit(plan, made_by, ["all"])
    (queue / "squeue.txt").write_text("1 1 RUNNING\n1 2 COMPLETED\n3 N/A PENDING\n")
    make_record("data/demo/a.h5.parts/2-of-3.h5")
    Path("data/demo/.slurm/ended/data-demo-a.h5.parts.3").write_text("137\n")
    parts = "data/demo/a.h5.parts"
    assert states(plan, parts) == [("RUNNING", None), ("made", None), ("failed", 137)]
    assert states(plan, "data/demo/a.h5") == [("lost", None)]
    assert main(["status", "data/demo"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "job  tasks                              product",
        "1    1 running, 1 made, 1 failed (137)  data/demo/a.h5.parts",
        "2    lost                               data/demo/a.h5",
        "3    pending                            data/demo/r.html",
    ]
    assert main(["cancel", "data/demo"]) == 0
    assert capsys.readouterr().out == "cancelled: 1 3\n"
    assert (queue / "cancelled").read_text() == "1 3\n"
    make_record("data/demo/a.h5")  # its parts are removed once they are joined
    (queue / "squeue.txt").write_text("")
    assert states(plan, parts) == [("made", None), ("made", None), ("made", 137)]


@pytest.mark.usefixtures("queue")
def test_how_a_task_ended_is_forgotten_when_it_is_submitted_again() -> None:
    plan, made_by = two_products(3)
    submission.submit(plan, made_by, ["all"])
    ended = Path("data/demo/.slurm/ended")
    for number in (2, 3):
        (ended / f"data-demo-a.h5.parts.{number}").write_text("137\n")
    make_record("data/demo/a.h5.parts/2-of-3.h5")
    submission.submit(plan, made_by, ["all"])
    assert [path.name for path in ended.glob("*parts*")] == ["data-demo-a.h5.parts.2"]  # it is made


def test_nothing_submitted_has_no_table_and_asks_no_slurm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", str(tmp_path)]) == 0
    assert capsys.readouterr().out == ""


def test_a_refused_input_is_not_tried_again(queue: Path) -> None:
    plan, made_by = two_products()
    submission.submit(plan, made_by, ["all"])
    Path("data/demo/.slurm/ended/data-demo-a.h5.1").write_text("2\n")
    log = Path("data/demo/.slurm/logs/data-demo-a.h5.1.log")
    log.write_text("some progress\nerror: x.h5: no such file\n\n")
    with pytest.raises(StageError) as error:
        following.follow(plan, made_by, ["all"], 0.0)
    assert str(error.value) == (
        f"data/demo/a.h5: job 1 ended with exit code 2: x.h5: no such file ({log})"
    )
    assert len(list((queue / "jobs").iterdir())) == 2


def test_what_is_lost_is_tried_three_times(queue: Path) -> None:
    plan, made_by = two_products()
    submission.submit(plan, made_by, ["all"])
    with pytest.raises(StageError, match=r"(r\.html|a\.h5): job [56] was lost: it printed nothing"):
        following.follow(plan, made_by, ["all"], 0.0)
    assert len(list((queue / "jobs").iterdir())) == 6  # both products, three times


def test_following_ends_when_all_is_made(
    queue: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, made_by = two_products()
    submission.submit(plan, made_by, ["all"])
    (queue / "squeue.txt").write_text("1 N/A RUNNING\n2 N/A PENDING\n")

    def end() -> None:
        make_record("data/demo/r.html", 2)
        (queue / "squeue.txt").write_text("")

    looks: list[Callable[[], None]] = [lambda: make_record("data/demo/a.h5", 1), end]
    monkeypatch.setattr(time, "sleep", lambda _: looks.pop(0)())
    following.follow(plan, made_by, ["all"])
    assert looks == []
    assert capsys.readouterr().err.splitlines() == [
        "2 products left; tasks: 1 pending, 1 running", "1 products left; tasks: 1 pending",
    ]  # fmt: skip


def test_without_slurm_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["submit", "--source", "demo", "--goals", "tda"]) == 2
    assert capsys.readouterr().err == (
        "error: RUNNER=slurm: squeue: cannot be run (No such file or directory); run make on a "
        "machine of the cluster from which jobs are submitted\n"
    )


def test_what_slurm_refuses_is_one_line(queue: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (queue.parent / "bin/sbatch").write_text(
        "#!/bin/bash\necho 'no such' >&2\necho part >&2\nexit 1\n"
    )
    assert main(["submit", "--source", "demo", "--goals", "data/demo/so2sat"]) == 2
    assert capsys.readouterr().err == "error: data/demo/so2sat: sbatch: no such part\n"


# --- on a node -----------------------------------------------------------------------------------


def test_a_task_notes_how_it_ended_and_removes_what_it_used(tmp_path: Path) -> None:
    used = tmp_path / "parts"
    (used / "2").mkdir(parents=True)
    for name in ("1.h5", "1.h5.run.json", "2/model.json"):
        (used / name).write_text(name)
    note = tmp_path / "ended/x"
    command = [sys.executable, "-c", "raise SystemExit(5)"]
    assert task.run(tmp_path / "x", note, used, command) == 5
    assert (note.read_text(), len(list(used.iterdir()))) == ("5\n", 3)
    assert task.run(tmp_path / "x", note, used, [sys.executable, "-c", ""]) == 0
    assert note.read_text() == "0\n"
    assert [path.name for path in used.iterdir()] == ["1.h5.joined.json"]
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert task.run(tmp_path / "x", note, None, [sys.executable, "-c", killed]) == 137


def test_the_signal_that_ends_a_job_reaches_the_stage(tmp_path: Path) -> None:
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "print('ready', flush=True)\ntime.sleep(60)\n"
    )
    words = [sys.executable, "-m", "shared.pipeline.cluster", "task", "--product", "x", "--note",
             str(tmp_path / "note"), "--", sys.executable, "-c", code]  # fmt: skip
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=ROOT) as job:
        assert job.stdout
        assert job.stdout.readline() == b"ready\n"
        job.send_signal(signal.SIGTERM)
        assert job.wait(30) == 7
    assert (tmp_path / "note").read_text() == "7\n"


def test_a_task_waits_for_another_run_of_its_product(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "x.h5.partial.json"
    plan.write_text("{}")
    hold = "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.lockf(f, fcntl.LOCK_EX)\n"
    hold += "print('held', flush=True); sys.stdin.readline()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, plan], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == b"held\n"
        task.wait_for_other_run(tmp_path / "x.h5", patience=0.05, look=0.01)
        said = f"{tmp_path}/x.h5: another run is working on it; waiting\n"
        assert capsys.readouterr().err == said
        other.communicate(b"\n")
    task.wait_for_other_run(tmp_path / "x.h5", patience=30, look=30)  # returns at once
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("alive", [True, False])
def test_a_task_waits_for_another_machine_only_while_it_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alive: bool
) -> None:
    plan = tmp_path / "x.h5.partial.json"
    plan.write_text("{}")
    (tmp_path / "x.h5.partial.holder-1").write_text('{"machine": "another one"}')
    monkeypatch.setattr(holders, "is_alive", lambda _: alive)
    assert task.is_busy(plan) == alive


# --- make ----------------------------------------------------------------------------------------


def test_a_make_with_several_goals_submits_once() -> None:
    plan = build(read_settings("demo", {"D": "data/nothing-made"}), "local")
    text = rules.write_submissions(plan, ["tda", "teacher"], ["tda"], lambda stage: f"env/{stage}")
    (line,) = [line for line in text.splitlines() if line.startswith("\t")]
    assert line == "\t+@$(SUBMIT) --goals 'tda teacher'"
    (waits,) = [line for line in text.splitlines() if line.startswith("submission:")]
    assert {"env/tda", "env/teacher", "env/merge", "env/demo"} <= set(waits.split())
    assert "env/distill" not in waits


def test_make_plan_and_make_n_show_the_jobs(tmp_path: Path) -> None:
    words = ["SOURCE=demo", "RUNNER=slurm", f"D={tmp_path}/d", "SHARDS=2"]
    plan = subprocess.run(["make", "plan", *words], cwd=ROOT, capture_output=True, text=True)
    submitted = [line for line in plan.stdout.splitlines() if line.startswith("sbatch ")]
    assert any(f"--dependency=afterok:{tmp_path}/d/prepare/training.h5" in s for s in submitted)
    dry = ["make", "-n", *words, f"{tmp_path}/d/tda/prepare/testing.h5.run.json"]
    done = subprocess.run(dry, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # The scenes, two splits and two grids of topology; of all but the first, parts and their join.
    assert len([line for line in done.stdout.splitlines() if line.startswith("sbatch ")]) == 9
    assert not (tmp_path / "d").exists()


def test_the_ledger_survives_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / ".slurm").mkdir()
    (tmp_path / ".slurm/jobs.json").write_text('{"a": {"name')
    assert ledger.Ledger(str(tmp_path)).entries == {}
    with ledger.open_ledger(str(tmp_path)) as book:
        book.entries["a"] = ledger.Entry("a", "a", "x", "a", 1, {"1": 1}, {"1": "77"})
        book.save()
    assert json.loads((tmp_path / ".slurm/jobs.json").read_text())["a"]["numbers"] == {"1": "77"}
    assert shlex.split(str(book.log("n", is_array=True))) == [f"{tmp_path}/.slurm/logs/n.%A.%a.log"]

"""Profiles of training steps: a trace that viewers open, a table, nothing where nobody asks."""

import gzip
import json
from pathlib import Path

import pytest
import torch

from shared.runs import record
from shared.training.records import profiles

CPU = torch.device("cpu")


def train(folder: Path | None, steps: int) -> None:
    network = torch.nn.Linear(8, 4)
    with profiles.profile_steps(folder, CPU) as end_step:
        for _ in range(steps):
            network(torch.ones(2, 8)).sum().backward()
            end_step()


def test_trace_and_table_of_four_steps(tmp_path: Path) -> None:
    train(tmp_path, 8)
    trace = json.loads(gzip.decompress((tmp_path / profiles.TRACE).read_bytes()))
    events = [one for one in trace["traceEvents"] if one.get("ph") == "X"]
    assert events
    assert all({"name", "ts", "dur", "pid", "tid"} <= one.keys() for one in events)
    steps = [one["name"] for one in events if one["name"].startswith("ProfilerStep")]
    assert len(steps) == profiles.SHOWN
    table = (tmp_path / profiles.TABLE).read_text()
    assert "aten::addmm" in table
    assert "Self CPU" in table


def test_steps_that_are_there_already_are_kept(tmp_path: Path) -> None:
    (tmp_path / profiles.TABLE).write_text("of the run before\n")
    train(tmp_path, 8)
    assert [path.name for path in tmp_path.iterdir()] == [profiles.TABLE]


def test_too_few_steps_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path / "profile", 2)
    assert not (tmp_path / "profile").exists()
    assert "profile: needs more than 2 steps" in capsys.readouterr().err


def test_nothing_is_recorded_where_nobody_asks(tmp_path: Path) -> None:
    train(None, 8)
    assert not list(tmp_path.iterdir())


def test_a_profile_is_no_part_of_a_product_s_digest(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    before = record.digest(tmp_path)
    train(tmp_path / "profile", 8)
    assert record.fingerprint(tmp_path)["sha256"] == before

"""The table of tests.bench.slurm: what was submitted, put back, and what differs."""

from pathlib import Path

import numpy as np

from shared.pipeline.cluster.slurm.ledger import Entry, open_ledger
from shared.runs import record
from tests.bench import slurm


def test_a_row_counts_jobs_tasks_and_starts(tmp_path: Path) -> None:
    with open_ledger(str(tmp_path)) as ledger:
        for ident, tries in (("a", {"1": 1}), ("b", {"1": 3, "2": 1})):
            ledger.entries[ident] = Entry(ident, ident, "", ident, len(tries), tries)
        ledger.save()
    run = slurm.Run("lost", tmp_path, 12.4, {("7", "1"): 1, ("8", "2"): 2})
    assert slurm.row(run, []) == "| lost | 12 s | 2 | 3 | 3 | 2 | 0 |"
    assert slurm.row(run, ["x", "y"]).endswith("| 2 | 2 (x, y) |")
    assert slurm.row(run, None).endswith("| 2 | – |")


def test_products_are_compared_and_joined_members_by_their_scores(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        (folder / "teacher").mkdir(parents=True)
        np.save(folder / "teacher" / slurm.SCORES, np.eye(2))
        (folder / "same.json").write_text("{}")
        (folder / "changed.json").write_text(f'{{"x": {len(folder.name)}}}')
    (one / "teacher" / "member-01.onnx").write_text("network")
    names = ["teacher", "same.json", "changed.json"]
    assert slurm.compare(one, other, names) == ["teacher", "changed.json"]
    member = other / "teacher.parts" / "1"
    member.mkdir(parents=True)
    (member / "model.json").touch()
    assert slurm.compare(one, other, names) == ["changed.json"]
    np.save(other / "teacher" / slurm.SCORES, np.zeros((2, 2)))
    assert slurm.compare(one, other, names) == ["teacher", "changed.json"]


def test_reports_of_the_same_products_are_the_same_whatever_the_time(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    output = {"sha256": "0" * 64, "bytes": 1, "modified_ns": 1}
    for folder in (one, other):
        folder.mkdir()
        (folder / slurm.REPORT).write_text(f"took {len(folder.name)} s")
        plan = {"stage": "report", "parameters": {}, "inputs": {"src": ["a"]}}
        record.save(folder / slurm.REPORT, {"plan": plan, "output": output})
    assert slurm.compare(one, other, [slurm.REPORT]) == []
    plan = {"stage": "report", "parameters": {}, "inputs": {"src": ["b"]}}
    record.save(other / slurm.REPORT, {"plan": plan, "output": output})
    assert slurm.compare(one, other, [slurm.REPORT]) == [slurm.REPORT]

"""make vulnerabilities: answers of pip-audit are told per package; no database is no pass."""

import json
from pathlib import Path

import pytest

from shared.errors import StageError
from shared.tools import vulnerabilities

FINE = {"name": "fire", "version": "0.7.1", "vulns": []}
SKIPPED = {
    "name": "h5py",
    "skip_reason": "Dependency not found on PyPI and could not be audited: h5py (3.16.0)",
}
FOUND = {
    "name": "pillow",
    "version": "9.0.0",
    "vulns": [
        {"id": "PYSEC-2022-9", "fix_versions": ["9.0.1", "9.1"], "aliases": ["CVE-2022-1"]},
        {"id": "PYSEC-2022-10", "fix_versions": [], "aliases": []},
    ],
}


def pip_audit(folder: Path, **answers: object) -> tuple[str, list[str]]:
    """A tool that answers for each lock with dependencies, or with a last line of stderr."""
    locks = []
    for name, answer in answers.items():
        lock = folder / name
        lock.write_text("a lock")
        said = isinstance(answer, str)
        (folder / f"{name}.out").write_text("" if said else json.dumps({"dependencies": answer}))
        (folder / f"{name}.err").write_text(f"Traceback:\n{answer}\n" if said else "")
        locks.append(str(lock))
    tool = folder / "pip-audit"
    tool.write_text(
        "#!/bin/bash\n[ $# = 8 ] && [ $1$2 = --disable-pip--require-hashes ] && "
        "[ $3$4$7 = --formatjson-r ] || exit 9\ncat $8.out; cat $8.err >&2\nexit 1\n"
    )
    tool.chmod(0o755)
    return str(tool), locks


def test_each_advisory_is_told_with_its_package_and_locks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tool, locks = pip_audit(tmp_path, tda=[FINE, FOUND], map=[SKIPPED], ship=[FOUND])
    assert vulnerabilities.main(tool, locks) == 1
    where = f"in {tmp_path}/tda, {tmp_path}/ship"
    assert capsys.readouterr().out.splitlines() == [
        f"pillow 9.0.0: PYSEC-2022-10, not fixed yet; {where}",
        f"pillow 9.0.0: PYSEC-2022-9 (CVE-2022-1), fixed in 9.0.1, 9.1; {where}",
        "2 packages asked for, 1 with known advisories",
        "not in the database: h5py (3.16.0)",
    ]


def test_a_lock_of_an_image_is_told_by_the_name_of_the_image() -> None:
    findings = vulnerabilities.Findings()
    for lock in ("images/tda/requirements.txt", "images/ship.txt", "tests/requirements.txt"):
        findings.add(lock, [FOUND])
    assert findings.tell().splitlines()[0].endswith("; in tda, ship.txt, tests")


def test_nothing_known_is_told_with_the_number_of_packages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert vulnerabilities.main(*pip_audit(tmp_path, ship=[FINE], tda=[FINE])) == 0
    assert capsys.readouterr().out == "1 packages asked for, 0 with known advisories\n"


@pytest.mark.parametrize(
    "answer",
    [
        [SKIPPED, SKIPPED],
        "ERROR:pip_audit._cli:Could not connect to PyPI's vulnerability feed\n"
        "ERROR:pip_audit._cli:Tip: your network may be blocking this service. Try another",
        "requests.exceptions.ConnectionError: Max retries (Failed to resolve 'advisories.example')",
        "requests.exceptions.ReadTimeout: Read timed out. (read timeout=15)",
        "pip_audit._service.interface.ServiceError",
    ],
)
def test_no_database_is_said_in_one_line_and_is_no_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], answer: object
) -> None:
    assert vulnerabilities.main(*pip_audit(tmp_path, ship=answer, tda=[FOUND])) == 0
    assert capsys.readouterr().out == (
        "no advisory database was reachable: nothing is known about 2 of 2 locks, "
        f"{tmp_path}/ship first\n"
    )


def test_what_was_found_before_the_database_went_away_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tool, locks = pip_audit(tmp_path, tda=[FOUND], map="ConnectionError", ship=[FINE])
    assert vulnerabilities.main(tool, locks) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line[:19] for line in lines[:2]] == ["pillow 9.0.0: PYSEC"] * 2
    assert lines[-1] == (
        "no advisory database was reachable: nothing is known about 2 of 3 locks, "
        f"{tmp_path}/map first"
    )


def test_an_empty_lock_and_a_package_that_is_elsewhere_are_no_missing_database(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert vulnerabilities.main(*pip_audit(tmp_path, uv=[], tda=[SKIPPED, FINE])) == 0
    assert capsys.readouterr().out.splitlines() == [
        "1 packages asked for, 0 with known advisories",
        "not in the database: h5py (3.16.0)",
    ]


def test_a_lock_that_cannot_be_read_is_the_callers_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StageError, match="found pip-audit said nothing"):
        vulnerabilities.read_answer(" \n", "")
    tool, locks = pip_audit(tmp_path, tda="ERROR:pip_audit._cli:numpy has two hashes of HTTPError")
    assert vulnerabilities.main(tool, locks) == 2
    assert vulnerabilities.main(tool, ["images/none.txt"]) == 2
    assert vulnerabilities.main(str(tmp_path / "none"), locks) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"error: {locks[0]}: pip-audit: expected an answer, found "
        "ERROR:pip_audit._cli:numpy has two hashes of HTTPError",
        "error: images/none.txt: expected a lock, found no such file",
        f"error: {tmp_path}/none: No such file or directory; make .venvs/supply",
    ]

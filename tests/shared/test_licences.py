"""make licences: environments hold what is allowed; made metadata are judged as they must be."""

from pathlib import Path

import pytest

from shared.errors import StageError
from shared.tools import licences
from shared.tools.licences import Package, Rules

ROOT = Path(__file__).parents[2]
RULES = Rules(
    allowed=["MIT", "BSD", "BSD-3-Clause", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"],
    only={"GPL-3.0": ["tda"]},
    spellings={"MIT License": "MIT", "BSD License": "BSD", "GPLv3": "GPL-3.0"},
    packages={
        "mute": {"says": "nothing in 1.0", "licence": "MIT", "because": "its file"},
        "torn": {"says": "MIT | BSD License", "licence": "BSD-3-Clause", "because": "its file"},
    },
)


def install(folder: Path, environment: str, name: str, *fields: str) -> None:
    """A package of an environment, as far as its metadata go."""
    place = folder / environment / f"lib/python3.11/site-packages/{name}-1.0.dist-info"
    place.mkdir(parents=True)
    lines = ["Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0", *fields, "", "License: no"]
    (place / "METADATA").write_text("\n".join(lines))


def judge(package: Package) -> list[str]:
    return licences.check([package], RULES)[1]


def test_every_package_of_the_environments_that_exist_has_an_allowed_licence() -> None:
    packages = list(licences.list_packages(ROOT / ".venvs"))
    counts, wrong = licences.check(packages, licences.read_rules())
    assert not wrong
    assert counts.total() == len(packages) > 20, "the environment of this test has more itself"


def test_rules_are_whole() -> None:
    rules = licences.read_rules()
    for name, entry in rules.packages.items():
        assert set(entry) == {"says", "licence", "because"}, name
        places = {"tda", "teacher"}
        assert any(rules.allow(entry["licence"], place) for place in places), name
    known = {*rules.allowed, *rules.only, "LicenseRef"}
    assert set(rules.spellings.values()) <= known
    assert {place for places in rules.only.values() for place in places} == {"tda"}


def test_the_gpl_and_its_kin_are_for_tda_alone() -> None:
    rules = licences.read_rules()
    for name, version, says in (
        ("giotto-tda", "0.6.2", ("GNU AGPLv3",)),
        ("gudhi", "3.13.0", ()),
        ("igraph", "1.0.0", ("GNU General Public License (GPL)",)),
    ):
        assert not licences.check([Package(name, version, "tda", says)], rules)[1]
        (line,) = licences.check([Package(name, version, "map", says)], rules)[1]
        assert line.startswith(f"{name} {version} in map: expected a licence that licences.toml")


@pytest.mark.parametrize(
    ("expression", "environment", "expected"),
    [
        ("MIT", "map", True),
        ("GPL-3.0", "map", False),
        ("GPL-3.0", "tda", True),
        ("MIT AND GPL-3.0", "map", False),
        ("MIT OR GPL-3.0", "map", True),
        ("GPL-3.0 AND BSD OR MIT", "map", True),
        ("GPL-3.0 AND (BSD OR MIT)", "map", False),
        ("(GPL-3.0 OR (MIT)) AND Apache-2.0", "map", True),
        ("Apache-2.0 WITH LLVM-exception", "map", True),
        ("GPL-3.0 WITH LLVM-exception", "tda", False),
        ("", "map", False),
    ],
)
def test_expressions(expression: str, environment: str, expected: bool) -> None:
    assert RULES.allow(expression, environment) is expected


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        (("MIT",), "MIT"),
        (("MIT License",), "MIT"),
        (("BSD-3-Clause", "BSD License"), "BSD-3-Clause"),
        (("MIT OR Apache-2.0", "Apache-2.0"), "MIT OR Apache-2.0"),
    ],
)
def test_metadata_that_agree_name_the_licence(says: tuple[str, ...], expected: str) -> None:
    assert RULES.find_licence(Package("some", "1.0", "map", says)) == expected


def test_metadata_that_say_nothing_or_do_not_agree_are_refused() -> None:
    with pytest.raises(StageError, match=r"^the metadata declare nothing$"):
        RULES.find_licence(Package("some", "1.0", "map", ()))
    with pytest.raises(StageError, match=r"^the metadata do not agree: MIT \| BSD License$"):
        RULES.find_licence(Package("some", "1.0", "map", ("MIT", "BSD License")))


def test_an_entry_counts_for_the_metadata_that_it_was_written_for() -> None:
    assert RULES.find_licence(Package("mute", "1.0", "map", ())) == "MIT"
    assert RULES.find_licence(Package("torn", "1.0", "map", ("MIT", "BSD License"))) == (
        "BSD-3-Clause"
    )
    assert RULES.find_licence(Package("torn", "1.0", "tda", ("GPLv3",))) == "GPL-3.0"
    with pytest.raises(StageError, match="declare nothing"):
        RULES.find_licence(Package("mute", "1.1", "map", ()))


def test_a_new_dependency_with_a_forbidden_licence_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(licences, "read_rules", lambda: RULES)
    install(tmp_path, "tda", "Far.Reaching", "License: GPLv3")
    install(tmp_path, "map", "fine", "License-Expression: MIT")
    assert licences.main(tmp_path) == 0
    assert capsys.readouterr().out == (
        "     1  GPL-3.0\n     1  MIT\n2 packages in 2 environments, 0 not as allowed\n"
    )
    install(tmp_path, "map", "Far_Reaching", "License: GPLv3")
    assert licences.main(tmp_path) == 1
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "3 packages in 2 environments, 1 not as allowed"
    assert said.err == (
        "far-reaching 1.0 in map: expected a licence that licences.toml allows, found GPL-3.0\n"
    )


def test_metadata_are_read_without_texts_and_classifiers_that_say_nothing(tmp_path: Path) -> None:
    install(
        tmp_path,
        "map",
        "a",
        "License: The terms:",
        "        you may do this, and not that",
        "Classifier: License :: OSI Approved",
        "Classifier: License :: OSI Approved :: MIT License",
        "Classifier: Topic :: Scientific/Engineering",
    )
    install(tmp_path, "map", "b", "License: UNKNOWN")
    install(tmp_path, "map", "c", "License-Expression: MIT", "License: MIT")
    install(tmp_path, "map", "d", f"License: {'you may ' * 9}")
    found = sorted(licences.list_packages(tmp_path))
    assert [package.says for package in found] == [("MIT License",), (), ("MIT",), ()]
    assert judge(found[1]) == [
        "b 1.0 in map: the metadata declare nothing; add what its files show to licences.toml"
    ]


def test_no_environment_is_no_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert licences.main(tmp_path) == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path}: expected environments; make environments\n"
    )

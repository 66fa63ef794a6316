"""Records: content digests, who lends them when, what differs between two plans."""

import contextlib
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from shared import progress
from shared.runs import environment, fingerprints, lock, processes, record


def recorded(path: Path) -> Path:
    record.save(path, {"plan": {}, "output": record.fingerprint(path)})
    return path


@pytest.fixture
def product(tmp_path: Path) -> Path:
    """A recorded file of 7 bytes."""
    path = tmp_path / "product.h5"
    path.write_bytes(b"content")
    return recorded(path)


def test_the_record_of_a_folder_without_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--src .` is the folder in which one stands, and `..` the one around it."""
    (tmp_path / "made" / "within").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "made")
    assert record.record_path(Path()) == tmp_path / "made.run.json"
    assert record.record_path(Path("within/..")) == tmp_path / "made.run.json"
    assert record.record_path(Path("within")) == Path("within.run.json")
    assert record.record_path(Path("/")) == Path("/.run.json")


WHOLE = {"plan": {"stage": "a", "parameters": {}, "inputs": {"src": ["0"], "geo": None}},
         "output": {"sha256": "0", "bytes": 1}}  # fmt: skip


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("plan", None), ("plan", []), ("plan", {"stage": 1}), ("plan", {"parameters": "ab"}),
        ("plan", {"inputs": []}), ("plan", {"inputs": {"src": 1}}), ("output", "sha256 bytes"),
        ("plan", {"inputs": {"src": [{}]}}), ("output", {"sha256": 1, "bytes": 1}),
        ("output", {"sha256": "0", "bytes": "1"}), ("output", {"sha256": "0", "bytes": True}),
        ("output", {"sha256": "0", "bytes": 1, "linked": [1]}),
        ("output", {"sha256": "0", "bytes": 1, "linked": "a"}),
        ("output", {"sha256": "0", "bytes": 1, "linked": ["a\0"]}),
    ],
)  # fmt: skip
def test_record_of_another_form_is_none(product: Path, part: str, value: object) -> None:
    """Whoever reads a record relies on the form of its plan and of its output."""
    record.save(product, WHOLE)
    assert record.load(product) == WHOLE
    record.save(product, WHOLE | {part: value})
    assert record.load(product) is None


@pytest.mark.parametrize("text", ["[" * 10**5, "null", "[]", '{"plan": {}}', "\0"])
def test_record_that_is_no_record_is_none(product: Path, text: str) -> None:
    record.record_path(product).write_text(text)
    assert record.load(product) is None


@pytest.mark.parametrize("entries", [1, "ab", [1], [None], [[]], [{"sha256": 1}], {"a": 1}])
def test_known_inputs_of_another_form_are_not_known(tmp_path: Path, entries: object) -> None:
    plan = tmp_path / "dst.partial.json"
    plan.write_text(json.dumps({"large_inputs": entries}))
    assert lock.read_large_inputs(tmp_path / "dst") == []


def test_digest_of_a_file_is_its_sha256(product: Path) -> None:
    digest = record.fingerprint(product)
    assert digest["sha256"] == hashlib.sha256(b"content").hexdigest()
    assert digest["bytes"] == 7


def test_digest_of_a_folder_is_that_of_the_bytes_of_its_names(tmp_path: Path) -> None:
    """Names that are not UTF-8 count by their bytes; ordinary ones as they always did."""
    names = [b"a/W\xc3\xa4lder.h5", b"b/For\xeat.h5", b"c/two\nlines"]
    whole = hashlib.sha256()
    for name in names:
        path = tmp_path / os.fsdecode(name)
        path.parent.mkdir()
        path.write_bytes(name)
        whole.update(name + b"\0" + hashlib.sha256(name).hexdigest().encode() + b"\n")
    assert record.fingerprint(tmp_path)["sha256"] == whole.hexdigest()


def test_digest_of_a_folder_is_that_of_names_and_contents(tmp_path: Path) -> None:
    for folder, order in (("one", "ab"), ("two", "ba")):
        for name in order:
            (tmp_path / folder / name).mkdir(parents=True)
            (tmp_path / folder / name / "f").write_text(name)
    one, two = record.fingerprint(tmp_path / "one"), record.fingerprint(tmp_path / "two")
    assert one["sha256"] == two["sha256"]
    (tmp_path / "two" / "a" / "f").rename(tmp_path / "two" / "a" / "g")
    assert record.fingerprint(tmp_path / "two")["sha256"] != one["sha256"]


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "a/._f", "__MACOSX/f"])
def test_what_a_file_manager_leaves_in_a_folder_does_not_count(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "f").write_text("content")
    before = record.fingerprint(tmp_path)
    left = tmp_path / name
    left.parent.mkdir(exist_ok=True)
    left.write_text("left behind")
    assert record.fingerprint(tmp_path) == before
    left.rename(tmp_path / "g")
    assert record.fingerprint(tmp_path)["sha256"] != before["sha256"]


def test_record_lends_its_digest(product: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = record.fingerprint(product)["sha256"]
    monkeypatch.setattr(fingerprints, "_hash", lambda _: pytest.fail("read the file"))
    assert record.digest(product) == expected


def test_changed_input_is_noticed(product: Path) -> None:
    before = record.digest(product)
    product.write_bytes(b"CONTENT")  # as many bytes
    assert record.digest(product) == hashlib.sha256(b"CONTENT").hexdigest() != before


def test_another_older_file_moved_to_the_place_is_noticed(product: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.h5"
    other.write_bytes(b"CONTENT")
    os.utime(other, ns=(10**18, 10**18))
    other.replace(product)
    assert record.digest(product) == hashlib.sha256(b"CONTENT").hexdigest()


def test_changed_file_in_a_folder_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "product"
    folder.mkdir()
    (folder / "a").write_text("a")
    before = record.digest(recorded(folder))
    assert record.digest(folder) == before
    (folder / "a").write_text("b")
    assert record.digest(folder) != before


def test_copied_product_without_times_is_read_again(product: Path) -> None:
    os.utime(product)
    assert record.digest(product) == hashlib.sha256(b"content").hexdigest()


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"plan": 3, "output": {}}'])
def test_broken_record_is_none(product: Path, text: str) -> None:
    record.record_path(product).write_text(text)
    assert record.load(product) is None
    assert record.digest(product) == hashlib.sha256(b"content").hexdigest()


def test_plan_is_plain_json(product: Path) -> None:
    plan = record.plan("toy", {"names": ("a", "b"), "scale": 2}, {"src": (product,), "extra": None})
    assert json.loads(json.dumps(plan)) == plan
    assert plan["inputs"] == {"src": [record.digest(product)], "extra": None}


def test_differences_name_parameters_inputs_and_stage() -> None:
    old = {"stage": "a", "parameters": {"scale": 2, "gone": 1}, "inputs": {"src": "0", "x": "1"}}
    new = {"stage": "b", "parameters": {"scale": 3}, "inputs": {"src": "1", "x": "1"}}
    assert record.differences(old, new) == (
        "made by stage a; gone 1, now None; scale 2, now 3; src: other content"
    )
    assert record.differences(new, new) == ""


def test_a_plan_without_a_parameter_has_its_default() -> None:
    defaults = {"stage": "a", "parameters": {"scale": 2, "fast": False}, "inputs": {"more": None}}
    old = {"stage": "a", "parameters": {"scale": 3}, "inputs": {"src": "0"}}
    filled = record.fill_defaults(old, defaults)
    assert filled == {
        "stage": "a",
        "parameters": {"scale": 3, "fast": False},
        "inputs": {"src": "0", "more": None},
    }
    assert old["parameters"] == {"scale": 3}
    assert record.fill_defaults(old, {}) == old
    assert record.fill_defaults({"stage": "a"}, {}) == {
        "stage": "a",
        "parameters": {},
        "inputs": {},
    }


def test_circumstances_name_versions_and_machine() -> None:
    circumstances = environment.gather(1.23456, "cpu")
    assert circumstances["seconds"] == 1.235
    assert circumstances["packages"].keys() >= {"numpy", "h5py", "fire", "tqdm"}
    assert circumstances["peak_memory_bytes"] > 10**6
    assert circumstances["revision"]


def test_revision_of_the_image_comes_from_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGE_REVISION", "abc")
    environment._revision.cache_clear()
    assert environment.gather(0, "cpu")["revision"] == "abc"
    environment._revision.cache_clear()


def test_failed_save_leaves_the_old_record(product: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = record.record_path(product).read_text()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        record.save(product, {"plan": {}, "output": {}})
    assert record.record_path(product).read_text() == before
    assert len(list(product.parent.iterdir())) == 2


def test_hashing_many_files_shows_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(bytes(number))
    alone = record.fingerprint(tmp_path)
    assert "hash" not in capsys.readouterr().err
    monkeypatch.setattr("shared.runs.fingerprints.MANY", 3)
    assert record.fingerprint(tmp_path) == alone
    assert f"hash {tmp_path.name}: 100%" in capsys.readouterr().err


VARIABLES = ("RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "LOCAL_WORLD_SIZE",
             "SLURM_STEP_NUM_NODES")  # fmt: skip


@pytest.mark.parametrize(
    ("given", "place", "nodes"),
    [
        ({}, (0, 1), 1),
        ({"RANK": "2"}, (0, 1), 1),  # one of the two says nothing
        ({"WORLD_SIZE": "4"}, (0, 1), 1),
        ({"RANK": "0", "WORLD_SIZE": "4"}, (0, 4), 1),
        ({"RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}, (1, 4), 2),
        ({"RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "4"}, (1, 2), 1),
        ({"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "8"}, (3, 8), 1),
        (
            {"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "8", "RANK": "1", "WORLD_SIZE": "2",
             "SLURM_STEP_NUM_NODES": "2"}, (1, 2), 2,
        ),
    ],
)  # fmt: skip
def test_place_among_several_processes(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], place: tuple[int, int], nodes: int
) -> None:
    """As torchrun says it, else as srun does."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert processes.rank_and_size() == place
    assert processes.is_helper() == (place[0] > 0)
    assert processes.count_nodes() == nodes


@pytest.mark.parametrize(
    ("given", "image"),
    [
        ({}, ""),
        ({"STAGE_IMAGE": "sha256:1", "STAGE_INPUTS": "abc"}, "sha256:1"),
        ({"STAGE_IMAGE": "", "STAGE_INPUTS": "abc"}, "built from abc"),
        ({"STAGE_INPUTS": ""}, "built from "),
    ],
)
def test_image_of_a_run(monkeypatch: pytest.MonkeyPatch, given: dict[str, str], image: str) -> None:
    for name in ("STAGE_IMAGE", "STAGE_INPUTS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert environment.gather(0, "cpu")["image"] == image


def test_revision_outside_a_checkout_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STAGE_REVISION", raising=False)
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    environment._revision.cache_clear()
    assert environment.gather(0, "cpu")["revision"] == "unknown"
    monkeypatch.setenv("PATH", "/nowhere")
    environment._revision.cache_clear()
    assert environment.gather(0, "cpu")["revision"] == "unknown"
    environment._revision.cache_clear()


def test_packages_are_listed_by_name_the_first_on_the_path_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, name, version in (
        ("one", "Bee", "1"), ("two", "Bee", "9"), ("two", "ant", "2"), ("two", "Cat", "3"),
    ):  # fmt: skip
        folder = tmp_path / place / f"{name}-{version}.dist-info"
        folder.mkdir(parents=True)
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (folder / "METADATA").write_text(text)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "one"), str(tmp_path / "two")])
    packages = environment.gather(0, "cpu")["packages"]
    assert list(packages.items()) == [("ant", "2"), ("Bee", "1"), ("Cat", "3")]


def test_a_value_with_a_former_name_has_that_of_today() -> None:
    """A switch of before, true, is the word "lcz" now; other values stay what they are."""
    defaults = {"parameters": {"x": "sharp"}, "former": {"x": {"true": "lcz", "false": "none"}}}
    for stored, now in ((True, "lcz"), (False, "none"), ("overhead", "overhead")):
        filled = record.fill_defaults({"parameters": {"x": stored}}, defaults)
        assert filled["parameters"] == {"x": now}
    assert record.fill_defaults({"parameters": {}}, defaults)["parameters"] == {"x": "sharp"}


@pytest.mark.parametrize(
    ("size", "count", "shown"),
    [(2**30 - 1, 999, False), (2**30, 1, True), (1, 1000, True), (0, 0, False)],
)
def test_what_takes_a_while_to_hash_has_a_bar(
    monkeypatch: pytest.MonkeyPatch, size: int, count: int, shown: bool
) -> None:
    """From one gibibyte or a thousand files on."""
    bars: list[tuple[int, str]] = []

    class Bar(contextlib.nullcontext[Any]):
        def __init__(self, total: int, what: str, unit: str) -> None:
            super().__init__(self)
            bars.append((total, f"{what}, {unit}"))

        def update(self, count: int) -> None: ...

    monkeypatch.setattr(progress, "bar", Bar)
    with fingerprints._bar(size, count, "a.h5") as update:
        update(1)
    assert bars == ([(size, "hash a.h5, B")] if shown else [])

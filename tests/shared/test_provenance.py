"""make provenance: the runs behind a product, as PROV-JSON that a reader of it takes, and drawn."""

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
from prov.model import ProvDocument

from shared import cli
from shared.pipeline.cluster import task
from shared.runs import record
from shared.tools.provenance import chain, picture, prov
from shared.tools.provenance.main import main


def join(*, src: tuple[Path, ...], dst: Path, mark: str = "+") -> None:
    """Join.

    Args:
        src: texts.
        dst: text.
        mark: between them.
    """
    dst.write_text(mark.join(path.read_text() for path in src))


def split(*, src: Path, dst: Path) -> None:
    """Split.

    Args:
        src: text.
        dst: folder with one file a letter.
    """
    dst.mkdir()
    for letter in src.read_text():
        (dst / letter).write_text(letter)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """raw.txt -> letters/ (a and b) -> both.txt, which also reads other.txt."""
    (tmp_path / "raw.txt").write_text("ab")
    (tmp_path / "other.txt").write_text("<c>")
    letters = cli.produce(split, {"src": tmp_path / "raw.txt", "dst": tmp_path / "letters"})
    parts = (letters / "a", letters / "b", tmp_path / "other.txt")
    cli.produce(join, {"src": parts, "dst": tmp_path / "both.txt", "mark": "-"})
    return tmp_path


def test_runs_and_what_they_used(data: Path) -> None:
    made = list(chain.trace(data / "both.txt", data).runs.values())
    assert [Path(run.made.path).name for run in made] == ["letters", "both.txt"]
    used = [(name, Path(content.path).name) for name, content in made[1].used]
    assert used == [("src", "a"), ("src", "b"), ("src", "other.txt")]
    assert [bool(content.part_of) for _, content in made[1].used] == [True, True, False]
    assert {content.part_of for _, content in made[1].used[:2]} == {made[0].made.digest}
    assert [Path(content.path).name for _, content in made[0].used] == ["raw.txt"]


def test_the_document_is_read_by_a_reader_of_prov(data: Path) -> None:
    text = json.dumps(prov.as_prov(chain.trace(data / "both.txt", data)))
    document = ProvDocument.deserialize(content=text, format="json")
    kinds: dict[str, int] = {}
    for one in document.get_records():
        kinds[type(one).__name__] = kinds.get(type(one).__name__, 0) + 1
    assert kinds == {
        "ProvAgent": 1, "ProvEntity": 6, "ProvActivity": 2, "ProvGeneration": 2,
        "ProvAssociation": 2, "ProvUsage": 4, "ProvMembership": 2,
    }  # fmt: skip
    digest = record.digest(data / "both.txt")
    (made,) = document.get_record(f"lcz:content-{digest}")
    assert made.label == str(data / "both.txt")
    (run,) = document.get_record(f"lcz:run-{digest}")
    said = {str(name): value for name, value in run.attributes}
    assert json.loads(said["lcz:parameters"]) == {"mark": "-"}
    assert json.loads(said["lcz:packages"])["numpy"]


def test_what_is_gone_is_known_by_its_digest(data: Path) -> None:
    digest = record.digest(data / "other.txt")
    (data / "other.txt").unlink()
    traced = chain.trace(data / "both.txt", data)
    assert traced.contents()[digest] == chain.Content(digest, "")
    assert "not there any more" in picture.as_svg(traced, data)


def test_parts_that_were_joined_and_removed_are_still_in_the_chain(data: Path) -> None:
    part = data / "x.parts" / "1.txt"
    cli.produce(join, {"src": (data / "raw.txt", data / "other.txt"), "dst": part})
    cli.produce(join, {"src": (part, data / "raw.txt"), "dst": data / "x.txt"})
    whole = chain.trace(data / "x.txt", data)
    task.remove_parts(data / "x.parts")
    assert [path.name for path in (data / "x.parts").iterdir()] == ["1.txt.joined.json"]
    assert chain.trace(data / "x.txt", data) == whole
    assert [Path(run.made.path).name for run in whole.runs.values()] == ["1.txt", "x.txt"]


def test_the_picture_has_a_box_for_each_and_an_arrow_for_each_use(data: Path) -> None:
    traced = chain.trace(data / "both.txt", data)
    columns = picture.place(traced)
    names = [[Path(traced.contents()[d].path).name for d in column] for column in columns]
    assert names == [["raw.txt", "other.txt"], ["letters"], ["both.txt"]]  # files of a folder: once
    tree = ElementTree.fromstring(picture.as_svg(traced, data))
    assert len(tree.findall("{*}g")) == 4
    assert len(tree.findall("{*}path")) == 3
    shown = [text.text for text in tree.findall(".//{*}text")]
    assert {"raw.txt", "letters", "both.txt"} <= set(shown)


def test_a_file_is_no_place_for_documents(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "provenance").write_text("kept")
    assert main([str(data / "both.txt"), "--data", str(data)]) == 2
    said = capsys.readouterr().err
    assert "provenance: expected a folder to write into" in said
    assert said.count("\n") == 1


def test_a_product_that_was_changed_has_no_provenance(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(data / "both.txt"), "--data", str(data)]) == 0
    written = [data / "provenance" / name for name in ("both.txt.json", "both.txt.svg")]
    assert capsys.readouterr().out.split() == [str(path) for path in written]
    assert all(path.stat().st_size for path in written)
    (data / "both.txt").write_text("by hand")
    assert main([str(data / "both.txt"), "--data", str(data)]) == 2
    assert "both.txt: is not as its record says" in capsys.readouterr().err
    shutil.rmtree(data / "letters")
    assert main([str(data / "none"), "--data", str(data)]) == 2
    assert "expected a product below" in capsys.readouterr().err

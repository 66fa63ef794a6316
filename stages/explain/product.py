"""From products and test rows to the folder of pictures and tables."""

import csv
import dataclasses
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.patches import Source
from shared.progress import bar, say
from stages.explain import band_chart, classifiers, findings, pictures, test_rows
from stages.explain.findings import Drawn, Finding, Looker
from stages.explain.settings import Choice, Maps
from stages.explain.test_rows import Band, Said

INDEX = ("row", "class", "product", "predicted", "score", "layer", "method", "correlation", "file")
VERSUS = "best-versus-worst.png"
Lines = list[tuple[str, list[int | None]]]


@dataclass(frozen=True)
class Sample:
    """The rows that all networks classified.

    Attributes:
        rows: (N,) of the patch file.
        labels: (N,) true classes.
        said: what each network says.
    """

    rows: NDArray[np.intp]
    labels: NDArray[np.intp]
    said: list[Said]

    def accuracies(self) -> list[float]:
        """One a network."""
        return [float((said.predicted == self.labels).mean()) for said in self.said]


def explain(src: tuple[Path, ...], source: Source, dst: Path, maps: Maps, choice: Choice) -> None:
    """Write the product: see `stages.explain.main.run`."""
    labels = source.labels()
    found = classifiers.read(src, source, choice.member)
    lookers = findings.prepare(found, source, maps)
    rows = test_rows.sample(source.total, choice.sample)
    sample = Sample(np.array(rows), labels[rows], test_rows.classify(found, source, rows))
    for one in found:
        for line in one.tell_lacking():
            say(line)
    lines, groups = choose_lines(sample, labels, source.classes, choice)
    pair, telling = choose_versus(sample, choice.seed)
    wanted = dict.fromkeys([row for _, line in lines for row in line if row is not None] + telling)
    shown = pictures.show_patches(source, [*wanted], found[0].bands)
    seen = look_at(lookers, source, [*wanted], labels)
    scene = pictures.Scene(lookers, source.classes, maps.opacity, shown, seen)
    dst.mkdir(exist_ok=True)
    grades = [test_rows.measure_bands(said, sample.labels) for said in sample.said]
    write_bands(dst, dict(zip([one.name for one in found], grades, strict=True)))
    pictures.overview(dst / "overview.png", scene, lines, groups)
    if telling:
        best, worst = (lookers[place] for place in pair)
        named = [(source.classes[labels[row]], row) for row in telling]
        pictures.versus(dst / VERSUS, scene, (best, worst), named)
    write_maps(dst, scene, [*wanted])


def choose_lines(
    sample: Sample, labels: NDArray[np.intp], classes: tuple[str, ...], choice: Choice
) -> tuple[Lines, list[str]]:
    """Lines of the overview, label and rows each, and the headings of their groups.

    The rows of the caller, one a line; or a line a class, with a row that the first network gets
    right and one that it gets wrong.
    """
    if choice.rows:
        rows = dict.fromkeys(choice.rows)
        return [(classes[labels[row]], [row]) for row in rows], ["chosen rows"]
    hits = sample.said[0].predicted == sample.labels
    right = test_rows.choose_by_class(sample.labels, hits, choice.seed)
    wrong = test_rows.choose_by_class(sample.labels, ~hits, choice.seed)
    for what, chosen in (("right", right), ("wrong", wrong)):
        if lacking := [classes[k] for k in np.unique(sample.labels) if k not in chosen]:
            say(f"no {what} row among the {len(hits)} of the sample: {', '.join(lacking)}")
    groups = [name for name, chosen in (("right", right), ("wrong", wrong)) if chosen]
    kept = [chosen for chosen in (right, wrong) if chosen]
    lines: Lines = [
        (name, [int(sample.rows[chosen[k]]) if k in chosen else None for chosen in kept])
        for k, name in enumerate(classes)
        if any(k in chosen for chosen in kept)
    ]
    return lines, groups


def choose_versus(sample: Sample, seed: int) -> tuple[tuple[int, int], list[int]]:
    """Places of the best and the worst network, and of each class a row that tells them apart."""
    grades = sample.accuracies()
    best, worst = int(np.argmax(grades)), int(np.argmin(grades))
    hits = [sample.said[place].predicted == sample.labels for place in (best, worst)]
    chosen = test_rows.choose_by_class(sample.labels, hits[0] & ~hits[1], seed)
    if len(grades) > 1 and not chosen:
        say("no row that the best product gets right and the worst one wrong")
    return (best, worst), [int(sample.rows[place]) for place in chosen.values()]


def look_at(
    lookers: list[Looker], source: Source, rows: Sequence[int], labels: NDArray[np.intp]
) -> dict[tuple[int, str], Finding]:
    """What every network says of every row."""
    found = {}
    with bar(len(rows) * len(lookers), "maps") as progress:
        for row in rows:
            for looker in lookers:
                key = (row, looker.classifier.name)
                found[key] = findings.look(looker, source, row, int(labels[row]))
                progress.update()
    return found


def write_maps(dst: Path, scene: pictures.Scene, rows: Sequence[int]) -> None:
    """maps/, one PNG a map, and index.csv, one line a map."""
    (dst / "maps").mkdir(exist_ok=True)
    lines = []
    with bar(len(scene.findings), "pictures") as progress:
        for row in rows:
            for looker in scene.lookers:
                finding = scene.findings[row, looker.classifier.name]
                for drawn in finding.maps:
                    file = f"maps/{name_file(finding, drawn)}"
                    pictures.single(dst / file, scene, finding, drawn)
                    lines.append(_index_line(scene.classes, finding, drawn, file))
                progress.update()
    _write_csv(dst / "index.csv", INDEX, lines)


def name_file(finding: Finding, drawn: Drawn) -> str:
    """Row, product, method and layer, without what no file name may have."""
    what = drawn.method.lower() + (f"-{drawn.layer}" if drawn.layer else "")
    plain = re.sub(r"[^\w.+-]+", "_", what)
    return f"{finding.row:06d}-{finding.looker.classifier.stem}-{plain}.png"


def _index_line(
    classes: tuple[str, ...], finding: Finding, drawn: Drawn, file: str
) -> list[object]:
    alike = "" if drawn.correlation is None else f"{drawn.correlation:.3f}"
    return [
        finding.row, classes[finding.label], finding.looker.classifier.name,
        classes[finding.predicted], f"{finding.score:.4f}", drawn.layer, drawn.method, alike, file,
    ]  # fmt: skip


def write_bands(dst: Path, products: dict[str, list[Band]]) -> None:
    """bands.csv and bands.png."""
    names = [field.name for field in dataclasses.fields(Band)]
    lines = [
        [name, *(f"{v:.4f}" if isinstance(v, float) else v for v in dataclasses.astuple(band))]
        for name, bands in products.items()
        for band in bands
    ]
    _write_csv(dst / "bands.csv", ("product", *names), lines)
    band_chart.draw(dst / "bands.png", products)


def _write_csv(path: Path, head: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(head)
        table.writerows(lines)

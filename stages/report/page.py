"""The page as a whole: what each section gets, and the template that says how it looks."""

from pathlib import Path
from typing import Any

import jinja2

from shared.progress import bar
from shared.runs import record
from shared.terminal import escape_lines
from stages.report import (
    accuracy_steps,
    audits,
    calibrations,
    chain,
    classifiers,
    comparison,
    confusions,
    datasets,
    edge,
    ensembles,
    explanations,
    formats,
    maps,
    opening,
    published,
    segmentation,
    sensors,
    sizes,
    super_resolution,
    topology,
)
from stages.report.inputs import Product, collect, source_of

HERE = Path(__file__).parent


def render_page(src: tuple[Path, ...], title: str, each: int) -> str:
    """HTML about the products."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= formats.FILTERS
    products = collect(src)
    style = (HERE / "page.css").read_text(encoding="utf-8")
    content = {"title": title, "style": style, "sections": sections(products, each)}
    page = environment.get_template("page.html").render(content) + "\n"
    return escape_lines(page)  # names of files may hold what no page may


def sections(products: list[Product], each: int) -> dict[str, Any]:
    """Content of every section by name; an empty one is not shown."""
    sr = super_resolution.find_pairs(products)
    enlarged = [after for _, after in sr]
    kinds = {kind: [p for p in products if p.kind == kind] for kind in {p.kind for p in products}}
    plain = drop_repeats(kinds.get("patches", []))
    graded = classifiers.find(products)
    graphs = [classifier for classifier in graded if classifier.folder]
    first = confusions.choose_classifiers(graphs)
    chains = chain.chains(graded, products)
    variants = topology.variants(products)
    exports, bundles = kinds.get("export", []), kinds.get("bundle", [])
    segmenters = kinds.get("segmenter", [])
    work = len(plain) + len(enlarged) + len(variants) + len(graphs) + len(segmenters)
    with bar(work, "report", unit="products") as progress:

        def told(value: Any) -> Any:
            progress.update()
            return value

        return {
            "opening": opening.describe(products, graded),
            "ensembles": ensembles.tables(graded, products),
            "chains": chains,
            "side_by_side": accuracy_steps.side_by_side(chains) if len(chains) > 1 else [],
            "steps": accuracy_steps.columns(chains),
            "others": [classifiers.line(c) for c in graded if c.role not in classifiers.ORDER],
            "models": [line for c in graded if (line := sizes.summary(c))],
            "published": {"set": published.SET, "rows": published.ROWS},
            "data": [told(datasets.describe(product, each)) for product in plain],
            "sr": [told(super_resolution.describe(*pair)) for pair in sr],
            "comparisons": [comparison.describe(p) for p in kinds.get("comparison", [])],
            "figures": comparison.FIGURES,
            "weights": [super_resolution.weights(product) for product in kinds.get("weights", [])],
            "tda": [told(topology.describe(product, products)) for product in variants],
            "by_class": confusions.by_class(first),
            "recalls": confusions.recalls(graded),
            "classifiers": [told(confusions.detail(c, c in first)) for c in graphs],
            "maps": [maps.describe(p) for p in kinds.get("map", [])],
            "explained": [explanations.describe(p) for p in kinds.get("explanation", [])],
            "calibrations": [calibrations.describe(p) for p in kinds.get("calibration", [])],
            "audits": [audits.describe(p) for p in kinds.get("audit", [])],
            "tiles": segmentation.describe_tiles(kinds.get("tiles", [])),
            "segmenters": [told(segmentation.describe(p)) for p in segmenters],
            "sensors": [sensors.describe(p) for p in kinds.get("sensors", [])],
            "enlarged_scenes": [sensors.describe_scene(p) for p in kinds.get("scene", [])],
            "exports": [edge.export(product) for product in exports],
            "bundles": [edge.bundle(product) for product in bundles],
            "records": records(products),
        }


def drop_repeats(files: list[Product]) -> list[Product]:
    """Patch files at Sentinel resolution, training splits first; none that was only prepared."""
    raw = [source_of(product, files) for product in files if product.stage == "prepare"]
    plain = [product for product in files if not product.stage.startswith("sr-")]
    plain = [product for product in plain if product not in raw]
    return sorted(plain, key=lambda product: "test" in product.path.stem)


def records(products: list[Product]) -> list[dict[str, Any]]:
    """What the records say, in the order in which the products can have been made."""
    unique = {str(p.made["output"]["sha256"]): p for p in reversed(products) if p.made}
    done, seen = dict[str, Product](), set[str]()  # a merge of one shard is its own input

    def visit(digest: str) -> None:
        if digest in unique and digest not in seen:
            seen.add(digest)
            for before in (d for digests in unique[digest].inputs.values() for d in digests):
                visit(before)
            done[digest] = unique[digest]

    for digest in reversed(unique):
        visit(digest)
    return [_record(product) for product in done.values()]


def _record(product: Product) -> dict[str, Any]:
    made = product.made
    revision, _, dirty = str(made.get("revision", "")).partition("-")
    own = record.record_path(product.path).exists()  # else it is one file of a folder product
    name = product.name if own else Path(product.name).parent.as_posix()
    return {
        "name": name,
        "stage": product.stage,
        "seconds": float(made.get("seconds", 0)),
        "device": made.get("device", ""),
        "memory": made.get("peak_memory_bytes", 0),
        "bytes": made["output"]["bytes"],
        "revision": revision[:10] + "+" * bool(dirty),
        "sha256": made["output"]["sha256"][:12],
        "image": str(made.get("image", "")).removeprefix("sha256:")[:12],
        "host": made.get("host", ""),
        "python": made.get("python", ""),
        "parameters": product.parameters,
    }

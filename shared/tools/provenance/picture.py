"""A chain as a picture: runs from left to right, with what each one made and used (SVG)."""

from html import escape
from pathlib import Path

from shared.tools.provenance.chain import Chain, Content, Run

WIDTH, HEIGHT, GAP, LINE = 210, 46, 60, 14  # of a box, between columns and lines of text, in pixels
INK, RUN, FILE, GONE = "#24292f", "#ddf4ff", "#f6f8fa", "#ffebe9"


def as_svg(chain: Chain, root: Path) -> str:
    """The picture; paths are shown below the data folder.

    Args:
        chain: the runs behind a product.
        root: data folder.
    """
    columns = place(chain)
    height = max(len(column) for column in columns) * (HEIGHT + GAP // 3) + GAP // 3
    width = len(columns) * (WIDTH + GAP)
    places = {
        digest: (GAP // 2 + x * (WIDTH + GAP), GAP // 3 + y * (HEIGHT + GAP // 3))
        for x, column in enumerate(columns)
        for y, digest in enumerate(column)
    }
    contents = chain.contents()
    arrows = [
        _arrow(places[owner(content, chain)], places[run.made.digest])
        for run in chain.runs.values()
        for content in {owner(c, chain): c for _, c in run.used}.values()
    ]
    boxes = [_box(contents[d], chain.runs.get(d), place, root) for d, place in places.items()]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12" fill="{INK}">',
        f'<rect width="{width}" height="{height}" fill="white"/>', *arrows, *boxes, "</svg>\n",
    ])  # fmt: skip


def owner(content: Content, chain: Chain) -> str:
    """The digest that stands for a content: of the product whose folder it lies in, or its own."""
    return content.part_of if content.part_of in chain.runs else content.digest


def place(chain: Chain) -> list[list[str]]:
    """Digests by column: what nobody here made in the first, each product right of all it used."""
    columns: dict[str, int] = {}
    for run in chain.runs.values():  # in order: what it used stands before it
        used = [owner(content, chain) for _, content in run.used]
        for digest in used:
            columns.setdefault(digest, 0)
        columns[run.made.digest] = 1 + max((columns[digest] for digest in used), default=-1)
    width = max(columns.values()) + 1
    return [[digest for digest, column in columns.items() if column == x] for x in range(width)]


def _box(content: Content, run: Run | None, at: tuple[int, int], root: Path) -> str:
    x, y = at
    path = Path(content.path)
    inside = path.is_relative_to(root) if content.path else False
    shown = (
        str(path.relative_to(root) if inside else path) if content.path else "not there any more"
    )
    colour = RUN if run else FILE if content.path else GONE
    lines = [shown if len(shown) <= 32 else f"…{shown[-31:]}"]
    lines += [f"{run.stage}, {run.record.get('seconds', 0):.0f} s"] if run else []
    lines += [content.digest[:12]]
    text = "".join(
        f'<text x="{x + 8}" y="{y + 14 + n * LINE}">{escape(line)}</text>'
        for n, line in enumerate(lines)
    )
    title = f"<title>{escape(shown)} sha256 {content.digest}</title>"
    return (
        f'<g>{title}<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{colour}" '
        f'stroke="{INK}" stroke-opacity="0.4"/>{text}</g>'
    )


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    x, y = start[0] + WIDTH, start[1] + HEIGHT // 2
    to_x, to_y = end[0], end[1] + HEIGHT // 2
    bend = GAP // 2
    return (
        f'<path d="M{x},{y} C{x + bend},{y} {to_x - bend},{to_y} {to_x},{to_y}" fill="none" '
        f'stroke="{INK}" stroke-opacity="0.5"/>'
    )

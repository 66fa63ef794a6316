"""`make flags`: the section of a stage in docs/flags.md."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from shared import cli
from shared.tools import flags


@dataclass(frozen=True)
class Steps:
    """How it learns.

    Attributes:
        rate: a | b of it.
        rows: which ones.
        mode: how.
    """

    rate: Annotated[float, cli.between(0, 1, above=True)] = 0.5
    rows: tuple[int, ...] = ()
    mode: Literal["a", "b"] = "b"


def run(
    *, src: Path, dst: Path, weigh: bool = True, name: str = "", steps: Steps = Steps()
) -> None:
    """Do it,
    at once.

    More.

    Args:
        src: in.
        dst: out.
        weigh: whether.
        name: of it.
    """


STAGE = Path(__file__).parent.name
SECTION = rf"""## [{STAGE}](../stages/{STAGE}/README.md)

Do it, at once.

**Required**

| flag | value | default | meaning |
| --- | --- | --- | --- |
| `--src` | path |  | in. |
| `--dst` | path |  | out. |

**Optional**

| flag | value | default | meaning |
| --- | --- | --- | --- |
| `--weigh` | switch | on | whether. |
| `--name` | text | empty | of it. |

**How it learns**

| flag | value | default | meaning |
| --- | --- | --- | --- |
| `--rate` | number, above 0 to 1 | `0.5` | a \| b of it. |
| `--rows` | whole number, or several separated by commas | none | which ones. |
| `--mode` | one of a, b | `b` | how. |
"""


def test_a_section_has_every_flag_in_its_group() -> None:
    assert flags.render_stage(cli.read_signature(run)) == SECTION


def test_the_page_links_to_each_section() -> None:
    page = flags.render([cli.read_signature(run)] * 2)
    assert page.startswith("# Flags\n")
    assert f"\n\n[{STAGE}](#{STAGE}) · [{STAGE}](#{STAGE})\n\n## [{STAGE}]" in page
    assert page.endswith(f"{SECTION}\n{SECTION}")

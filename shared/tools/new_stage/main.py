"""Write a new stage: code, README, lock, Compose service and tests.

    python3 -m shared.tools.new_stage.main bright-patches

Standard library only, like the other tools. The stage does something simple (it multiplies
reflectance by a gain), so that every test of it runs at once; replace `brighten` by what you need.
"""

import re
import shutil
import sys
from pathlib import Path

from shared import terminal
from shared.errors import StageError

TEMPLATE = Path(__file__).with_name("template")
LIKE = "merge"  # a stage that needs only the contract's packages: its lock is copied
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
SERVICE = """
  {name}:
    <<: *stage
    image: lcz42-edge/{name}
    build:
      <<: *plain
      args: {{<<: *args, STAGE: {module}, TITLE: {name}, DESCRIPTION: "{name}: say what it makes"}}
"""


def write(root: Path, name: str) -> list[Path]:
    """Write the files of a stage; the paths that were written or changed.

    Args:
        root: checkout.
        name: hyphenated, such as "bright-patches".

    Raises:
        StageError: not a name of a stage, or it exists.
    """
    if not NAME.fullmatch(name):
        raise StageError(f"NAME: expected a name such as bright-patches, found {name!r}")
    module = name.replace("-", "_")
    stage, image = root / "stages" / module, root / "images" / module
    test = root / "tests" / "stages" / f"test_{module}.py"
    if existing := [path for path in (stage, image, test) if path.exists()]:
        raise StageError(f"{existing[0]}: exists; choose another NAME or remove it")
    for folder in (stage, image):
        folder.mkdir()
    (stage / "__init__.py").touch()
    written = [stage / "__init__.py"]
    for template, path in (
        ("main.py.txt", stage / "main.py"),
        ("README.md.txt", stage / "README.md"),
        ("test.py.txt", test),
    ):
        text = (TEMPLATE / template).read_text()
        path.write_text(text.replace("MODULE", module).replace("NAME", name))
        written.append(path)
    for lock in ("requirements.in", "requirements.txt"):
        written.append(Path(shutil.copy(root / "images" / LIKE / lock, image / lock)))
    compose = root / "compose.yaml"
    text = compose.read_text().rstrip() + "\n" + SERVICE.format(name=name, module=module)
    compose.write_text(text)
    return [*written, compose]


def main(argv: list[str] | None = None) -> int:
    """Exit code of the command line."""
    words = sys.argv[1:] if argv is None else argv
    try:
        if len(words) != 1:
            raise StageError("make new-stage NAME=x: expected one name")
        written = write(Path.cwd(), words[0])
    except StageError as error:
        return terminal.refuse(error)
    module = words[0].replace("-", "_")
    print("\n".join(str(path.relative_to(Path.cwd())) for path in written))
    print(
        f"next: make flags test-{module}, then write your own brighten() in stages/{module}/main.py"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

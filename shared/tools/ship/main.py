"""Ship the export image and a bundle to the host with the accelerator, and check both target."""

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

from shared.cli import arguments, exits
from shared.progress import say
from shared.tools.ship import destination, image_archive, packing

HOST = Path(__file__).with_name("host")


def run(
    *,
    bundle: Path,
    dest: str,
    image: str = "lcz42-edge/export",
    spool: Path = Path("data/ship"),
    load: bool = True,
) -> None:
    """Copy image, bundle and scripts, verify every digest there, load, and run the self-check.

    Args:
        bundle: folder of voyager.
        dest: user@host:dir for another machine by ssh, or a folder of this one.
        image: of export, in the engine of this machine.
        spool: folder where the saved image stays for the next shipment.
        load: load the image at the destination and run its self-check on the bundle target.
    """
    target, name = destination.parse(dest), packing.name_of(bundle)
    archive, facts = image_archive.save(image, spool)
    say(f"{archive}: {_mb(facts['bytes'])}, {_mb(facts['uncompressed_bytes'])} uncompressed")
    target.start()
    target.send(HOST / "README.md", "README.md")
    target.send(archive, archive.name)
    _send_bundle(target, name, bundle, packing.manifest(bundle, facts))
    target.show("install.py", "load" if load else "verify", "--bundle", name)
    if load:
        target.show("install.py", "check", "--bundle", name)


def _send_bundle(target: destination.Destination, name: str, bundle: Path, content: bytes) -> None:
    """As one archive, because thousands of small files by ssh take hours."""
    if target.ask("receive.py", "state", name)["whole"] == hashlib.sha256(content).hexdigest():
        say(f"{name}: already there")
        return
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / f"{name}.tar"
        packing.pack(bundle, content, archive)
        target.send(archive, archive.name)
    target.ask("receive.py", "unpack", name)


def _mb(size: int) -> str:
    return f"{size / 1e6:.0f} MB"


def main(argv: Sequence[str] | None = None) -> None:
    """The command line: exit codes and messages as those of the stages."""
    with exits.report_errors("stopped; the same command continues from here"):
        run(**arguments.collect(run, argv))


if __name__ == "__main__":
    main()

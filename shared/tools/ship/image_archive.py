"""An image out of the container engine as a compressed archive; the only user of its SDK."""

import contextlib
import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from shared.errors import StageError
from shared.manifest import digest
from shared.progress import bar, say
from shared.reading import documents

LEVEL = 1  # of gzip: a tenth larger than 6 at less than half the time


def save(name: str, spool: Path) -> tuple[Path, dict[str, Any]]:
    """The archive of an image, from the spool when it lies there whole, else saved now.

    Args:
        name: image, with or without tag.
        spool: folder for archives; older ones of the same image are taken away.

    Returns:
        the archive, and what the manifest says of it: file, id, tag, sha256, bytes, and the
        bytes before compression.

    Raises:
        StageError: no engine, or no such image.
    """
    tag = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
    with _engine() as client:
        image = _image(client, tag)
        stem = tag.rpartition("/")[2].partition(":")[0]
        number = str(image.id).removeprefix("sha256:")[:12]
        archive = spool / f"{stem}-{number}.tar.gz"
        facts = spool / f"{archive.name}.json"
        known = _known(archive, facts)
        if known and known["tag"] == tag:
            say(f"{archive}: was saved before")
            return archive, known
        spool.mkdir(parents=True, exist_ok=True)
        for old in spool.glob(f"{stem}-{'?' * 12}.tar.gz*"):
            old.unlink()
        plain = _write(archive, image.save(chunk_size=2**20, named=tag), int(image.attrs["Size"]))
    content = {
        "file": archive.name, "id": image.id, "tag": tag, "sha256": digest(archive),
        "bytes": archive.stat().st_size, "uncompressed_bytes": plain,
    }  # fmt: skip
    facts.write_text(json.dumps(content, indent=1) + "\n")
    return archive, content


@contextlib.contextmanager
def _engine() -> Iterator[Any]:
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=600)  # an engine takes its time before the first layer
        client.ping()
    except DockerException as error:
        raise StageError(f"no container engine answers: start one ({error})") from None
    try:
        yield client
    except DockerException as error:
        raise StageError(f"the container engine refused: {error}") from None
    finally:
        client.close()


def _image(client: Any, tag: str) -> Any:
    from docker.errors import ImageNotFound

    try:
        return client.images.get(tag)
    except ImageNotFound:
        stage = tag.rpartition("/")[2].partition(":")[0]
        raise StageError(f"--image: no image {tag} in the engine; make build/{stage}") from None


def _known(archive: Path, facts: Path) -> dict[str, Any] | None:
    """What was written down of an archive, if it still is that."""
    try:
        content: dict[str, Any] = documents.read_json(facts)
        return content if digest(archive) == content["sha256"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(archive: Path, chunks: Iterable[bytes], size: int) -> int:
    """Compress a stream into a file that gets its name when whole; bytes before compression."""
    draft, plain = archive.with_name(archive.name + ".partial"), 0
    with (
        draft.open("wb") as file,
        gzip.GzipFile("", "wb", LEVEL, file, mtime=0) as packed,
        bar(size, "save image", unit="B") as progress,
    ):
        for chunk in chunks:
            packed.write(chunk)
            plain += len(chunk)
            progress.update(len(chunk))
    draft.replace(archive)
    return plain

"""Event files of TensorBoard read again: the frames of TFRecord, and the messages in them."""

import struct
from pathlib import Path
from typing import Any

import pytest

FILE = "events.out.tfevents"


def read_events(path: Path) -> list[Any]:
    """The messages of an event file; skips the test where no package knows them."""
    messages = pytest.importorskip("tensorboardX.proto.event_pb2")
    content, events, place = path.read_bytes(), [], 0
    while place < len(content):
        (length,) = struct.unpack_from("<Q", content, place)
        start = place + 12  # behind the length and its checksum
        events.append(messages.Event.FromString(content[start : start + length]))
        place = start + length + 4  # behind the checksum of the message
    return events


def read_values(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Tag to (step, value), in the order of the file in a folder; the first event is its form."""
    assert [path.name for path in folder.iterdir()] == [FILE]
    first, *events = read_events(folder / FILE)
    assert first.file_version == "brain.Event:2"
    values: dict[str, list[tuple[int, float]]] = {}
    for event in events:
        (value,) = event.summary.value
        values.setdefault(value.tag, []).append((event.step, value.simple_value))
    return values

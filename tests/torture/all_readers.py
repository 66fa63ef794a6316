"""Readers by name, of all campaigns."""

from tests.torture import file_readers, readers

READERS = {**readers.READERS, **file_readers.READERS}

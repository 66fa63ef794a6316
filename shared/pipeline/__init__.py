"""The pipeline as data: sources, their settings, and every product with the command that makes it.

make includes the rules that `python3 -m shared.pipeline rules` writes; `make plan` prints them. It
runs with the machine's own Python (3.11), before any environment is made, so it needs nothing but
the standard library.
"""

import sys

if sys.version_info < (3, 11):
    sys.exit(f"error: python3: expected Python 3.11 or newer, found {sys.version.split()[0]}")

from shared.pipeline import containers
from shared.pipeline.plan import Plan, build
from shared.pipeline.product import Product
from shared.pipeline.reading import read_settings
from shared.pipeline.settings import Settings

__all__ = ["Plan", "Product", "Settings", "build", "containers", "read_settings"]

"""Stages in containers: an image that holds what the checkout holds, and the words that start it.

`prepare` makes a `docker compose run` ready: the image is there and current, its id goes into the
record, and what links below data/ lead to is mounted. `ensure_images` alone is `make build/STAGE`.
"""

from shared.pipeline.containers.images import BASE, WHEELS, ensure_image, ensure_images, find_image
from shared.pipeline.containers.inputs import Recipe, list_files, read_recipe
from shared.pipeline.containers.launch import check_folders, prepare

__all__ = [
    "BASE",
    "WHEELS",
    "Recipe",
    "check_folders",
    "ensure_image",
    "ensure_images",
    "find_image",
    "list_files",
    "prepare",
    "read_recipe",
]

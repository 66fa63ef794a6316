"""The item of a network: its properties, its files, what it was made of; held against schemas."""

import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pystac
from pystac.extensions.file import FileExtension
from pystac.validation.stac_validator import JsonSchemaSTACValidator
from stac_model.schema import PREFIX, MLModelExtension, MLModelProperties

from shared.clutter import without_clutter
from shared.runs import record
from shared.tools.stac import properties
from shared.tools.stac.lineage import Network

BINARY = "application/octet-stream"
# Ending of a file: its media type and its roles.
KINDS = {
    ".onnx": (f"{BINARY}; framework=onnx", ["mlm:model"]),
    ".safetensors": (f"{BINARY}; framework=safetensors", ["mlm:weights"]),
    ".npy": (BINARY, ["data"]), ".png": ("image/png", ["overview"]),
    ".json": ("application/json", ["metadata"]), ".csv": ("text/csv", ["metadata"]),
    ".yaml": ("application/yaml", ["metadata"]), ".toml": ("application/toml", ["metadata"]),
    ".md": ("text/markdown", ["metadata"]), ".txt": ("text/plain", ["metadata"]),
    ".py": ("text/x-python", ["mlm:source_code"]),
}  # fmt: skip
SHA256 = "1220"  # how a multihash of 32 bytes by SHA-256 begins


def name_item(product: Path, root: Path) -> str:
    """ "distill-student-separable" for a product of a data folder."""
    return "-".join(product.relative_to(root).parts)


def make_item(network: Network, name: str, folder: Path, source: str = "") -> dict[str, Any]:
    """A STAC item of a network, held against the schemas that can be read without a network.

    It has no place on Earth: its geometry is null. Its time is that of its newest file.

    Args:
        network: a product.
        name: of the item.
        folder: where the item will lie; links to files are relative to it.
        source: name of the item in the same folder that the product was made of, "" without one.

    Raises:
        pystac.errors.STACValidationError, pydantic.ValidationError: a bug: not as they ask for.
    """
    output = network.record["output"]
    made = datetime.fromtimestamp(output["modified_ns"] // 10**9, UTC)
    card, stage = network.card, network.record["plan"]["stage"]
    words = f"{card.architecture} for {len(card.classes)} classes from {', '.join(card.bands)}"
    item = pystac.Item(name, None, None, made, {
        "title": name, "description": f"{words}: product of the stage {stage} of lcz42-edge",
    })  # fmt: skip
    described = properties.describe(network, name)
    MLModelExtension.ext(item, add_if_missing=True).apply(described)
    # Left out by the package where it is null, which says: trained from nothing.
    item.properties.setdefault(f"{PREFIX}pretrained_source", None)
    files = [path for path in without_clutter(network.path.iterdir()) if path.is_file()]
    for path in [*sorted(files), record.record_path(network.path)]:
        _add_asset(item, path, folder, card.bands)
    if source:
        link = pystac.Link("derived_from", f"./{source}.json", "application/geo+json")
        item.add_link(link)
    content: dict[str, Any] = item.to_dict(include_self_link=False, transform_hrefs=False)
    check(content)
    return content


def _add_asset(item: pystac.Item, path: Path, folder: Path, bands: tuple[str, ...]) -> None:
    kind, roles = KINDS.get(path.suffix, (BINARY, ["data"]))
    extra: dict[str, Any] = {}
    if path.suffix == ".onnx":  # to whose bands the input refers
        extra = {"mlm:artifact_type": "onnx", "bands": [{"name": band} for band in bands]}
    href = Path(os.path.relpath(path, folder)).as_posix()
    asset = pystac.Asset(href, media_type=kind, roles=list(roles), extra_fields=extra)
    item.add_asset(path.name, asset)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    FileExtension.ext(asset, add_if_missing=True).apply(
        checksum=SHA256 + digest, size=path.stat().st_size
    )


def check(content: dict[str, Any]) -> None:
    """Hold an item against STAC's schema, which pystac ships, and against stac-model's classes.

    The JSON schemas of the extensions lie on servers alone, so they are not asked.

    Raises:
        pystac.errors.STACValidationError, pydantic.ValidationError: not as they ask for.
        ValueError: a property of the extension that it does not know, or no asset with a network.
    """
    version = content["stac_version"]
    JsonSchemaSTACValidator().validate_core(content, pystac.STACObjectType.ITEM, version)
    MLModelProperties.model_validate(content["properties"])
    known = {field.alias for field in MLModelProperties.model_fields.values()}
    given = {name for name in content["properties"] if name.startswith(PREFIX)}
    if unknown := given - known:
        raise ValueError(f"{content['id']}: unknown properties {sorted(unknown)}")
    if not any("mlm:model" in asset["roles"] for asset in content["assets"].values()):
        raise ValueError(f"{content['id']}: expected an asset with a network, found none")

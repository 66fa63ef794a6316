"""The bundle that Axelera's Voyager SDK deploys: YAML, network, calibration and test pictures."""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Annotated, Any

from shared import cli, manifest, models, patches
from shared.errors import StageError
from shared.models import Card
from shared.patches import Source
from shared.progress import say
from shared.voyager import describe_input
from stages.voyager.settings import Deployment


def run(
    *,
    src: Path,
    train: Path,
    test: Path,
    dst: Path,
    name: str = "lcz42-resnet18",
    calibration: Annotated[int, cli.between(200, 2000)] = 400,
    per_class_val: Annotated[int, cli.at_least(0)] = 200,
    seed: Annotated[int, cli.at_least(0)] = 42,
    range: models.Range | None = None,
    threads: Annotated[int, cli.at_least(0)] = 0,
    deployment: Deployment = Deployment(),
) -> None:
    """Write the bundle, check it against the SDK's rules, and measure its accuracy from its PNGs.

    Args:
        src: folder of export: model.onnx (1, 3, size, size) to (1, K) and model.json.
        train: patch file for the calibration pictures.
        test: patch file for the test pictures.
        dst: folder to write: the bundle, with readback.json.
        name: name of the network and of its folder in the SDK: a to z, 0 to 9, and at least one
            hyphen.
        calibration: number of pictures for quantisation, taken from all classes in turn. The
            SDK's deploy.py takes 200 by default, release 1.8 in the order of their names; the later
            documents allow 100 to 400, release 1.2.5 takes up to 2000.
        per_class_val: test pictures of each class, 0 for all rows.
        seed: of the random choice of calibration and test pictures.
        range: which values the levels of the pictures stand for: published (the scale of the patch
            file) or fitted (limits per band from train). Without it, what model.json says; only for
            a network that was not trained on levels may the flag say something else.
        threads: processors for the read-back, 0 for all; changes time, not results.
    """
    _check_name(name)
    card = _card(src)
    deployment = deployment.of_export(src)
    deployment.check(calibration)
    with patches.read(train, "label") as training, patches.read(test, "label") as testing:
        _same_classes(src, card, training, testing)
        card = models.choose_range(card, range, training, src)
        _check_decimals(src, card, deployment)
        from stages.voyager import (
            bundle_texts,
            calibration_sheet,
            deploy_texts,
            picture_files,
            readback,
            sdk_file_rules,
            sdk_names,
            sdk_range,
            sdk_rules,
        )

        if reason := sdk_file_rules.explain_unfit_onnx(src / card.file, card.size):
            raise StageError(f"{src / card.file}: {reason}")
        shutil.rmtree(dst, ignore_errors=True)  # fast to write: a stopped run starts over
        dst.mkdir()
        shutil.copyfile(src / card.file, dst / "model.onnx")
        calibrated = picture_files.write_calibration(
            dst / "repr", training, card, calibration, seed
        )
        calibration_sheet.write_sheet(dst / "calibration.png", dst / "repr", card.classes)
        kept = picture_files.write_validation(dst / "val", testing, card, per_class_val, seed)
        labels = sdk_names.label_lines(card.classes)
        bundle_texts.write_texts(dst, name, card, labels, deployment)
        levels = _describe_range(card, training)
        commands = deploy_texts.write(dst, name, card, calibrated, levels, deployment)
        sdk_rules.check_bundle(dst, deployment.profiles)
        accuracy = readback.readback(dst, testing, card, threads or len(os.sched_getaffinity(0)))
    content = {"calibration_pictures": calibrated} | kept | levels | accuracy
    (dst / "readback.json").write_text(json.dumps(content, indent=1) + "\n")
    meant = sdk_range.describe(deployment.profiles)
    (dst / manifest.MANIFEST).write_bytes(manifest.write(dst, None, None, meant))
    _tell(content, commands)


def _describe_range(card: Card, training: Source) -> dict[str, Any]:
    """Entries of readback.json: range, its limits per band, levels that the training rows use."""
    return {
        "range": models.name_range(card), "limits": models.name_limits(card, training),
        "levels": models.count_levels(card, training),
    }  # fmt: skip


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)+", name):
        raise StageError(
            f"--name: expected a to z, 0 to 9 and at least one hyphen, found {name!r}: a plain "
            "word may be a name that the SDK's data adapter knows"
        )


def _card(src: Path) -> Card:
    """The one network of a folder, if pictures can feed it the way the SDK does."""
    cards = models.load(src)
    if len(cards) != 1 or cards[0].features:
        actual = f"{len(cards)} networks, {cards[0].features if cards else 0} tda features"
        path = f" ({describe_input(None, 2)})" if cards and cards[0].features else ""
        raise StageError(f"{src}: expected one network with an image input, found {actual}{path}")
    card = cards[0]
    if len(card.bands) != 3:
        raise StageError(
            f"{src}: expected a network of three bands, which an RGB picture can hold, "
            f"found {len(card.bands)}: {', '.join(card.bands)} ({describe_input(len(card.bands))})"
        )
    if card.interpolation != "bilinear":
        raise StageError(
            f"{src}: expected interpolation bilinear, found {card.interpolation}: the SDK's "
            "streaming pipeline always resizes bilinearly; train with it"
        )
    return card


def _check_decimals(src: Path, card: Card, deployment: Deployment) -> None:
    kept = deployment.decimals
    if any(round(value, kept) != value for value in (*card.mean, *card.std)):
        raise StageError(
            f"{src}: expected mean and std of at most {kept} decimals, found {card.mean}, "
            f"{card.std}: the streaming pipeline of SDK {deployment.profiles[0]} cuts the rest "
            f"off; train with distill --decimals {kept}"
        )


def _same_classes(src: Path, card: Card, *sources: Source) -> None:
    for source in sources:
        if source.classes != card.classes:
            expected = f"the {len(card.classes)} classes of {src}, {card.classes[:3]} …"
            raise StageError(f"{source.path}: expected {expected}, found {source.classes[:3]} …")


def _tell(content: dict[str, Any], commands: list[str]) -> None:
    """The accuracies and the SDK's commands, as log."""
    accuracy = content["accuracy"]
    png, hdf5 = (100 * accuracy[key]["overall_accuracy"] for key in ("png", "hdf5"))
    say(f"accuracy from the bundle's pictures {png:.2f} %, from the patch file {hdf5:.2f} %")
    if content["why"]:
        say(str(content["why"]))
    for line in commands:
        say(f"  {line}")


if __name__ == "__main__":
    cli.main(run)

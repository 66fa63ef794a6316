"""The product: scores first, which can go on, then everything that is drawn of them."""

import json
import shutil
from pathlib import Path
from typing import Any

from shared import patches
from shared.errors import StageError
from shared.progress import say
from shared.scenes import Scene, open_scene
from stages.map import cells as grids
from stages.map import matching, opening, stac
from stages.map.geotiff import DRAFT
from stages.map.orthophotos import Ground
from stages.map.settings import Cells, Network

SCORES = "scores.h5"


def classify(
    src: Path,
    dst: Path,
    model: Path,
    cells: Cells,
    network: Network,
    *,
    shard: str,
    training: Path | None = None,
) -> None:
    """Run the networks: the scores of a map in its folder, or those of a shard in a file.

    Raises:
        StageError: what `opening.open_models` and `cells.compute` refuse.
    """
    with (
        open_scene(src) as scene,
        opening.open_models(model, scene, network.precision, network.threads) as ensemble,
    ):
        grids.tile(scene, cells)
        check_place(scene)
        cards = [member.card for member in ensemble.members]
        found = None
        if network.match:
            trained = [matching.find_training(model, card, training) for card in cards]
            found = matching.measure(scene)
        else:
            trained = [matching.guess_training(model, card) for card in cards]
        warn_of_domain(scene, network.match)
        place = place_scores(dst, shard)
        grids.compute(place, scene, ensemble, cells, found=found, trained=trained, shard=shard)


def check_place(scene: Ground) -> None:
    """Refuse what has no place on earth by its own words, before anything is classified."""
    try:
        stac.ring_in_degrees(scene.grid, scene.shape)
    except StageError as error:
        raise StageError(f"{scene.path}: {error}") from None


def warn_of_domain(scene: Scene, matched: bool) -> None:
    """Say that So2Sat is top-of-atmosphere where the scene is not."""
    if scene.header.level == "L2A":
        help_ = "--match is on" if matched else "use the L1C product, or try --match"
        say(
            f"warning: {scene.path}: reflectance at the surface (L2A); networks trained on So2Sat "
            f"know that at the top of the atmosphere (L1C), and may take forest for houses; {help_}"
        )


def place_scores(dst: Path, shard: str) -> Path:
    """Where the scores go."""
    if shard != "1/1":
        return dst
    dst.mkdir(exist_ok=True)
    return dst / SCORES


def take(src: Path, dst: Path, scores: Path, cells: Cells) -> None:
    """Scores that are there, checked against the scene and copied.

    Raises:
        StageError: not the scores of this scene.
    """
    with open_scene(src) as scene, patches.read(scores, grids.NAME) as source:
        grids.check_scores(source, scene, cells)
        check_place(scene)
    put_scores(scores, dst)


def put_scores(scores: Path, dst: Path) -> None:
    """Copy a file of scores into the folder of a map, which is made."""
    dst.mkdir(exist_ok=True)
    draft = dst / f"{DRAFT}{SCORES}"
    shutil.copyfile(scores, draft)
    draft.replace(dst / SCORES)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON object for people and programs."""
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

"""Rules of the SDK about the calibration pictures of a bundle."""

from collections import Counter
from collections.abc import Iterator

from shared.pictures import read_picture
from shared.voyager import Bundle
from shared.voyager import calibration as names
from stages.voyager import picture_files
from stages.voyager.sdk_file_rules import list_pictures


def calibration(bundle: Bundle) -> Iterator[str]:
    """A flat folder of 200 to 2000 different pictures, none of them constant."""
    folder = bundle.calibration
    if any(path.is_dir() for path in folder.iterdir()):
        yield "the calibration folder is not flat"
    tiles = [read_picture(path) for path in list_pictures(folder)]
    if not picture_files.LEAST <= len(tiles) <= picture_files.MOST:
        yield (
            f"{len(tiles)} calibration pictures: deploy.py asks for --num-cal-images "
            f"{picture_files.LEAST} by default, takes at most {picture_files.MOST}, and stops "
            "when there are fewer"
        )
    if len({tile.tobytes() for tile in tiles}) != len(tiles):
        yield "equal calibration pictures: deploy.py stops when its first two batches are equal"
    if any(picture_files.is_constant(tile) for tile in tiles):
        yield "a calibration picture is constant"


def balance(bundle: Bundle) -> Iterator[str]:
    """Of any first so many, each class has as many as any other as long as it has pictures."""
    files = names.list_pictures(bundle.calibration)
    told = [names.read_name(file.name) for file in files]
    if None in told:
        name = files[told.index(None)].name
        yield f"{name}: a calibration picture whose name does not tell its place and class"
        return
    classes = [number for number, _ in filter(None, told)]
    whole, seen = Counter(classes), Counter[int]()
    for taken, number in enumerate(classes, 1):
        seen[number] += 1
        behind = [k for k in whole if seen[k] < min(seen[number] - 1, whole[k])]
        if behind:
            yield (
                f"of the first {taken} calibration pictures, {seen[number]} are of class "
                f"{number + 1} and {seen[behind[0]]} of class {behind[0] + 1}"
            )
            return

"""The reference's way to a training tile: JPEG and PNG, pillow, one tile at a time, 8 workers.

Written from its description alone: a tile of 512 pixels is flipped, turned, cut, resized to 256
pixels and coloured by torchvision's transforms of pillow images, image and mask together.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.transforms import functional

from shared.segmentation import data

WORKERS, CROP = 8, 256
MEAN, STD = (0.3686, 0.3971, 0.3442), (0.1015, 0.0897, 0.0739)
JPEG_QUALITY = 95  # what OpenCV, with which LandCover.ai's script writes tiles, takes by itself


def write(folder: Path, stream: data.TileStream) -> Path:
    """The tiles as LandCover.ai's script leaves them: NAME.jpg and NAME_m.png."""
    folder.mkdir()
    for row in range(len(stream)):
        tile = stream[[row]]
        image, mask = Image.fromarray(tile.image[0].numpy()), Image.fromarray(tile.mask[0].numpy())
        image.save(folder / f"{row:05}.jpg", quality=JPEG_QUALITY)
        mask.save(folder / f"{row:05}_m.png")
    return folder


class Reference(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Tiles of a folder, each with a random view.

    Args:
        folder: as `write` makes it.
        passes: how often each tile is seen in an epoch.
    """

    def __init__(self, folder: Path, passes: int) -> None:
        self.images = sorted(folder.glob("*.jpg")) * passes
        self.colours = transforms.ColorJitter(0.2, 0.2, 0.2, 0.2)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, torch.Tensor]:
        path = self.images[row]
        image, mask = (
            Image.open(path).convert("RGB"),
            Image.open(path.with_name(f"{path.stem}_m.png")),
        )
        if random.random() < 0.5:
            image, mask = functional.hflip(image), functional.hflip(mask)
        if random.random() < 0.5:
            angle = random.uniform(-15, 15)
            image = functional.rotate(image, angle, transforms.InterpolationMode.BILINEAR)
            mask = functional.rotate(mask, angle, transforms.InterpolationMode.NEAREST)
        box = transforms.RandomResizedCrop.get_params(image, (0.66, 1.0), (0.75, 1.33))
        size = [CROP, CROP]
        image = functional.resized_crop(image, *box, size, transforms.InterpolationMode.BILINEAR)
        mask = functional.resized_crop(mask, *box, size, transforms.InterpolationMode.NEAREST)
        picture = functional.to_tensor(self.colours(image))
        classes = torch.from_numpy(np.array(mask, np.int64))
        return functional.normalize(picture, MEAN, STD), classes


def epoch(folder: Path, passes: int, batch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of an epoch, by workers of its own as in every epoch of the reference."""
    return iter(DataLoader(Reference(folder, passes), batch, shuffle=True, num_workers=WORKERS))

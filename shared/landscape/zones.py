"""The 17 Local Climate Zones as recipes: parcels, heights, roofs, ground and trees.

Ranges follow Stewart and Oke 2012, Table 3 (building and pervious fractions, heights of roughness
elements); neighbouring zones overlap, as they do in cities.
"""

from dataclasses import dataclass, field

Range = tuple[float, float]
Mix = dict[str, float]


@dataclass(frozen=True)
class Zone:
    """One recipe; every range is drawn from anew for every patch.

    Attributes:
        parcel: width of a parcel in metres.
        depth: depth of a parcel over its width.
        block: parcels of a block along and across.
        street: width of streets in metres; 0 for none.
        cover: share of a parcel's width and depth that a building takes.
        slab: depth of a building over its width.
        built: share of parcels with a building.
        height: of buildings, metres.
        roofs, ground: weights of materials.
        grain: size in metres of a patch of one ground material.
        trees: share of the open ground under crowns.
        crown: diameter in metres; crowns are as high as they are wide.
        fields: whether the ground is cut into parcels of one material each, as farmland is.
        courtyard: whether the inner parcels of a block stay empty.
        tanks: share of the buildings that are round.
        nearby: zones (1 to 17) whose land may reach into the patch.
    """

    parcel: Range = (40, 90)
    depth: Range = (0.8, 1.3)
    block: tuple[int, int] = (5, 2)
    street: Range = (0, 0)
    cover: Range = (0.6, 0.8)
    slab: Range = (0.7, 1.0)
    built: Range = (0, 0)
    height: Range = (3, 8)
    roofs: Mix = field(default_factory=lambda: {"concrete": 1.0})
    ground: Mix = field(default_factory=lambda: {"grass": 1.0})
    grain: Range = (20, 60)
    trees: Range = (0, 0)
    crown: Range = (5, 10)
    fields: bool = False
    courtyard: bool = False
    tanks: float = 0.0
    nearby: tuple[int, ...] = (6, 12, 14)


CITY_ROOFS = {"bitumen": 2, "concrete": 2, "tile": 2, "membrane": 0.5, "metal": 0.7}
PAVED = {"asphalt": 3, "concrete": 2, "grass": 0.5}
GARDEN = {"grass": 3, "asphalt": 1, "concrete": 0.6, "soil": 0.6}
POOR_ROOFS = {"metal": 2, "rust": 2, "concrete": 0.7, "soil": 0.5}

ZONES = (
    Zone(
        parcel=(22, 42), depth=(0.8, 1.3), block=(4, 2), street=(10, 20), cover=(0.80, 0.97),
        slab=(0.8, 1.0), built=(0.80, 0.97), height=(22, 80), roofs=CITY_ROOFS, ground=PAVED,
        grain=(10, 30), trees=(0.00, 0.15), nearby=(2, 4, 15),
    ),
    Zone(
        parcel=(18, 38), depth=(0.8, 1.4), block=(5, 3), street=(8, 16), cover=(0.82, 0.99),
        slab=(0.8, 1.0), built=(0.85, 1.0), height=(10, 26), roofs=CITY_ROOFS, ground=PAVED,
        grain=(10, 30), trees=(0.00, 0.20), courtyard=True, nearby=(1, 3, 5, 15),
    ),
    Zone(
        parcel=(9, 20), depth=(0.9, 1.7), block=(8, 2), street=(5, 10), cover=(0.80, 0.97),
        slab=(0.8, 1.0), built=(0.82, 0.98), height=(4, 11),
        roofs=CITY_ROOFS | {"tile": 3, "rust": 0.7}, ground=PAVED | {"soil": 1},
        grain=(8, 25), trees=(0.00, 0.22), nearby=(2, 6, 7),
    ),
    Zone(
        parcel=(50, 85), depth=(0.8, 1.2), block=(3, 2), street=(10, 20), cover=(0.45, 0.80),
        slab=(0.3, 0.7), built=(0.65, 0.95), height=(22, 65),
        roofs={"bitumen": 2, "concrete": 3, "membrane": 0.5}, ground=GARDEN, grain=(15, 40),
        trees=(0.15, 0.45), nearby=(1, 5, 12),
    ),
    Zone(
        parcel=(35, 65), depth=(0.7, 1.2), block=(4, 2), street=(8, 15), cover=(0.45, 0.80),
        slab=(0.3, 0.7), built=(0.65, 0.95), height=(9, 26),
        roofs={"bitumen": 2, "concrete": 2, "tile": 2}, ground=GARDEN, grain=(15, 40),
        trees=(0.15, 0.45), nearby=(2, 4, 6),
    ),
    Zone(
        parcel=(16, 34), depth=(0.9, 1.6), block=(7, 2), street=(6, 11), cover=(0.45, 0.70),
        slab=(0.6, 1.0), built=(0.75, 0.97), height=(4, 11),
        roofs={"bitumen": 2, "concrete": 1, "tile": 3}, ground=GARDEN, grain=(10, 30),
        trees=(0.15, 0.50), nearby=(3, 5, 9, 12),
    ),
    Zone(
        parcel=(6, 11), depth=(0.8, 1.3), block=(12, 4), street=(3, 5), cover=(0.75, 0.95),
        slab=(0.8, 1.0), built=(0.80, 0.97), height=(2, 5), roofs=POOR_ROOFS,
        ground={"soil": 3, "straw": 0.5, "grass": 0.3}, grain=(8, 25), trees=(0.00, 0.15),
        nearby=(3, 16, 9),
    ),
    Zone(
        parcel=(60, 130), depth=(0.6, 1.2), block=(3, 2), street=(10, 22), cover=(0.62, 0.88),
        slab=(0.6, 1.0), built=(0.70, 0.95), height=(4, 13),
        roofs={"membrane": 2, "metal": 2.5, "bitumen": 1.5, "concrete": 1},
        ground={"asphalt": 4, "concrete": 2, "grass": 1}, grain=(20, 60), trees=(0.00, 0.12),
        nearby=(10, 15, 5),
    ),
    Zone(
        parcel=(45, 80), depth=(0.8, 1.4), block=(6, 3), street=(0, 6), cover=(0.15, 0.30),
        slab=(0.6, 1.0), built=(0.40, 0.85), height=(3, 9),
        roofs={"tile": 2, "bitumen": 1, "concrete": 1, "metal": 0.5},
        ground={"grass": 4, "straw": 1.5, "crop": 1, "soil": 0.7}, grain=(30, 90),
        trees=(0.10, 0.50), nearby=(6, 12, 14),
    ),
    Zone(
        parcel=(40, 90), depth=(0.6, 1.3), block=(3, 2), street=(8, 20), cover=(0.45, 0.85),
        slab=(0.4, 1.0), built=(0.50, 0.90), height=(6, 26),
        roofs={"metal": 2, "rust": 2.5, "bitumen": 2, "concrete": 1},
        ground={"asphalt": 2, "soil": 2, "concrete": 2, "rock": 1}, grain=(15, 50),
        trees=(0.00, 0.12), tanks=0.3, nearby=(8, 15, 16),
    ),
    Zone(ground={"grass": 2, "bush": 1}, trees=(0.72, 1.0), crown=(6, 12), nearby=(12, 14, 17)),
    Zone(ground={"grass": 3, "straw": 1, "bush": 0.5}, trees=(0.25, 0.80), crown=(6, 12),
         nearby=(11, 13, 14, 9)),
    Zone(ground={"bush": 3, "straw": 1, "soil": 1, "grass": 0.7}, grain=(8, 25), trees=(0.0, 0.25),
         crown=(3, 6), nearby=(12, 14, 15)),
    Zone(parcel=(60, 160), ground={"crop": 3, "grass": 3, "straw": 1.2, "bush": 0.7, "soil": 0.7},
         trees=(0.0, 0.15), fields=True, nearby=(13, 16, 12, 9)),
    Zone(ground={"rock": 3, "asphalt": 2, "concrete": 2, "soil": 0.7, "straw": 0.4},
         grain=(30, 110), trees=(0.0, 0.08), nearby=(8, 16, 13)),
    Zone(parcel=(70, 180), ground={"soil": 4, "sand": 2, "straw": 0.8, "rock": 0.4},
         grain=(40, 120), trees=(0.0, 0.06), fields=True, nearby=(14, 15, 13)),
    Zone(ground={"water": 1}, nearby=(11, 14, 16, 15)),
)  # fmt: skip

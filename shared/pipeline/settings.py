"""Settings of a source: what decides which products there are, and how they are made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OBSERVED = "prepare"  # among fusion's variants: the patches as they were observed


@dataclass(frozen=True)
class Settings:
    """What decides which products there are and how they are made.

    Attributes:
        source: so2sat, demo, gallery, tiny, eurosat, landcover, sisr, sen2venus or worldstrat.
        data: folder of the products, ``D``.
        raw: "files" that people put into ``D/so2sat``, the stage that makes patches or
            tiles, or "sensors" for pairs of two sensors.
        weights_folder: of published weights, ``W``.
        weights: published or trained.
        own_weights: file by variant, such as "edsr-x2", or by architecture of a teacher.
        mirror: folder or address with published weights, "" for the addresses of their authors.
        sr: variants that `make all` makes.
        compared: variants that sr-eval and `make sr` compare.
        small: whether sr-train uses the demo sizes of the methods.
        architectures: backbones of the ensembles.
        modes: how members draw their bands.
        fusion_variants: patches that the members of a fusion see in turn: "prepare" or a variant.
        student: architecture of the student that is deployed, which names its products.
        student_teacher: product below ``D`` that the student learns from.
        students: architectures of `make students`; the published ones where there are none.
        students_teacher: product below ``D`` that these learn from.
        student_seeds: seeds that these are repeated with; none leaves the seed out of their names.
        student_flags: flags of these that win over those of distill.
        ablated: fusion that `make ablations` takes apart.
        all: patterns of the ensembles, below ``D``, that `make all` makes; {first} stands for the
            first architecture, {mode} for the first mode, {ablated} for the ablated fusion.
        has_topology: whether the source has tda, fusion and super-resolution.
        plot: whether `make all` makes tda-plot.
        members, epochs: of an ensemble, of a training, by architecture; "any" is for the rest.
        pixels: height and width that a network sees, by architecture.
        teacher_batch: rows of a training step of teacher, by architecture.
        fusion_batch: rows of a training step of fusion, "" for the default of the stage.
        learning: more flags of teacher and fusion.
        flags: more flags, by stage.
        eurosat, landcover: folder of its pictures; of orthophotos and masks.
        sen2venus, worldstrat: folders of image pairs of two sensors.
        pairs: bands and factor of the pair files that are made of these, or else of drawn ones.
        segmenters: networks of segment; none for those that fit the orthophotos.
        scene, map_model: what maps are made of, and with; "" for the city, and the source's own.
        split_lists: folder of public split lists, or the three files with commas; "" for shares.
        milestones: patterns of the products below ``D`` after which the report is renewed.
        sweep_stage: stage of `make sweep`, "" for none.
        grid: its flags and their values, such as "alpha=0.3,0.7 temperature=1,3".
        seeds: of the repetitions of sweeps and students.
        seconds: of each product below ``D`` on two cores; the time left is estimated from them.
    """

    source: str
    data: str
    raw: str = "files"
    weights_folder: str = "data/weights"
    weights: str = "published"
    own_weights: Mapping[str, str] = field(default_factory=dict)
    mirror: str = ""
    sr: tuple[str, ...] = ()
    compared: tuple[str, ...] = ()
    small: bool = False
    architectures: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    fusion_variants: tuple[str, ...] = ()
    student: str = "resnet18"
    student_teacher: str = ""
    students: tuple[str, ...] = ()
    students_teacher: str = ""
    student_seeds: tuple[str, ...] = ()
    student_flags: tuple[str, ...] = ()
    ablated: str = ""
    all: tuple[str, ...] = ("*",)
    has_topology: bool = True
    plot: bool = True
    members: Mapping[str, int] = field(default_factory=dict)
    epochs: Mapping[str, int] = field(default_factory=dict)
    pixels: Mapping[str, int] = field(default_factory=dict)
    teacher_batch: Mapping[str, int] = field(default_factory=dict)
    fusion_batch: int | str = ""
    learning: tuple[str, ...] = ()
    flags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    eurosat: str = "data/eurosat-rgb"
    scene: str = ""
    landcover: str = ""
    sen2venus: str = ""
    worldstrat: str = ""
    pairs: tuple[str, ...] = ("10m-x2",)
    segmenters: tuple[str, ...] = ()
    map_model: str = ""
    split_lists: str = ""
    milestones: tuple[str, ...] = ()
    sweep_stage: str = ""
    grid: str = ""
    seeds: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def prepared(self) -> str:
        """Folder of the prepared splits."""
        return f"{self.data}/prepare"

    def below(self, path: str) -> str:
        """A path in the data folder."""
        return f"{self.data}/{path}"


def chosen(numbers: Mapping[str, Any], architecture: str) -> Any:
    """The number for all that the caller set, else that of the architecture, else that of "any".

    None if there is none.
    """
    return numbers.get("all", numbers.get(architecture, numbers.get("any")))

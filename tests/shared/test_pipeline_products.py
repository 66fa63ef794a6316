"""Every product of a source: who makes it, what it reads, its flags; written down by hand."""

import json
from pathlib import Path

import pytest

from shared.errors import StageError
from shared.pipeline import Plan, Product, build, read_settings, rules
from shared.pipeline.plan import as_json, as_table
from shared.pipeline.product import flag, override, paths
from shared.pipeline.products import maps
from shared.pipeline.settings import chosen

VARIANTS = [
    "vdsr/x2", "vdsr/x3", "edsr/x2", "edsr/x4", "esrgan/x2", "swinir/x2", "bsrnet/x2",
    "realesrgan/x4",
]  # fmt: skip
ENSEMBLES = [f"{a}-{m}" for a in ("resnet18", "densenet201") for m in ("rand", "randrgb", "sar")]
ALL = {  # of the gallery with two variants, in the order of its making
    "so2sat", "prepare/training.h5", "prepare/testing.h5",
    "sr-train/edsr-x2.safetensors", "sr-edsr/x2/training.h5", "sr-edsr/x2/testing.h5",
    "sr-train/swinir-x2.safetensors", "sr-swinir/x2/training.h5", "sr-swinir/x2/testing.h5",
    "teacher/resnet18-rand", "teacher/resnet18-randrgb", "teacher/resnet18-sar",
    "teacher/densenet201-rand", "tda/prepare/training.h5", "tda/prepare/testing.h5", "tda-plot",
    "tda/sr-swinir-x2/training.h5", "tda/sr-swinir-x2/testing.h5", "fusion/resnet18-rand",
    "fusion/topology", "sumrule/teacher-resnet18", "distill/resnet18", "export/resnet18",
    "voyager/resnet18", "report.html",
}  # fmt: skip
VERBS = {
    "sr": [
        *(f"sr-{variant}/{split}.h5" for variant in VARIANTS for split in ("training", "testing")),
        "sr-eval",
    ],
    "ablations": [
        "fusion/resnet18-rand-observed", "fusion/resnet18-rand-pictures", "fusion/topology",
    ],
    "qat": ["export/resnet18", "distill/resnet18-qat", "export/resnet18-qat"],
    "students": [
        "distill/mobilenetv3_small_100", "distill/mobilenetv4_conv_medium",
        "distill/efficientnet_b0", "explain/students",
    ],
    "bundles": [
        "voyager/resnet18", *(f"voyager/resnet18-sdk-{sdk}" for sdk in ("1.2", "1.6", "all")),
    ],
    "sweep": [],
    "demo": ["so2sat"],
    "sr-degrade": [f"sr-degrade/x{scale}/testing.h5" for scale in (2, 3, 4)],
    "sr-edsr": [f"sr-edsr/x{x}/{split}.h5" for x in (2, 4) for split in ("training", "testing")],
    "sr-train": [f"sr-train/{name.replace('/', '-')}.safetensors" for name in VARIANTS],
    "teacher": [f"teacher/{name}" for name in ENSEMBLES],
    "fusion": [*(f"fusion/{name}" for name in ENSEMBLES), "fusion/topology"],
    "sumrule": [
        f"sumrule/{stage}{end}" for stage in ("teacher", "fusion")
        for end in ("-resnet18", "-densenet201", "")
    ],
    "distill": ["distill/resnet18"],
    "export": ["export/resnet18"],
    "voyager": ["voyager/resnet18"],
    "report": ["report.html"],
}  # fmt: skip


def plan(source: str, runner: str = "local", **changes: str) -> Plan:
    return build(read_settings(source, {"D": "d", **changes}), runner)


def product(whole: Plan, path: str) -> Product:
    (one,) = [one for one in whole.products if one.path == f"d/{path}"]
    return one


def short(products: list[Product]) -> list[str]:
    return [one.path.removeprefix("d/") for one in products]


def flags(whole: Plan, path: str) -> str:
    return " ".join(product(whole, path).flags)


@pytest.fixture
def gallery() -> Plan:
    return plan("gallery", SR="edsr-x2 swinir-x2")


def test_what_make_all_makes(gallery: Plan) -> None:
    assert set(short([one for one in gallery.products if one.in_all])) == ALL
    assert [one.path for one in gallery.products if one.renewed] == [
        "d/explain/students", "d/report.html",
    ]  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_what_a_verb_makes(gallery: Plan, verb: str) -> None:
    assert short(gallery.by_verb()[verb]) == VERBS[verb]


def test_the_whole_comparison_is_in_all_where_all_variants_are() -> None:
    whole = plan("demo")
    for path in ("sr-eval", "sr-degrade/x2/testing.h5", "sr-edsr/x2/wald.h5"):
        assert product(whole, path).in_all, path
    assert not [one for one in short([*whole.products]) if one.startswith("sr-degrade/x3")]
    assert not [one for one in short([*whole.products]) if one.startswith("sr-vdsr/x2/wald")]
    more = {p for p in short([*whole.products]) if p.startswith(("sr-vdsr/x2", "sr-edsr/x4"))}
    assert more == {
        "sr-vdsr/x2/training.h5", "sr-vdsr/x2/testing.h5",
        "sr-edsr/x4/training.h5", "sr-edsr/x4/testing.h5",
    }  # fmt: skip
    assert not product(whole, "sr-vdsr/x2/testing.h5").in_all
    assert not product(whole, "sr-vdsr/x2/testing.h5").verbs
    half = plan("gallery", SR="edsr-x2")
    assert not product(half, "sr-eval").in_all
    assert not product(half, "sr-edsr/x2/wald.h5").in_all
    assert product(half, "sr-edsr/x2/wald.h5").aside


SPLITS = "--train d/prepare/training.h5 --test d/prepare/testing.h5"
BOTH = SPLITS.replace(".h5", ".h5,d/sr-swinir/x2/{}.h5").format("training", "testing")
OBSERVED = "--tda_train d/tda/prepare/training.h5 --tda_test d/tda/prepare/testing.h5"
TOPOLOGY = OBSERVED.replace(".h5", ".h5,d/tda/sr-swinir-x2/{}.h5").format("training", "testing")
LEARNING = "--members 2 --epochs 10 --lr 0.05 --cosine"
NETWORK = f"--architecture resnet18 --mode rand --size 48 {LEARNING} --batch 32"
RADAR = "--sar_train d/prepare/training.h5 --sar_test d/prepare/testing.h5"
FLAGS = {
    "so2sat": "",
    "prepare/testing.h5": "--src d/so2sat/testing.h5",
    "sr-degrade/x3/testing.h5": "--src d/prepare/testing.h5 --scale 3",
    "sr-train/edsr-x4.safetensors":
        "--src d/prepare/training.h5 --method edsr --scale 4 --width 16 --depth 3",
    "sr-edsr/x4/wald.h5":
        "--src d/sr-degrade/x4/testing.h5 --weights d/sr-train/edsr-x4.safetensors --scale 4",
    "sr-eval": "--src d/prepare/testing.h5 --wald "
        + ",".join(f"d/sr-{variant}/wald.h5" for variant in VARIANTS) + " --enlarged "
        + ",".join(f"d/sr-{variant}/testing.h5" for variant in VARIANTS),
    "tda/prepare/training.h5": "--src d/prepare/training.h5",
    "tda/prepare/testing.h5": "--src d/prepare/testing.h5 --grid d/tda/prepare/training.h5",
    "tda/sr-swinir-x2/training.h5":
        "--src d/sr-swinir/x2/training.h5 --grid d/tda/prepare/training.h5",
    "tda-plot": "--src d/prepare/testing.h5 --features d/tda/prepare/testing.h5",
    "teacher/resnet18-rand": f"{SPLITS} {NETWORK}",
    "fusion/resnet18-rand": f"{BOTH} {TOPOLOGY} {NETWORK}",
    "fusion/resnet18-sar":
        f"{BOTH} {TOPOLOGY} {RADAR} {NETWORK}".replace("--mode rand", "--mode sar"),
    "fusion/resnet18-rand-observed": f"{SPLITS} {OBSERVED} {NETWORK}",
    "fusion/resnet18-rand-pictures": f"{BOTH} {NETWORK}",
    "fusion/topology": f"--noimage {SPLITS} {OBSERVED} {LEARNING} --batch 32",
    "sumrule/teacher-resnet18":
        "--src d/teacher/resnet18-rand,d/teacher/resnet18-randrgb,d/teacher/resnet18-sar",
    "sumrule/fusion": "--src d/sumrule/fusion-resnet18,d/sumrule/fusion-densenet201",
    "distill/resnet18": f"{SPLITS} --teacher d/teacher/resnet18-rand",
    "export/resnet18": f"--src d/distill/resnet18 {SPLITS}",
    "voyager/resnet18": f"--src d/export/resnet18 {SPLITS}",
    "voyager/resnet18-sdk-all": f"--src d/export/resnet18 {SPLITS}",
    "distill/resnet18-qat": f"{SPLITS} --teacher d/teacher/resnet18-rand "
        "--checkpoint d/distill/resnet18/student.safetensors --qat 5",
    "export/resnet18-qat": f"--src d/distill/resnet18-qat {SPLITS}",
    "distill/efficientnet_b0":
        f"{SPLITS} --teacher d/teacher/resnet18-rand --architecture efficientnet_b0",
}  # fmt: skip


@pytest.mark.parametrize("path", FLAGS)
def test_flags_of_a_product(gallery: Plan, path: str) -> None:
    assert flags(gallery, path) == FLAGS[path]


def test_bundles_are_for_their_sdk_whatever_the_settings_say() -> None:
    whole = plan("gallery", **{"FLAGS-voyager": "--sdk 1.6 --cores 2"})
    for sdk in ("1.2", "1.6", "all"):
        line = whole.arguments(product(whole, f"voyager/resnet18-sdk-{sdk}"))
        assert line.count("--sdk") == 1
        assert line[line.index("--sdk") + 1] == sdk
        assert line[line.index("--cores") + 1] == "2"
    assert "--sdk 1.6" in whole.command(product(whole, "voyager/resnet18"))


PREPARED = {"prepare/training.h5", "prepare/testing.h5"}
ENLARGED = {"sr-swinir/x2/training.h5", "sr-swinir/x2/testing.h5"}
FEATURES = {f"tda/{of}/{split}.h5" for of in ("prepare", "sr-swinir-x2")
            for split in ("training", "testing")}  # fmt: skip
INPUTS = {
    "so2sat": set[str](),
    "prepare/testing.h5": {"so2sat"},
    "sr-train/edsr-x4.safetensors": {"prepare/training.h5"},
    "sr-edsr/x4/wald.h5": {"sr-degrade/x4/testing.h5", "sr-train/edsr-x4.safetensors"},
    "tda/prepare/testing.h5": {*PREPARED, "tda/prepare/training.h5"},
    "tda-plot": {*PREPARED, "tda/prepare/testing.h5"},
    "tda/sr-swinir-x2/testing.h5": {"sr-swinir/x2/testing.h5", "tda/prepare/training.h5"},
    "teacher/resnet18-rand": PREPARED,
    "fusion/resnet18-rand": PREPARED | ENLARGED | FEATURES,
    "fusion/resnet18-rand-observed": PREPARED | {f for f in FEATURES if "prepare" in f},
    "fusion/resnet18-rand-pictures": PREPARED | ENLARGED,
    "distill/resnet18": {*PREPARED, "teacher/resnet18-rand"},
    "distill/resnet18-qat": {*PREPARED, "teacher/resnet18-rand", "distill/resnet18"},
    "export/resnet18-qat": {*PREPARED, "distill/resnet18-qat"},
    "voyager/resnet18": {*PREPARED, "export/resnet18"},
    "voyager/resnet18-sdk-1.2": {*PREPARED, "export/resnet18"},
}


@pytest.mark.parametrize("path", INPUTS)
def test_inputs_of_a_product(gallery: Plan, path: str) -> None:
    inputs = product(gallery, path).inputs
    assert {one.removeprefix("d/") for one in inputs} == INPUTS[path]
    assert len(inputs) == len(INPUTS[path])


def test_the_report_in_the_order_of_the_page() -> None:
    """Degraded splits stand just before their comparison; tda-plot is in none."""
    shown = [path.removeprefix("d/") for path in product(plan("gallery"), "report.html").inputs]
    place = shown.index("sr-eval")
    assert shown[place - 3 : place] == [f"sr-degrade/x{scale}/testing.h5" for scale in (2, 3, 4)]
    assert shown[place - 4] == "sr-realesrgan/x4/wald.h5"
    assert shown[-1] == "voyager/resnet18"
    assert "tda-plot" not in shown
    assert "distill/resnet18-qat" not in shown


def test_the_report_shows_more_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ensembles, students, exports and bundles with a record, after the others, by name."""
    monkeypatch.chdir(tmp_path)
    for name in ("fusion/resnet18-sar", "distill/efficientnet_b0", "sr-edsr/x4/testing.h5"):
        path = Path(f"d/{name}.run.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    shown = product(plan("gallery", SR="edsr-x2"), "report.html").inputs
    assert shown[-3:] == (
        "d/voyager/resnet18", "d/distill/efficientnet_b0", "d/fusion/resnet18-sar",
    )  # fmt: skip
    asked = build(read_settings("demo", {"D": "d"}), goals=["students"]).products[-1].inputs
    assert [path for path in asked if "mobilenetv3" in path]
    assert not [path for path in asked if "qat" in path]


def test_one_mode_or_one_architecture_needs_no_sums() -> None:
    one = plan("gallery", MODES="sar")
    assert not [p for p in one.products if p.stage == "sumrule"]
    alone = plan("gallery", ARCHITECTURES="resnet18")
    sums = [p.path for p in alone.products if p.stage == "sumrule"]
    assert sums == ["d/sumrule/teacher-resnet18", "d/sumrule/fusion-resnet18"]
    two = plan("gallery", MODES="rand sar")
    assert flags(two, "sumrule/teacher-resnet18").endswith("18-rand,d/teacher/resnet18-sar")


def test_the_first_architecture_and_the_first_mode_teach() -> None:
    whole = plan("gallery", ARCHITECTURES="a b c", MODES="sar rand")
    assert flags(whole, "distill/resnet18").endswith("--teacher d/teacher/a-sar")
    assert product(whole, "fusion/a-sar-pictures")
    made = [p for p in short([*whole.products]) if p.startswith("teacher/")]
    assert [p for p in made if product(whole, p).in_all] == [
        "teacher/a-sar", "teacher/a-rand", "teacher/b-sar", "teacher/c-sar",
    ]  # fmt: skip
    other = plan("gallery", STUDENT_TEACHER="fusion/resnet18-sar", ABLATED="densenet201-sar")
    assert flags(other, "distill/resnet18").endswith("--teacher d/fusion/resnet18-sar")
    assert "--size 32" in flags(other, "fusion/densenet201-sar-observed")
    assert "--epochs 4" in flags(other, "fusion/topology")


def test_eurosat_has_neither_topology_nor_super_resolution() -> None:
    whole = plan("eurosat")
    paths = [p for p in short([*whole.products]) if not p.startswith("data/weights/")]
    assert paths[:3] == ["prepare", "teacher/resnet18-rand", "distill/resnet18"]
    assert not [p for p in paths if p.startswith(("sr", "tda", "fusion", "sumrule"))]
    assert product(whole, "teacher/resnet18-rand").inputs == ("d/prepare",)
    adam = "--optimiser adam --lr 0.002 --weight_decay 0 --batch 64"
    assert flags(whole, "teacher/resnet18-rand").endswith(adam)
    assert product(whole, "prepare").in_all


def test_files_that_people_provide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for split in ("training", "testing"):
        one = product(plan("so2sat"), f"prepare/{split}.h5")
        assert (one.inputs, one.raw) == ((), (f"d/so2sat/{split}.h5",))
        assert one.flags == ("--src", f"d/so2sat/{split}.h5")
    (tmp_path / "d/so2sat").mkdir(parents=True)
    (tmp_path / "d/so2sat/testing_geo.h5").touch()
    whole = plan("so2sat")
    assert flags(whole, "prepare/testing.h5").endswith(" --geo d/so2sat/testing_geo.h5")
    assert "--geo" not in flags(whole, "prepare/training.h5")
    assert not [p for p in whole.products if p.stage == "demo"]


def test_variants_that_are_not_made_are_not_fused() -> None:
    """Unless the caller names them; the same one may come twice."""
    words = flags(plan("so2sat", SR="edsr-x2"), "fusion/resnet18-rand").split()
    assert words[1] == "d/prepare/training.h5,d/prepare/training.h5,d/sr-edsr/x2/training.h5"
    words = flags(plan("so2sat", SR="", FUSION_VARIANTS="vdsr-x3"), "fusion/resnet18-rand").split()
    assert words[1] == "d/sr-vdsr/x3/training.h5"


def test_numbers_of_the_caller_win_over_those_of_an_architecture() -> None:
    numbers = {"any": 1, "resnet18": 2}
    assert [chosen(numbers, name) for name in ("resnet18", "vit")] == [2, 1]
    assert chosen({**numbers, "all": 3}, "resnet18") == 3
    assert chosen({}, "vit") is None


def test_scenes_of_a_source(tmp_path: Path) -> None:
    """A city for procedural sources; SCENE is read by `scene`, unless it is a scene file."""
    assert product(plan("demo"), "city.h5").stage == "city"
    assert not [one for one in plan("so2sat").products if one.stage in ("city", "scene")]
    safe = tmp_path / "S2A_X.SAFE"
    safe.mkdir()
    made = product(plan("so2sat", SCENE=str(safe)), "scene/S2A_X.h5")
    assert (made.stage, made.flags, made.raw) == ("scene", ("--src", str(safe)), (str(safe),))
    assert not made.in_all
    (tmp_path / "a.h5").touch()
    ready = plan("demo", SCENE=str(tmp_path / "a.h5"))
    assert not [one for one in ready.products if one.stage == "scene"]
    assert maps.scene_file(ready.settings) == str(tmp_path / "a.h5")
    assert maps.scene_file(plan("demo").settings) == "d/city.h5"
    assert maps.scene_file(plan("so2sat").settings) == ""
    with pytest.raises(StageError, match="SCENE: no such file or folder: nowhere"):
        plan("demo", SCENE="nowhere.zip")
    (tmp_path / "a b.tif").touch()
    with pytest.raises(StageError, match="SCENE: make wants a path without spaces"):
        plan("so2sat", SCENE=str(tmp_path / "a b.tif"))


def test_land_cover_of_drawn_orthophotos() -> None:
    """Orthophotos, tiles, a tiny network, INT8, a map; a page on all but the first."""
    whole = plan("landcover")
    assert short([*whole.products]) == [
        "orthophoto", "tiles/orthophoto", "segment/orthophoto-pyramid-tiny",
        "export/orthophoto-pyramid-tiny", "map/ortho-010-pyramid-tiny", "report.html",
    ]  # fmt: skip
    assert all(one.in_all for one in whole.products)
    assert flags(whole, "tiles/orthophoto") == "--src d/orthophoto"
    words = flags(whole, "segment/orthophoto-pyramid-tiny").split()
    assert words[:8] == [
        "--train", "d/tiles/orthophoto/training.h5",
        "--validation", "d/tiles/orthophoto/validation.h5",
        "--test", "d/tiles/orthophoto/testing.h5", "--architecture", "pyramid-tiny",
    ]  # fmt: skip
    assert "--epochs" in words
    assert flags(whole, "export/orthophoto-pyramid-tiny") == (
        "--src d/segment/orthophoto-pyramid-tiny --train d/tiles/orthophoto/training.h5 "
        "--test d/tiles/orthophoto/testing.h5 --latency_runs 10"
    )
    assert flags(whole, "map/ortho-010-pyramid-tiny") == (
        "--src d/orthophoto/images/ortho-010.tif --model d/segment/orthophoto-pyramid-tiny"
    )
    shown = product(whole, "report.html").inputs
    assert shown == tuple(one.path for one in whole.products[1:-1])


def test_land_cover_of_a_folder(tmp_path: Path) -> None:
    """Its own name and the published network with its own settings, unless others are named."""
    folder = tmp_path / "lc"
    folder.mkdir()
    whole = plan("landcover", LANDCOVER=str(folder), SPLIT_LISTS="lists")
    made = product(whole, "tiles/lc")
    assert (made.flags, made.raw) == (
        ("--src", str(folder), "--split_lists", "lists"), (str(folder),)
    )  # fmt: skip
    assert flags(whole, "segment/lc-swin_v2_b").endswith("--architecture swin_v2_b")
    mapped = product(whole, "map/lc-swin_v2_b")
    assert (mapped.in_all, mapped.inputs) == (False, ("d/segment/lc-swin_v2_b",))
    assert mapped.path not in product(whole, "report.html").inputs
    changes = {"SEGMENTERS": "swin_v2_t unet-resnet34", "EPOCHS": "3", "FLAGS-segment": "--lr 1"}
    other = plan("landcover", LANDCOVER=str(folder), **changes)
    assert [one.path for one in other.products if one.stage == "segment"] == [
        "d/segment/lc-swin_v2_t", "d/segment/lc-unet-resnet34",
    ]  # fmt: skip
    said = other.arguments(product(other, "segment/lc-swin_v2_t"))
    assert said[-4:] == ("--epochs", "3", "--lr", "1")
    with pytest.raises(StageError, match="LANDCOVER: no such folder: nowhere"):
        plan("landcover", LANDCOVER="nowhere")


def test_flags_of_the_caller_win_over_those_of_drawn_orthophotos() -> None:
    whole = plan("landcover", **{"FLAGS-segment": "--epochs 2 --batch 4"})
    said = whole.arguments(product(whole, "segment/orthophoto-pyramid-tiny"))
    assert [said.count(word) for word in ("--epochs", "--batch", "--lr")] == [1, 1, 1]
    assert said[-4:] == ("--epochs", "2", "--batch", "4")


def test_other_sources_have_no_land_cover() -> None:
    assert not {"orthophoto", "landcover", "segment"} & {one.stage for one in plan("demo").products}


def test_pairs_of_a_source(tmp_path: Path) -> None:
    """Of the folders of the caller, by their own names; else of drawn land, if all is drawn."""
    drawn = product(plan("demo"), "pairs/two-sensors/10m-x2.h5")
    flags = ("--src", "d/two-sensors", "--bands", "10m", "--scale", "2")
    assert (drawn.stage, drawn.inputs, drawn.flags) == ("pairs", ("d/two-sensors",), flags)
    assert product(plan("demo"), "two-sensors").stage == "two-sensors"
    tried = product(plan("demo"), "sisr-benchmark-metrics/two-sensors/10m-x2")
    assert (tried.inputs, tried.flags) == ((drawn.path,), ("--src", drawn.path))
    assert not drawn.in_all
    assert not [one for one in plan("so2sat").products if one.stage in ("pairs", "two-sensors")]
    venus, spot = tmp_path / "sen2venus", tmp_path / "worldstrat"
    venus.mkdir()
    spot.mkdir()
    whole = plan(
        "demo", SEN2VENUS=str(venus), WORLDSTRAT=str(spot), PAIRS="10m-x2 20m-x4 all-x2 10m-x4"
    )
    made = [one for one in whole.products if one.stage in ("pairs", "two-sensors")]
    assert short(made) == [
        *(f"pairs/sen2venus/{name}.h5" for name in ("10m-x2", "20m-x4", "all-x2")),
        *(f"pairs/worldstrat/{name}.h5" for name in ("10m-x2", "10m-x4")),
    ]
    assert made[1].flags == ("--src", str(venus), "--bands", "20m", "--scale", "4")
    assert (made[4].raw, made[4].inputs) == ((str(spot),), ())
    with pytest.raises(StageError, match="WORLDSTRAT: no such folder: nowhere"):
        plan("so2sat", WORLDSTRAT="nowhere")
    with pytest.raises(StageError, match=r"PAIRS: expected of 10m-x2, 10m-x4 for .*, found 20m-x4"):
        plan("so2sat", WORLDSTRAT=str(spot), PAIRS="20m-x4")


def test_networks_across_sensors() -> None:
    """Three modes on drawn pairs, the best of which enlarges the city."""
    whole, pairs = plan("sisr"), "pairs/two-sensors/10m-x2.h5"
    modes = ("baseline", "geometric", "radiometric")
    networks = [f"sisr-train/two-sensors/10m-x2-{mode}" for mode in modes]
    made = [one for one in whole.products if one.in_all]
    assert short(made) == [
        "city.h5", "two-sensors", pairs, "register/two-sensors/10m-x2", *networks,
        "sisr-eval/two-sensors/10m-x2", "sisr-export/two-sensors/10m-x2",
        "scene-sr/city/two-sensors/10m-x2", "report.html",
    ]  # fmt: skip
    taught = ("baseline", "geometric", "geometric+radiometric")
    for network, mode in zip(networks, taught, strict=True):
        placed = "--registration d/register/two-sensors/10m-x2 " * (mode != "baseline")
        assert flags(whole, network) == f"--src d/{pairs} {placed}--mode {mode}"
    compared = product(whole, "sisr-eval/two-sensors/10m-x2")
    assert compared.flags[:4] == (
        "--src", f"d/{pairs}", "--networks", ",".join(f"d/{network}" for network in networks)
    )  # fmt: skip
    assert product(whole, "sisr-export/two-sensors/10m-x2").inputs == (
        f"d/{networks[2]}", f"d/{pairs}",
    )  # fmt: skip
    enlarged = "--src d/city.h5 --model d/sisr-export/two-sensors/10m-x2"
    assert flags(whole, "scene-sr/city/two-sensors/10m-x2") == enlarged
    shown = ("d/sisr-eval/two-sensors/10m-x2", "d/scene-sr/city/two-sensors/10m-x2")
    assert whole.products[-1].inputs == shown


def test_networks_of_real_pairs_enlarge_the_scene_of_the_caller(tmp_path: Path) -> None:
    venus, scene = tmp_path / "sen2venus", tmp_path / "S2A_L1C.SAFE"
    venus.mkdir()
    scene.mkdir()
    whole = plan("sen2venus", SEN2VENUS=str(venus), PAIRS="20m-x4 all-x2", SCENE=str(scene))
    assert not {"city", "two-sensors"} & {one.stage for one in whole.products}
    made = [one for one in whole.products if one.stage == "scene-sr"]
    assert short(made) == [f"scene-sr/S2A_L1C/sen2venus/{name}" for name in ("20m-x4", "all-x2")]
    assert made[1].raw == (str(scene),)
    assert made[1].inputs == ("d/sisr-export/sen2venus/all-x2",)
    assert not [
        one for one in plan("worldstrat", WORLDSTRAT=str(venus)).products if one.stage == "scene-sr"
    ]
    with pytest.raises(StageError, match="SEN2VENUS: no such folder: nowhere"):
        plan("sen2venus", SEN2VENUS="nowhere")
    with pytest.raises(StageError, match="SCENE: no such file or folder: nowhere"):
        plan("sisr", SCENE="nowhere")


def test_folders_whose_names_make_reads_otherwise_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    for variable in ("LANDCOVER", "SEN2VENUS", "WORLDSTRAT"):
        source = "landcover" if variable == "LANDCOVER" else "so2sat"
        with pytest.raises(StageError, match=f"{variable}: make wants a path without spaces"):
            plan(source, **{variable: str(tmp_path / "a b")})


@pytest.mark.parametrize(
    ("source", "changes"),
    [
        ("demo", {"ARCHITECTURES": "a:b"}), ("demo", {"MODES": "x%y"}), ("demo", {"D": "a b"}),
        ("demo", {"MODEL": "a:b"}), ("demo", {"ABLATED": "a#b"}), ("demo", {"SEEDS": "4:2"}),
        ("eurosat", {"STUDENTS": "simple-net:8"}), ("landcover", {"SEGMENTERS": "a;b"}),
    ],
)  # fmt: skip
def test_names_that_make_reads_otherwise_are_refused(source: str, changes: dict[str, str]) -> None:
    """They would become "multiple target patterns" of a file that nobody wrote by hand."""
    with pytest.raises(StageError, match=r"make wants names without spaces and .*, found '"):
        plan(source, **changes)


def test_maps_of_a_source(tmp_path: Path) -> None:
    """The city by student and teacher; a scene of the caller by the published network, or MODEL."""
    made = product(plan("demo"), "map/city/student-separable")
    assert made.flags == ("--src", "d/city.h5", "--model", "d/distill/student-separable")
    assert made.inputs == ("d/city.h5", "d/distill/student-separable")
    teacher = product(plan("demo"), "map/city/teacher-student-resnet-rand")
    assert teacher.flags[-1] == "d/teacher/student-resnet-rand"
    assert not [one for one in plan("so2sat").products if one.stage == "map"]
    (tmp_path / "a.h5").touch()
    published = product(
        plan("so2sat", SCENE=str(tmp_path / "a.h5"), W="w"), "map/a/so2sat-resnet20"
    )
    assert (published.inputs, published.raw) == (("w/so2sat-resnet20",), (str(tmp_path / "a.h5"),))
    own = product(plan("demo", MODEL="mine/net"), "map/city/net")
    assert (own.inputs, own.raw) == (("d/city.h5",), ("mine/net",))


def test_words_of_flags() -> None:
    assert flag("a", 0) == ("--a", "0")
    assert flag("a", "") == flag("a", None) == ()
    assert paths("a", ["b", "c"]) == ("--a", "b,c")
    given = ("--alpha", "0.7", "--size=32", "--per-class", "3", "--noimage")
    assert override(given, ("--alpha", "0.3")) == (
        "--size=32", "--per-class", "3", "--noimage", "--alpha", "0.3",
    )  # fmt: skip
    assert override(given, ("--per_class", "5", "--size", "8")) == (
        "--alpha", "0.7", "--noimage", "--per_class", "5", "--size", "8",
    )  # fmt: skip


# --- what is printed and written ------------------------------------------------------------------
def test_the_plan_in_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("d").mkdir()
    Path("d/so2sat.run.json").touch()
    whole = plan("demo")
    lines = as_table(whole).splitlines()
    assert lines[:3] == [
        "  1  d/so2sat  (demo; in make all; made)",
        "     waits for: nothing",
        "     .venvs/demo/bin/python -m stages.demo.main --dst d/so2sat",
    ]
    assert lines[3] == "  2  d/prepare/training.h5  (prepare; in make all; not made)"
    assert lines[4] == "     waits for: d/so2sat"
    heads = {line.split()[1]: line.partition("(")[2] for line in lines[::3]}
    assert heads["d/fusion/student-resnet-rand-observed"] == "fusion; make ablations; not made)"
    assert heads["d/sr-edsr/x4/testing.h5"] == "sr-edsr; make sr-edsr; not made)"
    raw = as_table(plan("so2sat", "docker")).splitlines()
    assert raw[1] == "     waits for: d/so2sat/training.h5"
    wald = [
        line for line in as_table(plan("gallery", SR="")).splitlines() if "x2/wald.h5  (" in line
    ]
    assert {line.partition("; ")[2] for line in wald} == {"for other products; not made)"}


def test_the_plan_for_programs() -> None:
    whole = plan("so2sat", "docker")
    entries = {entry["product"]: entry for entry in json.loads(as_json(whole))}
    assert entries["d/prepare/training.h5"] == {
        "product": "d/prepare/training.h5", "stage": "prepare", "in_all": True, "verbs": [],
        "waits_for": ["d/so2sat/training.h5"],
        "command": "docker compose run --rm -T prepare --dst d/prepare/training.h5 "
        "--src d/so2sat/training.h5",
    }  # fmt: skip
    assert entries["d/export/resnet18-qat"]["verbs"] == ["qat"]
    assert not entries["d/export/resnet18-qat"]["in_all"]


def test_a_rule_of_make_by_hand() -> None:
    whole = plan("so2sat")
    state = Path("s.json")
    teacher = product(whole, "teacher/resnet18-rand")
    head, line = rules.rule(whole, teacher, state).splitlines()
    assert head == (
        "d/teacher/resnet18-rand.run.json: d/prepare/training.h5.run.json "
        "d/prepare/testing.h5.run.json | .venvs/teacher/made d"
    )
    assert line.startswith("\t@python3 -m shared.pipeline step s.json teacher d/teacher/resnet18-r")
    assert line.endswith(" || python3 -m shared.pipeline ended $$? teacher")
    assert (
        rules.rule(whole, teacher, state, is_outdated=False)
        .splitlines()[0]
        .endswith("h5.run.json |  d")
    )
    prepare = rules.rule(whole, product(whole, "prepare/testing.h5"), state)
    assert prepare.startswith("d/prepare/testing.h5.run.json: d/so2sat/testing.h5 | .venvs/prepare")
    page = rules.rule(whole, whole.products[-1], state).splitlines()[1]
    assert page.startswith(
        "\t@rm -rf d/report.html d/report.html.run.json d/report.html.partial*; python3 -m"
    )
    priced = plan("so2sat", **{"FLAGS-teacher": "--weights a$b"})
    assert "'a$$b' ||" in rules.rule(priced, product(priced, "teacher/resnet18-rand"), state)
    container = plan("so2sat", "docker")
    head = rules.rule(container, product(container, "teacher/resnet18-rand"), state).splitlines()[0]
    assert head.endswith("testing.h5.run.json |  d")


def test_milestones_renew_the_report() -> None:
    whole, state = plan("demo"), Path("s.json")
    lines = rules.rule(whole, product(whole, "prepare/testing.h5"), state).splitlines()
    assert lines[0].endswith("| .venvs/prepare/made d .venvs/report/made")
    assert lines[2:] == ["\t@python3 -m shared.pipeline refresh s.json"]
    assert (
        len(rules.rule(whole, product(whole, "export/student-separable"), state).splitlines()) == 2
    )
    done = rules.rule(whole, product(whole, "prepare/testing.h5"), state, is_outdated=False)
    assert ".venvs" not in done.splitlines()[0]


@pytest.mark.parametrize(
    ("source", "architecture"), [("demo", "student-resnet"), ("eurosat", "resnet18")]
)
def test_labels_are_audited_by_an_ensemble_of_folds(source: str, architecture: str) -> None:
    whole = plan(source)
    audit = product(whole, "audit/training")
    folds = product(whole, f"teacher/{architecture}-rand-folds")
    assert audit.inputs[-1] == folds.path
    assert audit.flags == ("--src", folds.path, "--train", "d/prepare/training.h5")
    assert not folds.in_all
    words = whole.command(folds).split()
    assert (words.count("--members"), words.count("--folds")) == (1, 1)
    assert [words[words.index(flag) + 1] for flag in ("--members", "--folds")] == ["4", "4"]
    assert folds not in whole.by_verb()["teacher"]
    assert short(whole.by_verb()["audit"]) == ["audit/training"]


def test_rules_of_verbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d").mkdir()
    (tmp_path / "d/so2sat").touch()
    text = rules.write(plan("eurosat"), Path("s.json"), ["merge", "tda", "teacher"])
    lines = text.splitlines()
    assert "teacher: d/teacher/resnet18-rand.run.json" in lines
    assert "\t@printf '%s\\n' d/teacher/resnet18-rand" in lines
    assert "\t@echo 'tda: no product of SOURCE=eurosat' >&2; exit 2" in lines
    assert [line for line in lines if line.startswith("\t@echo 'sweep: expected STAGE and GRID; ")]
    assert not [line for line in lines if line.startswith(("merge:", "eurosat:"))]
    names = ("resnet18-rand", "resnet18-rand-folds", "efficientnet_b4-rand")
    assert f"PRODUCTS-teacher := {' '.join(f'd/teacher/{name}' for name in names)}" in lines
    assert "audit: d/audit/training.run.json" in lines
    (every,) = [line for line in lines if line.startswith("PRODUCTS :=")]
    assert every == (
        "PRODUCTS := d/prepare d/teacher/resnet18-rand d/distill/resnet18 d/export/resnet18 "
        "d/voyager/resnet18 d/report.html"
    )
    text = rules.write(plan("demo"), Path("s.json"), [])
    (missing,) = [
        x for x in text.splitlines() if x.startswith(".PHONY: ") and "prepare/training" in x
    ]
    assert "d/so2sat.run.json" not in missing.split()
    (kept,) = [x for x in text.splitlines() if x.startswith(".PRECIOUS: ")]
    assert "d/so2sat.run.json" in kept.split()

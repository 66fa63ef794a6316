"""DEPLOY.md of a bundle: one section per release of the SDK that it is for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.models import Card
from shared.voyager import calibration as pictures
from stages.voyager import compiler_settings
from stages.voyager.settings import PROFILES, Deployment, count_decimals

HERE = Path(__file__).parent
MOST_CORES = 4  # of the accelerator; copies of a network, or its batches, share them
ORDER = {  # which calibration pictures are taken, where fewer are asked for than there are
    "1.2": "SDK 1.2.5 draws them at random",
    "1.6": "SDK 1.6 and 1.7 draw them at random, by the documents from before 1.8",
    "1.8": "SDK 1.8 takes the first ones by name, unless `--cal-seed` is given",
}
DEFAULTS = "This release reads no TOML and takes its defaults: per_tensor_histogram on one core."
NOTES = {  # on the driver, and on compiling again
    "1.6": (
        " (1.4.17 for release 1.6.1, 1.5.7 for 1.7.0).",
        "after every update of the SDK: 1.8 refuses what 1.6 and 1.7 compiled (`Unsupported model "
        "version: 4.0`). YAML and TOML stay as they are; give deploy.py `--mode QUANTCOMPILE`.",
    ),
    "1.8": (
        " or later.",
        "after every update of the SDK. 1.8 refuses what 1.7 and earlier compiled (`Unsupported "
        "model version: 4.0`); YAML and TOML are those of 1.6; give deploy.py `--mode "
        "QUANTCOMPILE`. Devices are named metis-0-1-0 instead of metis-0:1:0.",
    ),
}


def copy_commands(name: str) -> list[str]:
    """Put the bundle where every release looks for it."""
    return [f"mkdir -p customers/{name}", f"cp -r BUNDLE/. customers/{name}/"]


def deploy_command(name: str, calibration: int, mode: str = "QUANTCOMPILE") -> str:
    """The call of deploy.py; it takes the YAML's path in every release."""
    return (
        f"./deploy.py customers/{name}/{name}.yaml --data-root customers "
        f"--num-cal-images {calibration} --mode {mode}"
    )


def commands(name: str, calibration: int, profile: str, cores: int) -> dict[str, list[str]]:
    """The SDK's commands by what they are for, in order.

    Args:
        name: of the network, which 1.2.5 calls c-NAME, later releases NAME.
        calibration: pictures that there are.
        profile: of the SDK.
        cores: that one network is compiled for.
    """
    newer = PROFILES[profile].toml
    called = name if newer else f"c-{name}"
    infer = f"./inference.py {called} dataset --data-root customers --no-display"
    deploy = deploy_command(name, calibration)
    if not newer and cores > 1:
        deploy += f" --aipu-cores {cores}"
    quantise = [deploy_command(name, calibration, "QUANTIZE")]
    quantise += [] if newer else [f"{infer} --pipe=quantized"]
    together = cores if MOST_CORES % cores else MOST_CORES
    video = (
        f"./inference.py {called} media/VIDEO.mp4 --no-display --aipu-cores={together} "
        "--show-host-fps --show-stream-timing"
    )
    return {
        "deploy": [*copy_commands(name), deploy],
        "quantise": quantise,
        "measure": [
            f"{infer} --pipe=torch", f"{infer} --pipe=torch-aipu --aipu-cores={cores}", infer,
            video,
        ],
    }  # fmt: skip


def axcompile_command(name: str, card: Card) -> str:
    """The call of the compiler's own command, which reads no YAML."""
    place = f"customers/{name}"
    return " ".join(
        [
            f"axcompile -i {place}/model.onnx --input-shape 1,3,{card.size},{card.size}",
            f"--imageset {place}/repr --transform {place}/preprocess.py --color-format RGB",
            "--imreader-backend PIL --conf DIR/default_conf.json -o OUT",
        ]
    )


def section(name: str, card: Card, calibration: int, profile: str, deployment: Deployment) -> str:
    """What DEPLOY.md says of one release."""
    facts = PROFILES[profile]
    told = commands(name, calibration, profile, deployment.cores)
    words = {key: "\n".join(lines) for key, lines in told.items()}
    said = compiler_settings.settings(deployment.chosen, deployment.cores)
    values = [f"{key} {value}" for key, value in said.items()]
    words |= {"name": name, "profile": profile, "driver": facts.driver, "least": facts.least}
    words["axcompile"] = axcompile_command(name, card)
    template = "deploy_toml.md" if facts.toml else "deploy_inline.md"
    if facts.toml:
        words["driver_note"], words["again"] = NOTES[profile]
        words["settings"] = ", ".join(values)
    elif "1.6" in deployment.profiles:
        words["settings"] = DEFAULTS
    else:
        words["settings"] = (
            f"Scheme and cores stand in the YAML (ptq_scheme {deployment.chosen}, "
            f"max_compiler_cores {deployment.cores})."
        )
    return (HERE / template).read_text(encoding="utf-8").format(**words)


def write(
    folder: Path, name: str, card: Card, calibration: int, levels: Mapping[str, Any],
    deployment: Deployment,
) -> list[str]:  # fmt: skip
    """DEPLOY.md of a bundle; the commands for the newest release, in order, for the log.

    Args:
        folder: of the bundle.
        name: of the network.
        card: of the network.
        calibration: pictures that there are for it.
        levels: range of its pictures, limits and levels per band, as readback.json has them.
        deployment: what the bundle is for.
    """
    ends = (f"{band} {low:.8g} … {high:.8g}" for band, (low, high) in levels["limits"].items())
    ranges = [f"{PROFILES[p].least} to below {PROFILES[p].below}" for p in deployment.profiles]
    files = pictures.list_pictures(folder / "repr")
    words = {
        "name": name,
        "bands": ", ".join(card.bands),
        "limits": ", ".join(ends),
        "range": levels["range"],
        "levels": ", ".join(f"{band} {count}" for band, count in levels["levels"].items()),
        "releases": ", ".join(ranges),
        "trained": f"The network was trained with mean and std of at most {count_decimals(card)} "
        f"decimals; the YAML has {deployment.decimals}, which the SDK keeps.",
        "order": "; ".join(ORDER[p] for p in reversed(deployment.profiles)),
        "seen": "; ".join(pictures.describe_prefixes(files, len(card.classes))),
        "sections": "\n".join(
            section(name, card, calibration, profile, deployment)
            for profile in reversed(deployment.profiles)
        ),
    }
    text = (HERE / "deploy.md").read_text(encoding="utf-8").format(**words)
    (folder / "DEPLOY.md").write_text(text, encoding="utf-8")
    told = commands(name, calibration, deployment.profiles[-1], deployment.cores)
    return [*told["deploy"], *told["measure"]]

"""What the compiler is told, in the two forms that releases of the SDK read.

Releases from 1.6 on read a TOML file of flat keys that the YAML names; 1.2.5 reads nested entries
of the YAML, which the later ones do not know.
"""

from typing import Any

from stages.voyager.settings import PROFILES, Deployment

QUARTER = 0.25  # of the memory on the chip goes with each core: the SDK takes multiples of it


def needs_toml(profiles: tuple[str, ...]) -> bool:
    """Whether any of these profiles reads its settings from a TOML file."""
    return any(PROFILES[name].toml for name in profiles)


def settings(scheme: str, cores: int) -> dict[str, Any]:
    """Scheme, cores and their share of the memory, by the flat names of SDK 1.6 and later."""
    return {
        "quantization_scheme": scheme,
        "aipu_cores_used": cores,
        "resources_used": QUARTER * cores,
    }


def extra_kwargs(name: str, deployment: Deployment) -> dict[str, Any]:
    """The entry of the YAML that tells the compiler's settings or where they stand.

    A bare file name: it is looked for beside the YAML, and no variable in it would be replaced.
    """
    if needs_toml(deployment.profiles):
        return {"compiler_config_file": f"{name}.toml"}
    nested = {"quantization_config": {"ptq_scheme": deployment.chosen}}
    return {"max_compiler_cores": deployment.cores, "compilation_config": nested}


def write_toml(name: str, deployment: Deployment) -> str:
    """NAME.toml: the flat keys, one a line."""
    lines = [f"# What the compiler of the Voyager SDK is told of {name}; {name}.yaml names this."]
    for key, value in settings(deployment.chosen, deployment.cores).items():
        lines.append(f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}")
    return "\n".join(lines) + "\n"

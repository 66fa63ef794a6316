"""The rules of all versions as a page for people: metis/README.md.

    python -m stages.export.metis_page > stages/export/metis/README.md

A test compares the file with the rules, so that none is added or changed unseen.
"""

import re

from stages.export.metis_rules import VERSIONS, Profile, Rule, load, load_file_rules

HEAD = """# What Metis' compiler takes, by release of the SDK

The rules that the lint of [export](../README.md) knows, from the files beside this page, which also
say how each violation goes away. `python -m stages.export.metis_page` wrote it, and a test compares
the two. `tests/training/test_metis_rules.py` makes an ONNX file that keeps each rule and one that
breaks it, of every operator that it is about, for every release and for opset 14 and 17.

Any file: opset {low} to {high}, IR version up to {ir}, one self-contained file, one picture of four
static dimensions as input, one output, float32, standard operators, and neither resizing nor
normalisation of the picture in front.
"""


def write() -> str:
    """The page: sources and operators of each version, all rules, and what cannot be checked."""
    said = load_file_rules()
    low, high = said["opsets"]
    profiles = {version: load(version) for version in VERSIONS}
    parts = [HEAD.format(low=low, high=high, ir=said["ir_version"])]
    parts += [describe(version, profile) for version, profile in profiles.items()]
    parts.append(rule_table(profiles))
    unchecked = [f"- Any release: {text}" for text in said["unchecked"]]
    unchecked += [f"- SDK {v}: {text}" for v, of in profiles.items() for text in of.unchecked]
    return "\n".join([*parts, "## What no look at a file can tell", "", *unchecked, ""])


def describe(version: str, profile: Profile) -> str:
    """What one version lists, where that stands, and what becomes of the rest."""
    later = {name: opset for name, opset in profile.operators.items() if opset > 14}
    names = [f"{name} (from opset {later[name]})" if name in later else name
             for name in sorted(profile.operators)]  # fmt: skip
    tests = sum(2 * len(rule.operators) for rule in profile.rules.values())
    rest = {"refused": "is refused", "host": "runs on the host"}[profile.unlisted[0]]
    counts = f"{len(names)} operators, {len(profile.rules)} rules"
    return "\n".join((
        f"## SDK {version}", "",
        f"{counts}, {tests} ONNX files in the tests for each opset.",
        f"What is not listed, or breaks a rule, {rest}.", "",
        f"Operators: {', '.join(names)}.", "", f"Read from {'; '.join(profile.documents)}.", "",
    ))  # fmt: skip


def rule_table(profiles: dict[str, Profile]) -> str:
    """A line for each rule; versions that word one alike share it."""
    lines: dict[tuple[str, str, str], list[str]] = {}
    for version, profile in profiles.items():
        for name, rule in profile.rules.items():
            key = name, ", ".join(rule.operators), expected(rule)
            lines.setdefault(key, []).append(version)
    rows = [
        f"| {name} | {operators} | {text} | {', '.join(versions)} |"
        for (name, operators, text), versions in sorted(lines.items(), key=lambda line: line[0][1])
    ]
    head = ["## Rules", "", "| rule | operators | what is expected | SDK |", "|---|---|---|---|"]
    return "\n".join([*head, *rows, ""])


def expected(rule: Rule) -> str:
    """What a rule wants, of the message for a node that breaks it."""
    wanted = rule.message.rpartition("expected ")[2]
    text = re.sub(r"\{([^{}:]+)(?::[^{}]+)?\}", r"the node's \1", wanted)
    text = re.sub("^a product", "no product", text)
    return f"{rule.attribute}: {text}".replace("|", r"\|")


if __name__ == "__main__":
    print(write(), end="")

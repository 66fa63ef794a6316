"""How what a network takes gets to Metis: as a picture by the SDK's YAML, or as tensors.

The YAML's `input_color_format` knows pictures of one, three and four channels; the first input is
the only one that it feeds. Tensors go in through `axelera.runtime`, whose `run` takes a list of
arrays (docs/reference/apis/axruntime-py.md, 739ce450).
"""

COLOURS = {1: "GRAY", 3: "RGB or BGR", 4: "RGBA or BGRA"}
TENSORS = "go in as tensors through axelera.runtime alone"


def is_picture(channels: int | None, inputs: int = 1) -> bool:
    """Whether the SDK's picture path feeds such a network."""
    return inputs == 1 and channels in COLOURS


def describe_input(channels: int | None, inputs: int = 1) -> str:
    """One sentence on how a network's input gets to Metis.

    Args:
        channels: of the picture, None where it is none.
        inputs: how many the network has.
    """
    if inputs != 1:
        return (
            f"{inputs} inputs: the SDK's picture path feeds one picture of 1, 3 or 4 channels; "
            f"several inputs {TENSORS}, if the compiler takes them"
        )
    if channels in COLOURS:
        return f"{channels} channels: the SDK's picture path feeds them as {COLOURS[channels]}"
    what = "no picture" if channels is None else f"{channels} channels"
    return f"{what}: the SDK's picture path feeds 1, 3 or 4 channels; others {TENSORS}"

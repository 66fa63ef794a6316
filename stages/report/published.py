"""Figures of others, to stand beside ours; each in a column of its own, never mixed in.

Source: Rambaldi 2025 (thesis), trained on So2Sat LCZ42 version 2 (352,366 patches) and tested on
its test split (24,188 patches); overall accuracy in percent. It reports none for what is missing:
neither for the rest of DenseNet201, nor for any fusion, nor for both architectures together.
"""

SET = "So2Sat LCZ42 version 2, test split"
ROWS = 24_188
NONE = "–"

# (architecture, mode) to overall accuracy; "all" is the sum rule over the three modes.
TEACHERS = {
    ("resnet18", "rand"): "71.23",
    ("resnet18", "randrgb"): "70.20",
    ("resnet18", "sar"): "72.42",
    ("resnet18", "all"): "73.22",
    ("densenet201", "rand"): "72.59",
    ("densenet201", "randrgb"): "72.21",
}
STUDENTS = {"resnet18": "68.45 / 63.84"}  # two places of the thesis, two figures

# Mean and standard deviation per band of the training split, scaled to 0 … 255.
BANDS = {
    "B2": (11.271, 3.605),
    "B3": (9.952, 4.351),
    "B4": (9.206, 6.044),
    "B5": (10.404, 5.791),
    "B6": (14.505, 7.053),
    "B7": (16.527, 8.289),
    "B8": (15.899, 8.395),
    "B8A": (17.760, 9.257),
    "B11": (14.051, 9.100),
    "B12": (9.931, 7.997),
}


def teacher(architecture: str, mode: str) -> str:
    """Overall accuracy in percent of a teacher ensemble, or of the three modes ("all")."""
    return TEACHERS.get((architecture, mode), NONE)


def student(architecture: str) -> str:
    """Overall accuracy in percent of a student, as often as it is stated."""
    return STUDENTS.get(architecture, NONE)

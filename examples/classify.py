"""Classify patches: python examples/classify.py data/demo/distill/student-separable testing.h5."""

import sys
from pathlib import Path

import onnxruntime

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folder with shared/
from shared import models, patches

folder, file = Path(sys.argv[1]), Path(sys.argv[2])
card = models.load(folder)[0]  # bands, mean, std, input size and classes of the first network
network = onnxruntime.InferenceSession(folder / card.file)
name = network.get_inputs()[0].name
with patches.read(file, "label") as source:
    for row, label in enumerate(source.labels(slice(0, 10))):
        values = models.read_scaled(source, card.bands, slice(row, row + 1))  # (1, H, W, C)
        (logits,) = network.run(None, {name: models.preprocess(values, card)})  # (1, K)
        predicted, labelled = card.classes[logits[0].argmax()], source.classes[label]
        print(f"row {row}: predicted {predicted}, labelled {labelled}")

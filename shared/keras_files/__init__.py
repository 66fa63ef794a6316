"""Classifiers that Keras saved (HDF5), read without Keras and made ONNX. Needs onnx.

The family is the ResNet v2 of Keras' CIFAR example, of any depth, channels and classes: So2Sat's
published ResNet20 is one. `read` takes files of weights alone and whole models.
"""

from shared.keras_files.cards import describe, fit_card
from shared.keras_files.graph import to_onnx
from shared.keras_files.layers import is_hdf5
from shared.keras_files.network import Network, read

__all__ = ["Network", "describe", "fit_card", "is_hdf5", "read", "to_onnx"]

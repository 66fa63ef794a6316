"""Parameters and MACs, against numbers counted by hand and published ones."""

import pytest
import torch
from torch import nn

from shared.training import networks
from shared.training.records import cost


def test_linear_by_hand() -> None:
    network = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, 3))
    counted = cost.count_cost(network, {"tda": torch.zeros(4, 5)})
    assert counted == (5 * 7 + 7 + 7 + 7 + 7 * 3 + 3, 5 * 7 + 7 * 3)


@pytest.mark.parametrize("rows", [1, 8])
def test_convolution_by_hand(rows: int) -> None:
    network = nn.Conv2d(6, 4, 3, stride=2, padding=1, groups=2)  # 11 x 9 pixels to 6 x 5
    counted = cost.count_cost(network, {"image": torch.zeros(rows, 6, 11, 9)})
    assert counted == (4 * 3 * 3 * 3 + 4, 6 * 5 * 4 * 3 * 3 * 3)


class Two(nn.Module):
    """Two branches, the second input used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.tda = nn.Conv2d(3, 2, 1, bias=False), nn.Linear(4, 2, bias=False)

    def forward(self, image: torch.Tensor, tda: torch.Tensor) -> torch.Tensor:
        return self.image(image).mean((2, 3)) + self.tda(tda) + self.tda(tda)


def test_two_inputs_and_a_layer_used_twice() -> None:
    network = Two().train()
    network.tda.eval()
    inputs = {"image": torch.zeros(2, 3, 8, 8), "tda": torch.zeros(2, 4)}
    assert cost.count_cost(network, inputs) == (6 + 8, 8 * 8 * 6 + 2 * 8)
    assert (network.training, network.image.training, network.tda.training) == (True, True, False)


def test_resnet18_is_as_large_as_published() -> None:
    """He et al. 2016 give 1.8 G MACs at 224 x 224 and 1000 classes; 17 classes take 0.5 M off."""
    parameters, macs = cost.count_cost(
        networks.build("resnet18", 3, 17), {"input": torch.zeros(1, 3, 224, 224)}
    )
    assert parameters == 11_185_233
    assert macs == 1_814_073_344 - 512 * (1000 - 17)


def test_what_another_runtime_computes_is_not_counted() -> None:
    assert cost.count_cost(nn.Identity(), {"image": torch.zeros(1, 3, 8, 8)}) == (0, 0)

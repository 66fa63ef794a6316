"""Losses of masks: against torch's own and by hand, without ignored pixels, added up over parts.

Run with the environment of `segment`.
"""

import math
from typing import get_args

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.nn.functional import cross_entropy, kl_div

from shared.segmentation import losses, objective
from shared.segmentation.learner import count_pairs
from shared.tiles import IGNORE

WEIGHTS = torch.tensor([0.5, 1.5, 0.7])
KINDS = get_args(losses.Kind)


def example(rows: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    """(N, 3, 6, 7) logits that want a gradient, (N, 6, 7) masks with a fifth of no class."""
    torch.manual_seed(seed)
    masks = torch.randint(0, 3, (rows, 6, 7), dtype=torch.uint8)
    masks[torch.rand(masks.shape) < 0.2] = IGNORE
    return torch.randn(rows, 3, 6, 7, requires_grad=True), masks


def mean(loss: losses.MaskLoss, logits: Tensor, masks: Tensor) -> Tensor:
    return loss.add_up(logits, masks) / loss.weigh(masks)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_torchs(smoothing: float) -> None:
    logits, masks = example()
    ours = mean(losses.MaskLoss(WEIGHTS, "ce", smoothing), logits, masks)
    expected = cross_entropy(
        logits, masks.long(), WEIGHTS, ignore_index=IGNORE, label_smoothing=smoothing
    )
    torch.testing.assert_close(ours, expected)


def test_focal_loss_by_hand() -> None:
    """Two pixels of weights 0.5 and 1.5, right with probabilities 3/4 and 1/4."""
    logits = torch.zeros(1, 3, 1, 3)
    logits[0, :, 0, 0] = torch.tensor([3.0, 0.5, 0.5]).log()
    logits[0, :, 0, 1] = torch.tensor([2.0, 1.0, 1.0]).log()
    masks = torch.tensor([[[0, 1, IGNORE]]])
    right = (0.75, 0.25)
    terms = [w * (1 - p) ** 2 * -math.log(p) for w, p in zip(WEIGHTS.tolist(), right, strict=False)]
    focal = mean(losses.MaskLoss(WEIGHTS, "focal", gamma=2.0), logits, masks)
    assert focal.item() == pytest.approx(sum(terms) / 2.0)
    plain = losses.MaskLoss(WEIGHTS, "focal", gamma=0.0)
    torch.testing.assert_close(
        mean(plain, logits, masks), mean(losses.MaskLoss(WEIGHTS), logits, masks)
    )


def test_dice_by_hand() -> None:
    """Sure of class 0 in all four pixels, of which one has class 0, two class 1 and one none."""
    logits = torch.tensor([60.0, 0.0, 0.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    masks = torch.tensor([[[0, 1], [1, IGNORE]]])
    first, second = 1 - (2 * 1 + 1) / (3 + 1 + 1), 1 - 1 / (0 + 2 + 1)
    expected = (0.5 * first + 1.5 * second) / 2.0  # the picture has no class 2
    loss = losses.MaskLoss(WEIGHTS, "dice")
    assert mean(loss, logits, masks).item() == pytest.approx(expected)
    assert loss.weigh(torch.cat([masks, torch.full_like(masks, IGNORE)])) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_without_a_class_never_count(kind: losses.Kind) -> None:
    loss, (logits, masks) = losses.MaskLoss(WEIGHTS, kind), example()
    value = mean(loss, logits, masks)
    value.backward()
    ignored = (masks == IGNORE)[:, None].expand_as(logits)
    assert logits.grad is not None
    assert not logits.grad[ignored].any()
    assert logits.grad[~ignored].any()
    other = logits.detach().clone()
    other[ignored] = 1000 * torch.randn(int(ignored.sum()))
    torch.testing.assert_close(mean(loss, other, masks), value.detach())
    pairs = count_pairs(other, masks)
    assert pairs.sum() == (masks != IGNORE).sum()
    assert torch.equal(pairs, count_pairs(logits.detach(), masks))


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_without_a_pixel_that_counts_has_no_loss(kind: losses.Kind) -> None:
    logits, masks = example()
    batch = {"image": logits, "mask": torch.full_like(masks, IGNORE)}
    value = objective.Objective(losses.MaskLoss(WEIGHTS, kind))(logits, batch)
    value.backward()
    assert value == 0
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("kind", KINDS)
def test_parts_of_a_step_add_up_to_it(kind: losses.Kind) -> None:
    """With a teacher, and parts of other numbers of pixels without a class."""
    teacher = torch.nn.Conv2d(3, 3, 1).requires_grad_(False)
    whole = objective.Objective(losses.MaskLoss(WEIGHTS, kind), teacher, 0.4, 2.0)
    logits, masks = example(5)
    masks[0, :4] = IGNORE
    batch = {"image": torch.randn(5, 3, 6, 7), "mask": masks}
    at_once = whole(logits, batch)
    (expected,) = torch.autograd.grad(at_once, logits)
    divisors, parts, total = whole.weigh(batch), (slice(0, 2), slice(2, 5)), 0.0
    again = logits.detach().clone().requires_grad_()
    for part in parts:
        share = whole.add_up(again[part], {n: of[part] for n, of in batch.items()}, divisors)
        share.backward()
        total += share.item()
    assert total == pytest.approx(at_once.item())
    assert again.grad is not None
    torch.testing.assert_close(again.grad, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_classes_follow_the_masks_to_a_gpu(kind: losses.Kind) -> None:
    """Tensors without content, which refuse to meet those of another device as on a real GPU."""
    loss = losses.MaskLoss(WEIGHTS, kind)
    with FakeTensorMode(allow_non_fake_inputs=True, shape_env=ShapeEnv()):
        logits = torch.empty(2, 3, 6, 7, device="cuda")
        masks = torch.empty(2, 6, 7, dtype=torch.uint8, device="cuda")
        assert loss.weigh(masks).device.type == "cuda"
        assert loss.add_up(logits, masks).device.type == "cuda"


def test_divergence_is_torchs_of_softened_maps() -> None:
    logits, masks = example()
    taught = torch.randn_like(logits)
    known = masks != IGNORE
    student, teacher = (of.permute(0, 2, 3, 1)[known] / 3 for of in (logits, taught))
    expected = 9 * kl_div(
        student.log_softmax(1), teacher.log_softmax(1), reduction="sum", log_target=True
    )
    torch.testing.assert_close(losses.add_up_divergence(logits, taught, masks, 3.0), expected)
    assert losses.add_up_divergence(taught, taught, masks, 3.0).item() == pytest.approx(0, abs=1e-5)


def test_pairs_are_true_class_by_predicted_class() -> None:
    logits = torch.zeros(1, 3, 1, 4)
    for column, said in enumerate((2, 2, 0, 1)):
        logits[0, said, 0, column] = 1
    masks = torch.tensor([[[0, 2, 0, IGNORE]]], dtype=torch.uint8)
    assert count_pairs(logits, masks).tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 1]]

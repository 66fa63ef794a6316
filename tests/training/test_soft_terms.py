"""The soft terms of distill: by numpy in double precision, at the extremes, in two processes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from shared.errors import StageError
from stages.distill import loss, soft_terms
from stages.distill.teaching import Loss, Matching
from tests.training import soft_processes
from tests.training.test_distributed import run

RNG = np.random.default_rng(4)
OURS, THEIRS, LABEL = (
    RNG.normal(0, 2, (6, 5)),
    RNG.normal(0, 3, (6, 5)),
    np.array([0, 3, 4, 3, 1, 1]),
)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    return powers / powers.sum(-1, keepdims=True)


def tensors(*arrays: np.ndarray) -> list[Tensor]:
    return [torch.from_numpy(np.asarray(of)) for of in arrays]


def dist_by_numpy(temperature: float, inter: float, intra: float) -> float:
    """`corrcoef` row by row, then column by column."""
    p, q = softmax(OURS / temperature), softmax(THEIRS / temperature)
    rows = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(p, q, strict=True)])
    columns = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(p.T, q.T, strict=True)])
    return temperature**2 * (inter * (1 - rows) + intra * (1 - columns))


def dkd_by_numpy(temperature: float, target: float, others: float) -> float:
    """Row by row, with probabilities instead of their logarithms."""
    total = 0.0
    for ours, theirs, label in zip(OURS / temperature, THEIRS / temperature, LABEL, strict=True):
        p, q = softmax(theirs)[label], softmax(ours)[label]
        total += target * (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)))
        p, q = softmax(np.delete(theirs, label)), softmax(np.delete(ours, label))
        total += others * (p * np.log(p / q)).sum()
    return temperature**2 * total / len(LABEL)


def kd_by_numpy(temperature: float) -> float:
    p, q = softmax(THEIRS / temperature), softmax(OURS / temperature)
    return temperature**2 * (p * np.log(p / q)).sum() / len(LABEL)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_terms_by_numpy(temperature: float) -> None:
    given = (*tensors(OURS, THEIRS, LABEL), temperature)
    assert soft_terms.hinton(*given).item() == pytest.approx(kd_by_numpy(temperature), rel=1e-12)
    said = soft_terms.correlate(*given, inter=0.5, intra=3.0).item()
    assert said == pytest.approx(dist_by_numpy(temperature, 0.5, 3.0), rel=1e-5)
    said = soft_terms.decouple(*given, target=2.0, others=5.0).item()
    assert said == pytest.approx(dkd_by_numpy(temperature, 2.0, 5.0), rel=1e-12)


def test_dkd_with_the_weights_of_the_teacher_is_kd() -> None:
    """Zhao et al.: KL = that of the label + (1 - p_label) · that among the others, row by row."""
    row, label = slice(2, 3), LABEL[2:3]
    given = (*tensors(OURS[row], THEIRS[row], label), 1.0)
    rest = 1 - softmax(THEIRS[2])[label[0]]
    whole = soft_terms.decouple(*given, target=1.0, others=rest)
    assert whole.item() == pytest.approx(soft_terms.hinton(*given).item(), rel=1e-12)


def test_correlations_do_not_see_what_is_scaled_and_moved() -> None:
    """Probabilities 0.1 + p / 2 correlate perfectly with p, over classes and over rows."""
    p = softmax(THEIRS)
    ours, theirs, label = tensors(np.log(0.1 + p / 2), np.log(p), LABEL)
    assert soft_terms.correlate(ours, theirs, label, 1.0).item() == pytest.approx(0, abs=1e-5)
    assert soft_terms.hinton(ours, theirs, label, 1.0).item() > 0.1


def test_standardised_logits_by_hand() -> None:
    """1, 2, 3, 6 have mean 3 and, with 1/4, deviation √3.5; equal logits are all 0."""
    rows = torch.tensor([[1.0, 2.0, 3.0, 6.0], [5.0, 5.0, 5.0, 5.0]], dtype=torch.float64)
    expected = [[-2 / 3.5**0.5, -1 / 3.5**0.5, 0, 3 / 3.5**0.5], [0, 0, 0, 0]]
    np.testing.assert_allclose(soft_terms.standardise(rows), expected, atol=1e-12)


LOSSES: tuple[Loss, ...] = ("kd", "dist", "dkd")
TERMS = {name: Matching(loss=name) for name in LOSSES} | {
    f"{name}, standardised": Matching(loss=name, standardise=True) for name in LOSSES
}


@pytest.mark.parametrize("matching", TERMS.values(), ids=TERMS)
@pytest.mark.parametrize("size", [0.0, 1e-6, 1e4, 1e8])
def test_extremes_are_finite(matching: Matching, size: float) -> None:
    """Certain, undecided and contrary teachers in single precision, and a batch of one row."""
    term = loss.choose_term(matching)
    theirs = torch.eye(5)[[0, 3, 2, 3, 3, 1]] * size
    for rows in (slice(None), slice(2, 3)):
        for ours in (theirs, -theirs, theirs.roll(1, 1), torch.zeros_like(theirs)):
            student = ours[rows].clone().requires_grad_()
            value = term(student, theirs[rows], torch.from_numpy(LABEL)[rows], 4.0)
            value.backward()
            assert value.isfinite()
            assert student.grad is not None
            assert student.grad.isfinite().all()
            assert value >= -1e-3 * max(1.0, value.abs().item())


@pytest.mark.parametrize("matching", TERMS.values(), ids=TERMS)
def test_steps_against_the_gradient_bring_the_student_to_the_teacher(matching: Matching) -> None:
    term = loss.choose_term(matching)
    student = nn.Parameter(torch.from_numpy(OURS).float())
    theirs, label = (of.float() if of.is_floating_point() else of for of in tensors(THEIRS, LABEL))
    optimiser = torch.optim.Adam([student], 0.05)
    first = term(student, theirs, label, 2.0).item()
    for _ in range(300):
        optimiser.zero_grad()
        value = term(student, theirs, label, 2.0)
        value.backward()
        optimiser.step()
    assert value.item() < 0.05 * first


def test_the_loss_takes_the_term_and_its_weights() -> None:
    rows = {"label": torch.from_numpy(LABEL), "teacher": torch.from_numpy(THEIRS)}
    ours = torch.from_numpy(OURS)
    hard = -np.log(softmax(OURS)[np.arange(6), LABEL]).mean()
    for matching, soft in (
        (Matching(), kd_by_numpy(2.0)),
        (Matching(loss="dist", dist_inter=2.0, dist_intra=0.5), dist_by_numpy(2.0, 2.0, 0.5)),
        (Matching(loss="dkd", dkd_target=3.0, dkd_others=0.25), dkd_by_numpy(2.0, 3.0, 0.25)),
    ):
        said = loss.hard_and_soft(0.4, 2.0, term=loss.choose_term(matching))(ours, rows)
        assert said.item() == pytest.approx(0.4 * hard + 0.6 * soft, rel=1e-5)
    alike = {"label": rows["label"], "teacher": ours * 3 + 1}  # the same once both are standardised
    same = loss.hard_and_soft(0.0, 2.0, term=loss.choose_term(Matching(standardise=True)))
    assert same(ours, alike).item() == pytest.approx(0, abs=1e-12)


def test_half_precision_is_widened() -> None:
    rows = {"label": torch.from_numpy(LABEL), "teacher": torch.from_numpy(THEIRS).float()}
    term = loss.choose_term(Matching(loss="dist"))
    half = torch.from_numpy(OURS).bfloat16()
    said = loss.hard_and_soft(0.0, 1.0, term=term)(half, rows)
    assert said.item() == loss.hard_and_soft(0.0, 1.0, term=term)(half.float(), rows).item()


@pytest.mark.parametrize(
    ("matching", "message"),
    [
        (Matching(dist_inter=2.0), "--dist_inter: a weight of --loss=dist, found --loss=kd"),
        (Matching(loss="dist", dkd_others=1.0), "--dkd_others: a weight of --loss=dkd, found"),
    ],
)
def test_weights_of_another_loss_are_refused(matching: Matching, message: str) -> None:
    with pytest.raises(StageError) as caught:
        matching.check()
    assert message in str(caught.value)
    Matching(loss="dkd", dkd_others=1.0).check()


def test_two_processes_have_the_loss_and_the_gradient_of_all_rows(tmp_path: Path) -> None:
    """7 rows in parts of 3 and 4: correlations over rows are of all seven."""
    soft_processes.main(tmp_path)
    whole = torch.load(tmp_path / "rank-0.pt", weights_only=True)
    parted = tmp_path / "parted"
    parted.mkdir()
    run(2, "-m", "tests.training.soft_processes", str(parted))
    for rank in (0, 1):
        part = torch.load(parted / f"rank-{rank}.pt", weights_only=True)
        for name, (weights, losses) in whole.items():
            torch.testing.assert_close(part[name][0], weights, atol=2e-6, rtol=0)
            assert part[name][1] == pytest.approx(losses, rel=1e-5)

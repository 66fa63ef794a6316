"""What the student is to take from the teacher's logits: three soft terms, and standardised logits.

Each is a function of (N, K) logits of both sides, (N,) labels and the temperature T to a mean, and
carries the factor T² that keeps its gradients in size when T is changed.

- `hinton`: Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network".
- `correlate`: Huang et al. 2022, "Knowledge distillation from a stronger teacher" (DIST). Weights
  1 and 1 are those of the authors' loss, at T 1 for ImageNet; for CIFAR they take T 4.
- `decouple`: Zhao et al. 2022, "Decoupled knowledge distillation" (DKD). Weights 1 and 8 at T 4 are
  the authors' for CIFAR. They begin with 20 of 240 epochs in which the term grows. That is left
  out: here a loss depends on its batch alone, so that a run that was killed needs nothing else to
  go on, and AdamW at a small rate does not need it as their rate of 0.05 did.
- `standardise`: Sun et al. 2024, "Logit standardization in knowledge distillation".
"""

from collections.abc import Callable

import torch
import torch.distributed
from torch import Tensor
from torch.distributed.nn.functional import all_reduce
from torch.nn.functional import kl_div, log_softmax, one_hot

SoftTerm = Callable[[Tensor, Tensor, Tensor, float], Tensor]
LEAST = 1e-8  # of a product of deviations; below it there is no correlation


def hinton(student: Tensor, teacher: Tensor, _: Tensor, temperature: float) -> Tensor:
    """T² · KL(teacher_T ‖ student_T), mean over rows; the labels do not matter."""
    ours = log_softmax(student / temperature, 1)
    theirs = log_softmax(teacher / temperature, 1)
    return temperature**2 * _divergence(ours, theirs)


def correlate(
    student: Tensor, teacher: Tensor, _: Tensor, temperature: float,
    *, inter: float = 1.0, intra: float = 1.0,
) -> Tensor:  # fmt: skip
    """T² · (inter · (1 - r over classes) + intra · (1 - r over rows)) of softened probabilities.

    r is Pearson's correlation of teacher and student: over the classes of a row, mean over rows;
    and over the rows of a class, mean over classes. Where one side does not vary, r counts as 0.
    Several processes take the second one over their rows together.

    Args:
        student: (N, K) logits.
        teacher: (N, K) logits.
        _: labels, which do not matter.
        temperature: T.
        inter: weight of the correlation over classes.
        intra: weight of the correlation over rows.
    """
    ours, theirs = (student / temperature).softmax(1), (teacher / temperature).softmax(1)
    apart = [of - of.mean(1, keepdim=True) for of in (ours, theirs)]
    rows = _correlation((apart[0] * apart[1]).sum(1), *((of**2).sum(1) for of in apart))
    count = _add_up(ours.new_full((1,), len(ours)))
    apart = [of - _add_up(of.sum(0)) / count for of in (ours, theirs)]
    products = (apart[0] * apart[1], *(of**2 for of in apart))
    classes = _correlation(*(_add_up(of.sum(0)) for of in products))
    return temperature**2 * (inter * (1 - rows.mean()) + intra * (1 - classes.mean()))


def _correlation(product: Tensor, ours: Tensor, theirs: Tensor) -> Tensor:
    """Pearson's, from sums of products and of squares of what is apart from the mean."""
    deviations = [of.clamp_min(LEAST**2).sqrt() for of in (ours, theirs)]
    return product / (deviations[0] * deviations[1] + LEAST)


def _add_up(values: Tensor) -> Tensor:
    """Their sum over all processes, through which gradients go back to each of them.

    Every process then has the loss of all rows, and the mean of the processes' gradients, which the
    engine takes, is the gradient of that loss.
    """
    there = torch.distributed.is_available() and torch.distributed.is_initialized()
    total: Tensor = all_reduce(values) if there else values
    return total


def decouple(
    student: Tensor, teacher: Tensor, label: Tensor, temperature: float,
    *, target: float = 1.0, others: float = 8.0,
) -> Tensor:  # fmt: skip
    """T² · (target · KL of "the label or not" + others · KL among the other classes), mean of rows.

    Args:
        student: (N, K) logits, K > 1.
        teacher: (N, K) logits.
        label: (N,) class numbers.
        temperature: T.
        target: weight of how sure the teacher is of the label.
        others: weight of what it says of the classes that are not the label.
    """
    ours, theirs = (_part(of / temperature, label) for of in (student, teacher))
    terms = [_divergence(one, other) for one, other in zip(ours, theirs, strict=True)]
    return temperature**2 * (target * terms[0] + others * terms[1])


def _part(logits: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """(N, 2) log-probabilities of the label and of not it; (N, K - 1) of the others among them."""
    known = one_hot(label, logits.shape[1]).bool()
    rest = logits[~known].view(len(logits), -1)
    pair = torch.stack([logits[known], rest.logsumexp(1)], 1)
    return log_softmax(pair, 1), log_softmax(rest, 1)


def _divergence(ours: Tensor, theirs: Tensor) -> Tensor:
    """KL(theirs ‖ ours) of log-probabilities, mean over rows."""
    return kl_div(ours, theirs, reduction="batchmean", log_target=True)


def standardise(logits: Tensor) -> Tensor:
    """Each row of (N, K) logits with mean 0 and deviation 1 (of K, not K - 1) over its classes.

    So that the student need not reach the size of the teacher's logits, only their relations.
    """
    apart = logits - logits.mean(1, keepdim=True)
    return apart / (apart**2).mean(1, keepdim=True).clamp_min(LEAST**2).sqrt()

"""The loss of a student: labels and a soft term, with alpha on the labels."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from shared.training.data import Batch, mixing, over_labels
from shared.training.loop import Loss
from stages.distill import soft_terms
from stages.distill.soft_terms import SoftTerm
from stages.distill.teaching import Matching

TeacherLogits = Callable[[Batch], Tensor]


def read_cached(rows: Batch) -> Tensor:
    """(N, K) logits that the teacher gave of the plain view of these rows."""
    return rows["teacher"]


def choose_term(matching: Matching) -> SoftTerm:
    """The soft term that the flags name, with its weights."""
    terms: dict[str, SoftTerm] = {
        "kd": soft_terms.hinton,
        "dist": partial(
            soft_terms.correlate, inter=matching.dist_inter, intra=matching.dist_intra
        ),
        "dkd": partial(
            soft_terms.decouple, target=matching.dkd_target, others=matching.dkd_others
        ),
    }  # fmt: skip
    term = terms[matching.loss]
    if not matching.standardise:
        return term

    def standardised(student: Tensor, teacher: Tensor, label: Tensor, temperature: float) -> Tensor:
        sides = soft_terms.standardise(student), soft_terms.standardise(teacher)
        return term(*sides, label, temperature)

    return standardised


def hard_and_soft(
    alpha: float,
    temperature: float,
    teacher: TeacherLogits = read_cached,
    term: SoftTerm = soft_terms.hinton,
) -> Loss:
    """alpha · CE(student, label) + (1 - alpha) · soft term, mean over a batch.

    Of a mixed batch, terms of own and partner's labels count by their shares. A teacher that sees
    the batch sees the mixed pictures; of cached logits the softened probabilities are mixed.

    Args:
        alpha: weight of the *hard* term; beware, other systems put it on the soft one.
        temperature: T of both sides of the soft term.
        teacher: computes (N, K) logits of the teacher on a batch; by default it reads them from the
            batch. Not called where alpha is 1.
        term: of both logits; by default that of Hinton, T² · KL(teacher ‖ student).
    """

    def loss(logits: Tensor, rows: Batch) -> Tensor:
        hard = over_labels(lambda label: cross_entropy(logits, label), rows)
        if alpha == 1:
            return hard
        ours, theirs = (_wide(of) for of in (logits, teacher(rows)))
        if len(theirs) > len(ours):  # of own rows and partners, as they were cached
            theirs = mixing.mix_softened(theirs, rows, temperature)
        soft = over_labels(lambda label: term(ours, theirs, label, temperature), rows)
        return alpha * hard + (1 - alpha) * soft

    return loss


def _wide(logits: Tensor) -> Tensor:
    """In single precision at least: squares of small probabilities do not lie in half of it."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))

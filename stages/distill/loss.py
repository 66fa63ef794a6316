"""The distillation loss of Hinton, Vinyals and Dean 2015, with alpha on the hard term."""

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from shared.training.data import Batch
from shared.training.loop import Loss

TeacherLogits = Callable[[Batch], Tensor]


def read_cached(rows: Batch) -> Tensor:
    """(N, K) logits that the teacher gave of the plain view of these rows."""
    return rows["teacher"]


def soft(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² · KL(teacher_T ‖ student_T) of (N, K) logits, mean over rows."""
    ours = log_softmax(student / temperature, 1)
    theirs = log_softmax(teacher / temperature, 1)
    return temperature**2 * kl_div(ours, theirs, reduction="batchmean", log_target=True)


def hard_and_soft(alpha: float, temperature: float, teacher: TeacherLogits = read_cached) -> Loss:
    """alpha · CE(student, label) + (1 - alpha) · T² · KL(teacher ‖ student), mean over a batch.

    Args:
        alpha: weight of the *hard* term; beware, other systems put it on the soft one.
        temperature: T of both sides of the soft term.
        teacher: computes (N, K) logits of the teacher on a batch; by default it reads them from the
            batch. Not called where alpha is 1.
    """

    def loss(logits: Tensor, rows: Batch) -> Tensor:
        hard = cross_entropy(logits, rows["label"])
        if alpha == 1:
            return hard
        return alpha * hard + (1 - alpha) * soft(logits, teacher(rows), temperature)

    return loss

"""A second network that tells what was made from what is true, and training against it."""

from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional

from shared import sisr
from shared.training.loop import recipe as recipes
from stages.sisr_train.learner import PairLearner, Share, share_gradients, take_mean
from stages.sisr_train.objective import cut_border
from stages.sisr_train.prepared import Batch
from stages.sisr_train.settings import Adversary

REACH = 3.0  # deviations to which the kernel of a high pass reaches


class HighPass(nn.Module):
    """Images without what Sentinel-2 sees of them, band by band.

    Args:
        mtf: of each band at the Nyquist frequency of the input's pixels.
        factor: output pixels along one of them.
    """

    kernels: Tensor

    def __init__(self, mtf: tuple[float, ...], factor: int) -> None:
        super().__init__()
        spreads = [sisr.spread(each, factor) for each in mtf]
        self.reach = int(REACH * max(spreads)) + 1
        place = torch.arange(-self.reach, self.reach + 1, dtype=torch.float64)
        rows = torch.stack([torch.exp(-0.5 * (place / spread) ** 2) for spread in spreads])
        rows = rows / rows.sum(1, keepdim=True)
        kernels = torch.einsum("by,bx->byx", rows, rows)[:, None].float()
        self.register_buffer("kernels", kernels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same; what lies outside is what lies at the edge."""
        wide = functional.pad(x, (self.reach,) * 4, mode="replicate")
        return x - functional.conv2d(wide, self.kernels, groups=x.shape[1])


def blame(mode: str, made: Tensor, true: Tensor) -> Tensor:
    """() loss of the network that made images, from the logits of what it made and of true ones."""
    if mode == "wasserstein":
        return -made.mean()
    if mode == "bce":
        return functional.softplus(-made).mean()
    above, below = made - true.mean(), true - made.mean()
    return (functional.softplus(-above).mean() + functional.softplus(below).mean()) / 2


def judge(mode: str, made: Tensor, true: Tensor, smoothing: float) -> Tensor:
    """() loss of the network that judges.

    Args:
        mode: "wasserstein" (no penalty, no clipping, as torchsisr has it), "bce", or
            "relativistic": each logit relative to the mean of the other side (Jolicoeur-Martineau
            2018).
        made: logits of what was made, which should be low.
        true: logits of true images.
        smoothing: the label of true images is 1 less this.
    """
    if mode == "wasserstein":
        return made.mean() - true.mean()
    if mode == "relativistic":
        made, true = made - true.mean(), true - made.mean()
    label = torch.full_like(true, 1 - smoothing)
    right = functional.binary_cross_entropy_with_logits(true, label)
    return (right + functional.softplus(made).mean()) / 2


class AdversarialLearner(PairLearner):
    """Two networks in turn: one makes images, the other judges them.

    Args:
        judge_network: (N, C', H, W) to logits.
        high_pass: what it sees of them; None for all.
        how: the flags.
        given: as `PairLearner`.
    """

    def __init__(
        self, judge_network: nn.Module, high_pass: HighPass | None, how: Adversary, **given: Any
    ) -> None:
        super().__init__(**given)
        self.judge, self.high_pass, self.how = judge_network, high_pass, how
        self.judged = torch.zeros(2, dtype=torch.float64)

    def begin(self, fabric: Fabric, state: dict[str, Any] | None = None) -> None:
        """Both networks and optimisers."""
        super().begin(fabric, state)
        self.judge.to(fabric.device).train()
        if self.high_pass:
            self.high_pass.to(fabric.device)
        self.other = recipes.build_optimiser(self.judge, self.recipe)
        if state:
            self.other.load_state_dict(state["other"])
        for group in self.other.param_groups:
            group["lr"] = self.how.discriminator_lr
        self.judged = self.judged.to(fabric.device)

    def step(self, fabric: Fabric, batch: Batch, rows: int, step: int) -> None:
        """A step of each network, on the same batch, as soon as its turn has come."""
        done, share = self.log.steps, Share.of(fabric, len(batch["input"]), rows)
        with fabric.autocast():
            loss, made = self.objective.measure(self.network, batch)
            whole = loss
            true = self._see(batch["target"])
            if done >= self.how.generator_start:
                self.judge.requires_grad_(False)
                said = self.judge(self._see(made)), self.judge(true)
                whole = loss + self.how.adversarial_weight * blame(self.how.adversarial, *said)
                self.judge.requires_grad_(True)
        self.descend(fabric, loss, whole, share)
        if done < self.how.discriminator_start:
            return
        with fabric.autocast():
            said = self.judge(self._see(made.detach())), self.judge(true)
            wrong = judge(self.how.adversarial, *said, self.how.label_smoothing)
        self.other.zero_grad()
        wrong.backward()
        share_gradients(fabric, self.judge, share)
        self.other.step()
        self.judged += share.weigh(wrong)

    def more(self, fabric: Fabric) -> dict[str, float]:
        """The loss of the judging network."""
        return {"discriminator loss": take_mean(fabric, self.judged)}

    def state(self) -> dict[str, Any]:
        """Both networks."""
        more = {"judge": self.judge.state_dict(), "other": self.other.state_dict()}
        return super().state() | more

    def resume(self, state: dict[str, Any]) -> None:
        """Both networks of a checkpoint."""
        super().resume(state)
        self.judge.load_state_dict(state["judge"])

    def _see(self, images: Tensor) -> Tensor:
        """What the judging network sees: the inside, maybe without what Sentinel-2 sees of it."""
        seen = self.high_pass(images.float()) if self.high_pass else images
        return cut_border(seen, self.objective.border)

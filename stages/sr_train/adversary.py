"""A second network that tells restored from true patches, and training against it."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from stages.sr_train.pairs import Pairs
from stages.sr_train.training import Trainee

WIDTH = 32


def discriminator(channels: int) -> nn.Module:
    """(M, K, H, W) to (M, 1, H / 8, W / 8) logits, one for each place: how true it looks there.

    Judges places, not pictures, as PatchGAN (Isola et al. 2017), since a patch holds little more
    than texture. All convolutions but the first and the last have spectral norm 1 (Miyato et al.
    2018), as in Real-ESRGAN.
    """
    layers: list[nn.Module] = [nn.Conv2d(channels, WIDTH, 3, padding=1), nn.LeakyReLU(0.2)]
    for width in (WIDTH, 2 * WIDTH, 4 * WIDTH):
        deeper = min(2 * width, 4 * WIDTH)
        layers += [spectral_norm(nn.Conv2d(width, deeper, 4, 2, 1)), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(4 * WIDTH, 1, 3, padding=1))


def relativistic(better: torch.Tensor, worse: torch.Tensor) -> torch.Tensor:
    """Loss of logits that should be above the mean of others, which should be below theirs.

    The relativistic average loss of ESRGAN (Jolicoeur-Martineau 2018; Wang et al. 2018).
    """
    above, below = better - worse.mean(), worse - better.mean()
    return (functional.softplus(-above).mean() + functional.softplus(below).mean()) / 2


class AdversarialTrainee(Trainee):
    """Two networks in turn: one restores, the other tells what it restored from what was true.

    The first half of the steps, the restoring one learns from L1 alone, as the networks of ESRGAN
    and Real-ESRGAN begin from those trained for PSNR; the other one learns from the start.
    """

    moves = 2

    def __init__(self, network: nn.Module, pairs: Pairs, weight: float, **how: Any) -> None:
        super().__init__(network, pairs, **how)
        self.automatic_optimization = False
        self.weight, self.judge = weight, discriminator(pairs.high.shape[1])

    def training_step(self, *_: Any) -> None:
        """One step of each network, on the same batch."""
        step = self.global_step // self.moves
        low, high = self.draw(step)
        restored = self.network(low)
        loss = functional.l1_loss(restored, high)
        if step >= self.steps // 2:
            self.judge.requires_grad_(False)
            loss = loss + self.weight * relativistic(self.judge(restored), self.judge(high))
            self.judge.requires_grad_(True)
        self._move(0, loss)
        self._move(1, relativistic(self.judge(high), self.judge(restored.detach())))

    def _move(self, which: int, loss: torch.Tensor) -> None:
        optimizer, schedule = self.optimizers()[which], self.lr_schedulers()[which]
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        schedule.step()

    def configure_optimizers(self) -> Any:
        """One Adam for each of the two."""
        both = [self.optimizer(self.network), self.optimizer(self.judge)]
        return [optimizer for optimizer, _ in both], [schedule for _, schedule in both]


def make_trainee(network: nn.Module, pairs: Pairs, weight: float, **how: Any) -> Trainee:
    """What learns: against an adversary where its loss has weight, else from L1 alone."""
    return (
        AdversarialTrainee(network, pairs, weight, **how)
        if weight
        else Trainee(network, pairs, **how)
    )

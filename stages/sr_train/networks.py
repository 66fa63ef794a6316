"""Networks to train, with the parameter names of their published weights."""

import warnings

from spandrel.architectures.SwinIR import SwinIR
from torch import nn

from shared.sr.networks import edsr, rrdb, vdsr
from stages.sr_train import initialise
from stages.sr_train.methods import METHODS, Size

warnings.filterwarnings("ignore", "torch.meshgrid")  # spandrel calls it in the old way


def build(method: str, scale: int, size: Size) -> nn.Module:
    """An untrained network that starts near interpolation; its random numbers are torch's.

    Args:
        method: one of METHODS.
        scale: factor on height and width.
        size: complete, from `methods.complete_size`.

    Returns:
        (M, K, h, w) to (M, K, h * scale, w * scale), K the channels of the method.
    """
    training = METHODS[method]
    if training.network == "rrdb":
        return _rrdb(scale, size, training.channels)
    return {"vdsr": _vdsr, "edsr": _edsr, "swinir": _swinir}[training.network](scale, size)


def _vdsr(scale: int, size: Size) -> nn.Module:
    """Starts as bicubic interpolation."""
    network = vdsr.VDSR(size.width, size.depth[0], scale)
    initialise.zero(network.output)
    return network


def _edsr(scale: int, size: Size) -> nn.Module:
    network = edsr.EDSR(scale, size.width, size.depth[0], channels=1)
    initialise.pass_through(network.head[0])
    initialise.zero(network.body[-1])
    initialise.bilinear_shuffles(network.tail[0])
    initialise.pass_through(network.tail[1], noise=0.1)
    return network


def _swinir(scale: int, size: Size) -> nn.Module:
    side = -(-64 // size.window) * size.window  # spandrel wants whole windows; any other will do
    network = SwinIR(
        img_size=side, in_chans=1, embed_dim=size.width, depths=list(size.depth),
        num_heads=[size.heads] * len(size.depth), window_size=size.window, mlp_ratio=2.0,
        drop_path_rate=0.0, upscale=scale, upsampler=size.upsampler,
    )  # fmt: skip
    initialise.pass_through(network.conv_first)
    initialise.zero(network.conv_after_body)
    if size.upsampler == "pixelshuffle":
        initialise.pass_through(network.conv_before_upsample[0])
        initialise.pass_through(network.conv_last, noise=0.1)
    initialise.bilinear_shuffles(network.upsample)
    return network


def _rrdb(scale: int, size: Size, channels: int) -> nn.Module:
    network = rrdb.build(scale, size.width, size.depth[0], size.width // 2, channels)
    first, body, *rest = network.model
    enlarging = [layer for layer in rest if isinstance(layer, nn.Conv2d)]
    initialise.pass_through(first, channels)
    initialise.zero(body.sub[-1])
    for convolution in enlarging[:-2]:
        initialise.bilinear_repeat(convolution, channels)
    initialise.pass_through(enlarging[-2], channels)
    initialise.pass_through(enlarging[-1], channels, noise=0.1)
    return network

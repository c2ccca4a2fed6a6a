# SPDX-License-Identifier: Apache-2.0
"""The audio autoencoder: a continuous DAC, 960 samples to one latent frame.

Tensors are [B, C, L].  The names of the parameters are those of the published file.
"""
import math

import torch
import torch.nn.functional as F
from torch import nn


class Snake(nn.Module):
    """x + sin(alpha x)^2 / alpha, one alpha a channel."""

    def __init__(self, channels):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, x):
        alpha = self.alpha.to(x.dtype)
        return x + (alpha * x).sin().square() / (alpha + 1e-9)


class ResidualUnit(nn.Module):
    def __init__(self, channels, dilation):
        super().__init__()
        self.block = nn.Sequential(
            Snake(channels),
            nn.Conv1d(channels, channels, 7, dilation=dilation, padding=3 * dilation),
            Snake(channels), nn.Conv1d(channels, channels, 1))

    def forward(self, x):
        return x + self.block(x)


def _units(channels):
    return [ResidualUnit(channels, dilation) for dilation in (1, 3, 9)]


class EncoderBlock(nn.Module):
    def __init__(self, channels, stride):
        super().__init__()
        self.block = nn.Sequential(
            *_units(channels), Snake(channels),
            nn.Conv1d(channels, 2 * channels, 2 * stride, stride=stride,
                      padding=math.ceil(stride / 2)))

    def forward(self, x):
        return self.block(x)


class DecoderBlock(nn.Module):
    def __init__(self, channels, stride):
        super().__init__()
        half = channels // 2
        self.block = nn.Sequential(
            Snake(channels),
            nn.ConvTranspose1d(channels, half, 2 * stride, stride=stride,
                               padding=math.ceil(stride / 2), output_padding=stride % 2),
            *_units(half))

    def forward(self, x):
        return self.block(x)


class Encoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, blocks = config["encoder_dim"], []
        blocks.append(nn.Conv1d(1, width, 7, padding=3))
        for stride in config["encoder_rates"]:
            blocks.append(EncoderBlock(width, stride))
            width *= 2
        blocks += [Snake(width), nn.Conv1d(width, config["latent_dim"], 3, padding=1)]
        self.block = nn.Sequential(*blocks)

    def forward(self, x):
        return self.block(x)


class Decoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, blocks = config["decoder_dim"], []
        blocks.append(nn.Conv1d(config["latent_dim"], width, 7, padding=3))
        for stride in config["decoder_rates"]:
            blocks.append(DecoderBlock(width, stride))
            width //= 2
        blocks += [Snake(width), nn.Conv1d(width, 1, 7, padding=3), nn.Tanh()]
        self.model = nn.Sequential(*blocks)

    def forward(self, z):
        return self.model(z)


class AudioVAE(nn.Module):
    def __init__(self, config):
        super().__init__()
        c = config["latent_dim"]
        self.config = config
        self.encoder, self.decoder = Encoder(config), Decoder(config)
        self.quant_conv = nn.Conv1d(c, 2 * c, 1)
        self.post_quant_conv = nn.Conv1d(c, c, 1)

    def encode(self, sound):
        """[B, 1, n] -> mean of the posterior [B, C, ceil(n / hop)]."""
        hop = math.prod(self.config["encoder_rates"])
        sound = F.pad(sound, (0, -sound.size(-1) % hop))
        return self.quant_conv(self.encoder(sound))[:, :self.config["latent_dim"]]

    def decode(self, latents):
        return self.decoder(self.post_quant_conv(latents))


def _even_out(module, _, output):
    """Forward hook: scale the weights so that the output has unit deviation."""
    deviation = output.std() + 1e-6
    module.weight /= deviation
    return output / deviation


@torch.no_grad()
def init_even(vae, sound):
    """Quiet residual branches, and strided convolutions that keep the level of the
    example `sound` [B, 1, n]; without this the signal dies or explodes on its way."""
    units = [m for m in vae.modules() if isinstance(m, ResidualUnit)]
    inside = {conv for unit in units for conv in unit.modules()}
    hooks = []
    for module in vae.modules():
        if isinstance(module, (nn.Conv1d, nn.ConvTranspose1d)):
            nn.init.zeros_(module.bias)
            if module not in inside:
                hooks.append(module.register_forward_hook(_even_out))
    for unit in units:
        unit.block[3].weight.mul_(0.1)
    vae.decode(vae.encode(sound))
    for hook in hooks:
        hook.remove()
    vae.decoder.model[-2].weight.mul_(0.1)


@torch.no_grad()
def rotate_latents(vae, latents, floor=0.02):
    """Make the latents centred, uncorrelated and of about unit variance.

    `latents` [n, C] are examples.  The towers take audio latents as they are, so the
    change is folded into quant_conv and post_quant_conv; decode(encode(x)) stays the
    same.  Directions with less than `floor` of the largest variance stay small."""
    latents = latents.double()
    mean = latents.mean(0)
    values, vectors = torch.linalg.eigh((latents - mean).T @ (latents - mean) / len(latents))
    scale = values.clamp_min(floor * values.max()).sqrt()
    forward, backward = (vectors / scale).T, vectors * scale
    c = len(mean)
    weight, bias = vae.quant_conv.weight, vae.quant_conv.bias
    weight[:c, :, 0] = (forward @ weight[:c, :, 0].double()).float()
    bias[:c] = (forward @ (bias[:c].double() - mean)).float()
    after = vae.post_quant_conv.weight[:, :, 0].double()
    vae.post_quant_conv.bias += (after @ mean).float()
    vae.post_quant_conv.weight[:, :, 0] = (after @ backward).float()

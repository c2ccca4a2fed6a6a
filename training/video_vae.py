# SPDX-License-Identifier: Apache-2.0
"""The video autoencoder: AutoencoderKLWan, 4x in time and 8x in space.

Tensors are [B, C, T, H, W].  Whole clips are processed at once, which equals the
frame-group procedure of the reference.  The names of the parameters are those of the
published files.
"""
import math

import torch
import torch.nn.functional as F
from torch import nn


class RMSNorm(nn.Module):
    """Normalises over the channels of every position; axis 1 holds them."""

    def __init__(self, channels, axes):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels, *[1] * axes))

    def forward(self, x):
        square = x.float().square().sum(1, keepdim=True)
        scale = square.clamp_min(1e-24).rsqrt() * math.sqrt(x.size(1))
        return x * scale.to(x.dtype) * self.gamma.to(x.dtype)


class CausalConv3d(nn.Conv3d):
    """3x3x3 with two zero frames in front, or 1x1x1."""

    def __init__(self, inputs, outputs, kernel=3):
        super().__init__(inputs, outputs, kernel, padding=(0, kernel // 2, kernel // 2))

    def forward(self, x):
        return super().forward(F.pad(x, (0, 0, 0, 0, self.kernel_size[0] - 1, 0)))


class ResidualBlock(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.norm1 = RMSNorm(inputs, 3)
        self.conv1 = CausalConv3d(inputs, outputs)
        self.norm2 = RMSNorm(outputs, 3)
        self.conv2 = CausalConv3d(outputs, outputs)
        if inputs != outputs:
            self.conv_shortcut = CausalConv3d(inputs, outputs, 1)

    def forward(self, x):
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (self.conv_shortcut(x) if hasattr(self, "conv_shortcut") else x)


def per_frame(function, x):
    """Apply a function of [N, C, H, W] to every frame of x."""
    b, c, t, h, w = x.shape
    y = function(x.transpose(1, 2).reshape(b * t, c, h, w))
    return y.view(b, t, *y.shape[1:]).transpose(1, 2)


class Attention(nn.Module):
    """One head over the positions of one frame."""

    def __init__(self, channels):
        super().__init__()
        self.norm = RMSNorm(channels, 2)
        self.to_qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return x + per_frame(self._frame, x)

    def _frame(self, x):
        q, k, v = self.to_qkv(self.norm(x)).flatten(2).mT.chunk(3, -1)
        y = F.scaled_dot_product_attention(q, k, v)
        return self.proj(y.mT.reshape(x.shape))


class MidBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.resnets = nn.ModuleList(ResidualBlock(channels, channels) for _ in range(2))
        self.attentions = nn.ModuleList([Attention(channels)])

    def forward(self, x):
        return self.resnets[1](self.attentions[0](self.resnets[0](x)))


class Downsample(nn.Module):
    """Halves height and width and, with `time`, all frames but the first."""

    def __init__(self, channels, time):
        super().__init__()
        self.resample = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)),
                                      nn.Conv2d(channels, channels, 3, stride=2))
        if time:
            self.time_conv = nn.Conv3d(channels, channels, (3, 1, 1), stride=(2, 1, 1))

    def forward(self, x):
        x = per_frame(self.resample, x)
        if not hasattr(self, "time_conv") or x.size(2) == 1:
            return x
        return torch.cat([x[:, :, :1], self.time_conv(x)], 2)


class Upsample(nn.Module):
    """Doubles height and width and, with `time`, all frames but the first."""

    def __init__(self, channels, time):
        super().__init__()
        self.resample = nn.Sequential(nn.Upsample(scale_factor=2.0, mode="nearest"),
                                      nn.Conv2d(channels, channels // 2, 3, padding=1))
        if time:
            self.time_conv = nn.Conv3d(channels, 2 * channels, (3, 1, 1))

    def forward(self, x):
        if hasattr(self, "time_conv") and x.size(2) > 1:
            x = torch.cat([x[:, :, :1], self._double(x[:, :, 1:])], 2)
        return per_frame(self.resample, x)

    def _double(self, x):
        b, c, t, h, w = x.shape
        y = self.time_conv(F.pad(x, (0, 0, 0, 0, 2, 0)))
        y = y.view(b, 2, c, t, h, w).permute(0, 2, 3, 1, 4, 5)
        return y.reshape(b, c, 2 * t, h, w)


class Encoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        base, mult = config["base_dim"], config["dim_mult"]
        widths = [base] + [base * m for m in mult]
        self.conv_in = CausalConv3d(config.get("in_channels", 3), base)
        self.down_blocks = nn.ModuleList()
        for level, (a, b) in enumerate(zip(widths, widths[1:])):
            for i in range(config["num_res_blocks"]):
                self.down_blocks.append(ResidualBlock(a if i == 0 else b, b))
            if level < len(mult) - 1:
                self.down_blocks.append(
                    Downsample(b, config["temperal_downsample"][level]))
        self.mid_block = MidBlock(widths[-1])
        self.norm_out = RMSNorm(widths[-1], 3)
        self.conv_out = CausalConv3d(widths[-1], 2 * config["z_dim"])

    def forward(self, x):
        x = self.conv_in(x)
        for block in self.down_blocks:
            x = block(x)
        return self.conv_out(F.silu(self.norm_out(self.mid_block(x))))


class UpBlock(nn.Module):
    def __init__(self, inputs, outputs, count, upsample):
        super().__init__()
        self.resnets = nn.ModuleList(
            ResidualBlock(inputs if i == 0 else outputs, outputs) for i in range(count))
        if upsample is not None:
            self.upsamplers = nn.ModuleList([Upsample(outputs, upsample)])

    def forward(self, x):
        for block in self.resnets:
            x = block(x)
        return self.upsamplers[0](x) if hasattr(self, "upsamplers") else x


class Decoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        base, mult = config["base_dim"], config["dim_mult"][::-1]
        time = config["temperal_downsample"][::-1] + [None]
        width = base * mult[0]
        self.conv_in = CausalConv3d(config["z_dim"], width)
        self.mid_block = MidBlock(width)
        self.up_blocks = nn.ModuleList()
        for level, m in enumerate(mult):
            self.up_blocks.append(UpBlock(width, base * m, config["num_res_blocks"] + 1,
                                          time[level]))
            width = base * m // 2
        self.norm_out = RMSNorm(base * mult[-1], 3)
        self.conv_out = CausalConv3d(base * mult[-1], config.get("out_channels", 3))

    def forward(self, x):
        x = self.mid_block(self.conv_in(x))
        for block in self.up_blocks:
            x = block(x)
        return self.conv_out(F.silu(self.norm_out(x)))


class VideoVAE(nn.Module):
    def __init__(self, config):
        super().__init__()
        z = config["z_dim"]
        self.config = config
        self.encoder, self.decoder = Encoder(config), Decoder(config)
        self.quant_conv = CausalConv3d(2 * z, 2 * z, 1)
        self.post_quant_conv = CausalConv3d(z, z, 1)

    def encode(self, video):
        """[B, 3, F, H, W] in [-1, 1] -> mean of the posterior [B, z, T, H/8, W/8]."""
        return self.quant_conv(self.encoder(video))[:, :self.config["z_dim"]]

    def decode(self, latents):
        """The inverse, not yet clamped to [-1, 1]."""
        return self.decoder(self.post_quant_conv(latents))


# --- first weights -------------------------------------------------------------------

def _pass(weight, taps):
    """Make a kernel [out, in, ...] hand channel i to channel i, spread over `taps`."""
    weight.zero_()
    for i in range(min(weight.shape[:2])):
        for tap in taps:
            weight[(i, i) + tap] = 1.0 / len(taps)


def _init_resample(module):
    down = isinstance(module, Downsample)
    square = [(0, 0), (0, 1), (1, 0), (1, 1)] if down else [(1, 1)]
    _pass(module.resample[1].weight, square)
    if hasattr(module, "time_conv") and down:
        _pass(module.time_conv.weight, [(1, 0, 0), (2, 0, 0)])
    elif hasattr(module, "time_conv"):
        c = module.time_conv.weight.size(1)
        for half in module.time_conv.weight.split(c):
            _pass(half, [(2, 0, 0)])


@torch.no_grad()
def init_identity(vae):
    """Start as a blurring copy: residual branches silent, RGB and a constant channel
    handed through, so that the first steps need not find out how to copy."""
    for module in vae.modules():
        if isinstance(module, (nn.Conv2d, nn.Conv3d)):
            nn.init.zeros_(module.bias)
        if isinstance(module, ResidualBlock):
            nn.init.zeros_(module.conv2.weight)
            if hasattr(module, "conv_shortcut"):
                _pass(module.conv_shortcut.weight, [(0, 0, 0)])
        elif isinstance(module, Attention):
            nn.init.zeros_(module.proj.weight)
        elif isinstance(module, (Downsample, Upsample)):
            _init_resample(module)
    centre = [(2, 1, 1)]
    for conv in (vae.encoder.conv_in, vae.decoder.conv_in, vae.encoder.conv_out,
                 vae.decoder.conv_out):
        noise = conv.weight[:].clone()
        _pass(conv.weight, centre)
        conv.weight[4:] += noise[4:]
    vae.encoder.conv_in.weight[3] = 0.0
    vae.encoder.conv_in.bias[3] = 1.0
    for conv in (vae.quant_conv, vae.post_quant_conv):
        _pass(conv.weight, [(0, 0, 0)])

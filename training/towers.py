# SPDX-License-Identifier: Apache-2.0
"""The diffusion towers of video and audio: Wan transformers.

Shapes: tokens [B, L, d], context [B, 1 + n, d].  Timesteps are 0..1000.
"""
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

TEXT_ROWS = 512


def attention(q, k, v, bias=None):
    """[B, L, heads, head_dim] each -> [B, L, d]; f32 is the faster kind on a CPU."""
    with torch.autocast(q.device.type, enabled=False):
        kind = torch.float32 if q.device.type == "cpu" else torch.bfloat16
        q, k, v = (t.transpose(1, 2).to(kind) for t in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, bias if bias is None else bias.to(kind))
    return y.transpose(1, 2).flatten(2)


@dataclass
class Context:
    """The text rows of a batch: `rows` [B, n, width], and `bias` [B, 1, 1, n].

    The model sees 512 rows.  All rows past the prompt are equal, so one of them, with
    the logarithm of their number added to its score, gives the same result."""
    rows: torch.Tensor
    bias: torch.Tensor


def make_context(rows, lengths, padding=1.0):
    """Encoder output [B, L, d] with zero rows past `lengths` [B] -> Context.

    `padding`: a factor on the weight of the rows past the prompt."""
    rows = F.pad(rows, (0, 0, 0, 1))
    at = torch.arange(rows.size(1), device=rows.device)[None]
    bias = torch.where(at < lengths[:, None], 0.0, -1e9)
    bias[:, -1] = (TEXT_ROWS - lengths).clamp_min(1).float().log() + math.log(padding)
    bias[:, -1][lengths >= TEXT_ROWS] = -1e9
    return Context(rows, bias[:, None, None])


class FastRMS(torch.autograd.Function):
    """x / sqrt(mean(x^2) + eps) over the last axis, in few passes over memory."""

    @staticmethod
    def forward(ctx, x, eps):
        size = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        scale = (size.square() / x.size(-1) + eps).rsqrt()
        y = x * scale
        ctx.save_for_backward(y, scale)
        return y

    @staticmethod
    def backward(ctx, grad):
        y, scale = ctx.saved_tensors
        share = torch.linalg.vecdot(grad, y).unsqueeze(-1) / y.size(-1)
        return torch.addcmul(grad, y, share, value=-1.0).mul_(scale), None


class RMSNorm(nn.Module):
    """Over the whole width, all heads together."""

    def __init__(self, width, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x, order=None):
        """`order`: where each channel of x has been moved to, if it has."""
        weight = self.weight if order is None else self.weight[order]
        return FastRMS.apply(x.float(), self.eps) * weight


def turn_halves(x, table):
    """Turn the pairs (j, j + D/2) of x [B, L, heads, D]; table: (cos, sin) [L, D], the
    first half of the sines negative."""
    cos, sin = (t[None, :, None] for t in table)
    return torch.addcmul(x * cos, x.roll(x.size(-1) // 2, -1), sin)


def halves_first(width, head_dim, device):
    """The order of channels in which the pairs (2k, 2k+1) of each head have become
    (k, k + D/2).  Scores do not change if queries and keys are both put in it; turning
    halves is much faster than turning neighbours."""
    at = torch.arange(width, device=device).view(-1, head_dim // 2, 2)
    return at.mT.flatten()


def angles(positions, dims):
    """[n, dims / 2] for one axis, f64."""
    powers = torch.arange(0, dims, 2, dtype=torch.float64) / dims
    return positions.double()[:, None] * 10000.0 ** -powers


def table_of(turn):
    """(cos, sin) [n, D] for turn_halves, from angles [n, D/2]."""
    cos, sin = turn.cos().float(), turn.sin().float()
    return torch.cat([cos, cos], 1), torch.cat([-sin, sin], 1)


def video_table(frames, rows, columns, dim):
    """The table of frames * rows * columns tokens, over three axes."""
    side = dim // 3
    grid = torch.meshgrid(*(torch.arange(n) for n in (frames, rows, columns)), indexing="ij")
    parts = [angles(p.flatten(), n) for p, n in zip(grid, (dim - 2 * side, side, side))]
    return table_of(torch.cat(parts, 1))


def audio_table(length, dim):
    return table_of(angles(torch.arange(length), dim))


class Attention(nn.Module):
    """Queries from x, keys and values from y; both normalised over the whole width."""

    def __init__(self, dim, heads, eps, width=None):
        super().__init__()
        self.heads = heads
        self.q, self.o = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.k, self.v = nn.Linear(width or dim, dim), nn.Linear(width or dim, dim)
        self.norm_q, self.norm_k = RMSNorm(dim, eps), RMSNorm(dim, eps)

    def split(self, x, y, order=None):
        """q, k, v as [B, L, heads, head_dim], channels of q and k in `order`."""
        q, k = (linear(z) if order is None
                else F.linear(z, linear.weight[order], linear.bias[order])
                for linear, z in ((self.q, x), (self.k, y)))
        q, k, v = self.norm_q(q, order), self.norm_k(k, order), self.v(y)
        return (t.unflatten(-1, (self.heads, -1)) for t in (q, k, v))

    def forward(self, x, y, turn=None, bias=None):
        """`turn`: rotary table of neighbours, for self-attention."""
        if turn is None:
            q, k, v = self.split(x, y)
        else:
            order = halves_first(self.q.out_features, turn[0].size(1), x.device)
            q, k, v = self.split(x, y, order)
            q, k = turn_halves(q, turn), turn_halves(k, turn)
        return self.o(attention(q, k, v, bias))


def norm(x, eps):
    return F.layer_norm(x.float(), x.shape[-1:], eps=eps)


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        d, heads, self.eps = config["dim"], config["num_heads"], config["eps"]
        self.self_attn = Attention(d, heads, self.eps)
        self.cross_attn = Attention(d, heads, self.eps)
        self.norm3 = nn.LayerNorm(d, self.eps)
        self.ffn = nn.Sequential(nn.Linear(d, config["ffn_dim"]), nn.GELU("tanh"),
                                 nn.Linear(config["ffn_dim"], d))
        self.modulation = nn.Parameter(torch.randn(1, 6, d) / math.sqrt(d))

    def forward(self, x, context, bias, time, turn):
        """time [B, 6, d]: shift, scale, gate of the attention, then of the network."""
        m = (self.modulation + time).unsqueeze(2).unbind(1)
        h = torch.addcmul(m[0], norm(x, self.eps), 1 + m[1])
        x = torch.addcmul(x, m[2], self.self_attn(h, h, turn).float())
        x = x + self.cross_attn(self.norm3(x), context, bias=bias)
        h = torch.addcmul(m[3], norm(x, self.eps), 1 + m[4])
        return torch.addcmul(x, m[5], self.ffn(h).float())


class Head(nn.Module):
    def __init__(self, config):
        super().__init__()
        d, self.eps = config["dim"], config["eps"]
        self.head = nn.Linear(d, config["out_dim"] * math.prod(config["patch_size"]))
        self.modulation = nn.Parameter(torch.randn(1, 2, d) / math.sqrt(d))

    def forward(self, x, e):
        shift, scale = (self.modulation + e[:, None]).unsqueeze(2).unbind(1)
        return self.head(norm(x, self.eps) * (1 + scale) + shift)


class Tower(nn.Module):
    """What both towers share; `patch_embedding` and the grid differ."""

    def __init__(self, config, patch):
        super().__init__()
        d, self.config = config["dim"], config
        self.patch_embedding = patch
        self.text_embedding = nn.Sequential(nn.Linear(config["text_dim"], d),
                                            nn.GELU("tanh"), nn.Linear(d, d))
        self.time_embedding = nn.Sequential(nn.Linear(config["freq_dim"], d), nn.SiLU(),
                                            nn.Linear(d, d))
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(d, 6 * d))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config["num_layers"]))
        self.head = Head(config)

    def time(self, t):
        """Timesteps [B] -> e [B, d] for the head, m [B, 6, d] for the blocks; f32."""
        half = self.config["freq_dim"] // 2
        powers = torch.arange(half, dtype=torch.float64, device=t.device) / half
        turn = t.double()[:, None] * 10000.0 ** -powers
        with torch.autocast(t.device.type, enabled=False):
            e = self.time_embedding(torch.cat([turn.cos(), turn.sin()], 1).float())
            return e, self.time_projection(e).unflatten(1, (6, -1))

    def forward(self, x, context, t):
        """The velocity that the tower finds without the other one, f32."""
        e, m = self.time(t)
        rows, (x, grid) = self.text_embedding(context.rows), self.patchify(x)
        turn = tuple(p.to(x.device) for p in self.table(grid))
        for block in self.blocks:
            x = block(x, rows, context.bias, m, turn)
        return self.unpatchify(self.head(x, e), grid).float()


class VideoTower(Tower):
    def __init__(self, config):
        super().__init__(config, nn.Conv3d(config["in_dim"], config["dim"],
                                           tuple(config["patch_size"]),
                                           tuple(config["patch_size"])))

    def patchify(self, x):
        """[B, 36, T, h, w] -> tokens and the grid (T, h/2, w/2)."""
        _, ph, pw = self.config["patch_size"]
        b, c, t, h, w = x.shape
        cut = x.view(b, c, t, h // ph, ph, w // pw, pw).permute(0, 2, 3, 5, 1, 4, 6)
        weight = self.patch_embedding.weight.flatten(1)
        tokens = F.linear(cut.reshape(b, -1, weight.size(1)), weight,
                          self.patch_embedding.bias)
        return tokens.float(), (t, h // ph, w // pw)

    def unpatchify(self, y, grid):
        _, ph, pw = self.config["patch_size"]
        y = y.view(len(y), *grid, ph, pw, self.config["out_dim"])
        y = y.permute(0, 6, 1, 2, 4, 3, 5)
        return y.reshape(*y.shape[:3], grid[1] * ph, grid[2] * pw)

    def table(self, grid):
        return video_table(*grid, self.config["dim"] // self.config["num_heads"])


class AudioTower(Tower):
    def __init__(self, config):
        super().__init__(config, nn.Conv1d(config["in_dim"], config["dim"], 1))

    def patchify(self, x):
        """[B, C, L] -> tokens [B, L, d] and the grid (L,)."""
        weight = self.patch_embedding.weight[..., 0]
        return F.linear(x.mT, weight, self.patch_embedding.bias).float(), (x.size(2),)

    def unpatchify(self, y, grid):
        return y.mT

    def table(self, grid):
        return audio_table(*grid, self.config["dim"] // self.config["num_heads"])

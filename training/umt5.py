# SPDX-License-Identifier: Apache-2.0
"""The text encoder: UMT5, with a relative attention bias in every block."""
import math

import torch
import torch.nn.functional as F
from torch import nn


class RMSNorm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x):
        return F.rms_norm(x, x.shape[-1:], self.weight, self.eps)


def bucket(distance, buckets, longest):
    """Bucket of key position minus query position (any shape, int64)."""
    half = buckets // 2
    exact = half // 2
    n = distance.abs()
    far = exact + (n.clamp_min(1).double() / exact).log() \
        / math.log(longest / exact) * (half - exact) + 1e-9
    b = torch.where(n < exact, n, far.long().clamp_max(half - 1))
    return b + half * (distance > 0)


class SelfAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        d, self.heads = config["d_model"], config["num_heads"]
        inner = self.heads * config["d_kv"]
        self.q, self.k, self.v = (nn.Linear(d, inner, bias=False) for _ in range(3))
        self.o = nn.Linear(inner, d, bias=False)
        self.buckets = config["relative_attention_num_buckets"]
        self.longest = config["relative_attention_max_distance"]
        self.relative_attention_bias = nn.Embedding(self.buckets, self.heads)

    def forward(self, x, mask):
        """x [B, L, d]; mask [B, 1, 1, L] is added to the scores."""
        at = torch.arange(x.size(1), device=x.device)
        numbers = bucket(at[None] - at[:, None], self.buckets, self.longest)
        bias = self.relative_attention_bias(numbers).permute(2, 0, 1)[None] + mask
        q, k, v = (f(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
                   for f in (self.q, self.k, self.v))
        y = F.scaled_dot_product_attention(q, k, v, bias.to(q.dtype), scale=1.0)
        return self.o(y.transpose(1, 2).flatten(2))


class AttentionLayer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.SelfAttention = SelfAttention(config)
        self.layer_norm = RMSNorm(config["d_model"], config["layer_norm_epsilon"])

    def forward(self, x, mask):
        return x + self.SelfAttention(self.layer_norm(x), mask)


class GatedDense(nn.Module):
    def __init__(self, config):
        super().__init__()
        d, ff = config["d_model"], config["d_ff"]
        self.wi_0, self.wi_1 = nn.Linear(d, ff, bias=False), nn.Linear(d, ff, bias=False)
        self.wo = nn.Linear(ff, d, bias=False)

    def forward(self, x):
        return self.wo(F.gelu(self.wi_0(x), approximate="tanh") * self.wi_1(x))


class DenseLayer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.DenseReluDense = GatedDense(config)
        self.layer_norm = RMSNorm(config["d_model"], config["layer_norm_epsilon"])

    def forward(self, x, mask):
        return x + self.DenseReluDense(self.layer_norm(x))


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.layer = nn.ModuleList([AttentionLayer(config), DenseLayer(config)])

    def forward(self, x, mask):
        for layer in self.layer:
            x = layer(x, mask)
        return x


class Stack(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.block = nn.ModuleList(Block(config) for _ in range(config["num_layers"]))
        self.final_layer_norm = RMSNorm(config["d_model"], config["layer_norm_epsilon"])


class TextEncoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.shared = nn.Embedding(config["vocab_size"], config["d_model"])
        self.encoder = Stack(config)

    def forward(self, ids, lengths):
        """ids [B, L], lengths [B] -> [B, L, d]; rows past the length are zero."""
        real = torch.arange(ids.size(1), device=ids.device)[None] < lengths[:, None]
        mask = torch.zeros(real.shape, device=ids.device)
        mask = mask.masked_fill(~real, -1e9)[:, None, None]
        x = self.shared(ids)
        for block in self.encoder.block:
            x = block(x, mask)
        return self.encoder.final_layer_norm(x) * real[..., None]

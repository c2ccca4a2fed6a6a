# SPDX-License-Identifier: Apache-2.0
"""The bridge between the towers, and both towers with it as one velocity model."""
import torch
from torch import nn

from .towers import Attention, attention, table_of, turn_halves


def aligned_table(positions, dim):
    """(cos, sin) [n, dim] at positions in audio frames, f32 throughout."""
    powers = torch.arange(0, dim, 2).float() / dim
    turn = positions.float()[:, None] * (1.0 / 10000.0 ** powers)
    return table_of(turn)


class Conditioner(nn.Module):
    """What one tower takes from the other; the caller adds it."""

    def __init__(self, dim, width, head_dim):
        super().__init__()
        self.y_norm = nn.LayerNorm(width, eps=1e-6)
        self.inner = Attention(dim, dim // head_dim, 1e-6, width)

    def forward(self, x, y, turn_x, turn_y):
        q, k, v = self.inner.split(x, self.y_norm(y))
        if turn_x is not None:
            q, k = turn_halves(q, turn_x), turn_halves(k, turn_y)
        return self.inner.o(attention(q, k, v))


class Bridge(nn.Module):
    def __init__(self, config):
        super().__init__()
        if config["interaction_strategy"] != "full" or config["pooled_adaln"]:
            raise ValueError("only interaction_strategy full without pooling is trained")
        self.config = config
        v, a, d = (config[k] for k in ("visual_hidden_dim", "audio_hidden_dim", "head_dim"))
        layers = range(min(config["visual_layers"], config["audio_layers"]))
        self.audio_to_video_conditioners = nn.ModuleDict(
            {str(i): Conditioner(v, a, d) for i in layers})
        self.video_to_audio_conditioners = nn.ModuleDict(
            {str(i): Conditioner(a, v, d) for i in layers})

    def tables(self, grid, length, fps):
        """Aligned tables of the video and audio tokens."""
        if not self.config["apply_cross_rope"]:
            return None, None
        dim = self.config["head_dim"]
        step = torch.tensor(self.config["audio_fps"] / (fps / 4.0), dtype=torch.float32)
        frames = torch.arange(grid[0]).float() * step
        video = frames.repeat_interleave(grid[1] * grid[2])
        return aligned_table(video, dim), aligned_table(torch.arange(length), dim)


def velocity(video_tower, audio_tower, bridge, video, audio, context, t, fps=24.0):
    """One evaluation of the model.

    video [B, 36, T, h, w]: noisy latents, mask and condition; audio [B, C, La]; t: [B],
    or a pair of these for video and audio.  Returns the two velocities, f32."""
    t_video, t_audio = t if isinstance(t, tuple) else (t, t)
    (e_v, m_v), (e_a, m_a) = video_tower.time(t_video), audio_tower.time(t_audio)
    c_v, c_a = (tower.text_embedding(context.rows) for tower in (video_tower, audio_tower))
    (x, grid), (y, length) = video_tower.patchify(video), audio_tower.patchify(audio)
    move = lambda table: table and tuple(p.to(x.device) for p in table)
    turn_v, turn_a, cross_v, cross_a = map(move, (
        video_tower.table(grid), audio_tower.table(length),
        *bridge.tables(grid, length[0], fps)))
    for i, block in enumerate(video_tower.blocks):
        if i < len(audio_tower.blocks):
            to_video = bridge.audio_to_video_conditioners[str(i)]
            to_audio = bridge.video_to_audio_conditioners[str(i)]
            x, y = x + to_video(x, y, cross_v, cross_a), y + to_audio(y, x, cross_a, cross_v)
            y = audio_tower.blocks[i](y, c_a, context.bias, m_a, turn_a)
        x = block(x, c_v, context.bias, m_v, turn_v)
    return (video_tower.unpatchify(video_tower.head(x, e_v), grid).float(),
            audio_tower.unpatchify(audio_tower.head(y, e_a), length).float())

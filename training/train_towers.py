# SPDX-License-Identifier: Apache-2.0
"""Training of both towers, the bridge and the text encoder on cached latents.

One video expert learns all noise levels first; then a copy of it takes over the low
ones.  What is minimised: tower_losses.py."""
import os

import numpy as np
import torch
from torch import nn

from . import presets, prompts, store, tokenizer, world
from .bridge import Bridge, velocity
from .latents import Clips
from .optim import Optimizer
from .reader import Reader
from .tower_losses import Losses
from .towers import AudioTower, VideoTower, make_context
from .trainer import Stage, flat_then_linear
from .umt5 import TextEncoder, bucket

SPLIT_AT = 0.6              # share of the time after which there are two experts
MUON_LR = 0.008
PARTS = ("text_encoder", "video_dit", "video_dit_2", "audio_dit", "dual_tower_bridge")


class Model(nn.Module):
    """All that is trained in this stage, under the names of the folders."""

    def __init__(self, configs):
        super().__init__()
        self.text_encoder = TextEncoder(configs["text_encoder"])
        self.video_dit = VideoTower(configs["video_dit"])
        self.video_dit_2 = VideoTower(configs["video_dit_2"])
        self.audio_dit = AudioTower(configs["audio_dit"])
        self.dual_tower_bridge = Bridge(configs["dual_tower_bridge"])
        self.reader = Reader(configs["text_encoder"]["d_model"])

    def context(self, ids, padding=1.0):
        """Lists of token ids -> Context."""
        lengths = torch.tensor([len(i) for i in ids])
        table = torch.zeros(len(ids), int(lengths.max()), dtype=torch.long)
        for row, line in zip(table, ids):
            row[:len(line)] = torch.tensor(line)
        device = self.text_encoder.shared.weight.device
        lengths = lengths.to(device)
        rows = self.text_encoder(table.to(device), lengths)
        return make_context(rows, lengths, padding)

    def forward(self, expert, video, audio, context, t):
        tower = self.video_dit if expert == 0 else self.video_dit_2
        return velocity(tower, self.audio_dit, self.dual_tower_bridge, video, audio,
                        context, t)


# --- first weights ---------------------------------------------------------------------

def _init_tower(tower, noise_channels):
    """A tower that hands its noisy input through to its output.

    At high noise the velocity is nearly the input; this need not be learnt then."""
    config, patch = tower.config, tower.patch_embedding.weight
    nn.init.normal_(patch, std=0.02)
    positions = patch[0, 0].numel()
    for c in range(noise_channels):
        patch[:positions * noise_channels, c] = 0.0
    flat = patch.view(*patch.shape[:2], positions)
    rest = config["in_dim"] - noise_channels
    for p in range(positions):
        for c in range(noise_channels):
            flat[p * noise_channels + c, c, p] = 1.0
        for c in range(rest):
            row = positions * noise_channels + p * rest + c
            if row < config["dim"]:
                flat[row, noise_channels + c, p] = 1.0
    nn.init.zeros_(tower.head.head.weight)
    tower.head.head.weight.fill_diagonal_(1.0)
    nn.init.zeros_(tower.head.modulation)
    nn.init.normal_(tower.time_projection[1].weight, std=0.02)
    for block in tower.blocks:
        block.modulation.zero_()
        block.modulation[:, (2, 5)] = 1.0
    _init_listening(tower)


def _init_listening(tower):
    """Queries and keys of the text, sharp enough for a few words to outweigh hundreds of
    padding rows."""
    for block in tower.blocks:
        for linear in (block.cross_attn.q, block.cross_attn.k):
            nn.init.normal_(linear.weight, std=linear.in_features ** -0.5)
            nn.init.zeros_(linear.bias)
        block.cross_attn.norm_q.weight.fill_(2.0)
        block.cross_attn.norm_k.weight.fill_(2.0)


def _init_local(attention, head_dim, heads, gain):
    """Make the first heads look at equal times: constant queries and keys, which the
    rotary embedding turns into a peak where the positions agree."""
    width = head_dim * heads
    for linear in (attention.q, attention.k):
        linear.weight[:width] *= 0.3
        linear.bias[:width] = 1.0
    for norm in (attention.norm_q, attention.norm_k):
        norm.weight[:width] = gain


NEIGHBOURS = [(-1,), (1,), (-1, -2, -3), (1, 2, 3)]


def _init_neighbours(attention):
    """Heads of the text encoder that look at the words beside theirs: which noun an
    adjective belongs to is nearly all that a sentence has beyond its words."""
    bias = attention.relative_attention_bias.weight
    for head in range(attention.heads):
        bias[:, head] = 0.0
        for distance in NEIGHBOURS[head % len(NEIGHBOURS)]:
            bias[int(bucket(torch.tensor(distance), attention.buckets,
                            attention.longest)), head] = 4.0


@torch.no_grad()
def init_weights(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features ** -0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for name, module in model.named_modules():
        if name.endswith((".o", ".ffn.2", ".wo")):
            module.weight.mul_(0.1)
    nn.init.normal_(model.text_encoder.shared.weight)
    for block in model.text_encoder.encoder.block:
        for linear in (block.layer[0].SelfAttention.q, block.layer[0].SelfAttention.k):
            linear.weight.mul_(0.5)
        _init_neighbours(block.layer[0].SelfAttention)
    _init_tower(model.video_dit, 16)
    _init_tower(model.audio_dit, model.audio_dit.config["in_dim"])
    head_dim = model.dual_tower_bridge.config["head_dim"]
    for block in model.audio_dit.blocks:
        _init_local(block.self_attn, head_dim, 1, 1.3)
    for part in (model.dual_tower_bridge.audio_to_video_conditioners,
                 model.dual_tower_bridge.video_to_audio_conditioners):
        for conditioner in part.values():
            _init_local(conditioner.inner, head_dim, conditioner.inner.heads, 1.3)
    model.video_dit_2.load_state_dict(model.video_dit.state_dict())


def configs(words):
    text = dict(presets.TEXT_ENCODER, vocab_size=len(tokenizer.vocabulary(words)))
    return dict(text_encoder=text, video_dit=presets.VIDEO_DIT,
                video_dit_2=presets.VIDEO_DIT, audio_dit=presets.AUDIO_DIT,
                dual_tower_bridge=presets.BRIDGE)


def build(init=None):
    """(model, tokenizer): new, or from an exported folder."""
    if init:
        model = Model({p: store.load_json(f"{init}/{p}/config.json") for p in PARTS})
        for part in PARTS:
            getattr(model, part).load_state_dict(store.load_folder(f"{init}/{part}"))
        return model, tokenizer.Tokenizer.open(f"{init}/tokenizer/tokenizer.json")
    model = Model(configs(prompts.words()))
    init_weights(model)
    return model, tokenizer.Tokenizer(tokenizer.build(prompts.words()))


def split_experts(losses):
    """Before SPLIT_AT there is one expert; then the second starts as its copy."""
    def before(stage):
        model = stage.model
        if stage.once("experts split", SPLIT_AT):
            model.video_dit_2.load_state_dict(model.video_dit.state_dict())
            for name in list(stage.average.values):
                if name.startswith("video_dit."):
                    stage.average.values[name.replace("video_dit.", "video_dit_2.")] = \
                        stage.average.values[name].clone()
            stage.save()
        losses.split = "experts split" in stage.marks
    return before


@torch.no_grad()
def join_experts(model):
    """Make both video experts their mean, to train them as one again."""
    second = dict(model.video_dit_2.named_parameters())
    for name, p in model.video_dit.named_parameters():
        p.lerp_(second[name], 0.5)
    model.video_dit_2.load_state_dict(model.video_dit.state_dict())


def pace(name):
    """Factor on the learning rate.  Which words stand side by side is told by the
    relative bias, which has a long way to go."""
    if "relative_attention_bias" in name:
        return 5.0
    return 0.6 if name.startswith("text_encoder") else 1.0


@torch.no_grad()
def listen_anew(model):
    for tower in (model.video_dit, model.video_dit_2):
        _init_listening(tower)


def train(folder, seconds, seed, clips, blanks, batch, device="cpu", init=None, keep=True,
          new_text=False):
    """`keep`: the latents are those that an exported model's towers know; if they are
    not, its experts begin as one again.  `new_text`: its experts learn anew to listen."""
    torch.manual_seed(seed)
    model, pieces = build(init)
    if init and not keep:
        join_experts(model)
    if new_text:
        listen_anew(model)
    model.to(device)
    optimizer = Optimizer(model.named_parameters(), MUON_LR, 2e-3, pace)
    stage = Stage("towers", folder, model, optimizer, seconds, seed)
    if init and keep:
        stage.marks["experts split"] = 0
    stage.resume()
    data = Clips(folder, clips, blanks, seed, device)
    listens = init is not None and not new_text
    losses = Losses(model, data, pieces, batch, device, listens)
    # Towers that know their world need no long search, and forget it in large steps.
    flat, most = (0.2, 0.5) if listens else (0.45, 1.0)
    stage.run(losses, before=split_experts(losses), watch=losses.check,
              schedule=lambda progress: most * flat_then_linear(progress, flat=flat))


@torch.no_grad()
def take_for_plain(rows, pieces, sentences=20000):
    """Give pieces that no sentence of the templates has, and that are therefore as they
    began, the rows of their plain spelling: capitals within a sentence, letters with marks."""
    rng = np.random.default_rng(0)
    read = {number for _ in range(sentences) for number in
            pieces.encode(prompts.describe(rng, world.sample_scene(rng)))}
    for piece, number in pieces.ids.items():
        if number not in read:
            rows[number] = rows[pieces.ids.get(tokenizer.plain(piece), number)]


def load(folder):
    """(averaged model, tokenizer) of a finished or running training."""
    init = store.load_json(os.path.join(folder, "run.json")).get("init")
    model, pieces = build(init)
    state = store.load_checkpoint(os.path.join(folder, "towers.checkpoint"))
    values = state["average"]
    if "experts split" not in state["marks"]:
        values = {k: values[k.replace("video_dit_2.", "video_dit.")] for k in values}
    model.load_state_dict(values)
    take_for_plain(model.text_encoder.shared.weight, pieces)
    return model.eval(), pieces

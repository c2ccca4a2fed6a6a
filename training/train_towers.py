"""Training of both towers, the bridge and the text encoder on cached latents.

Flow matching: x = (1 - s) data + s noise, and the model tells noise - data.  One video
expert learns all noise levels first; then a copy of it takes over the low ones."""
import os

import numpy as np
import torch
from torch import nn

from . import presets, prompts, store, tokenizer
from .bridge import Bridge, velocity
from .latents import Clips
from .optim import Optimizer
from .towers import AudioTower, VideoTower, make_context
from .trainer import Stage, flat_then_linear
from .umt5 import TextEncoder

SHIFT = 8.0                 # of the noise levels in training: when things hit, and
                            # what is heard, is decided where noise is strong
BOUNDARY = 0.9              # sigma below which the second expert works
SPLIT_AT = 0.6              # share of the time after which there are two experts
HIGH_SHARE = 0.45           # of the steps after that which train the first one
MUON_LR = 0.008
MOVING, SOUNDING = 4.0, 2.0  # extra weight of latent cells and of audio frames
AUDIO = 2.0                 # weight of the audio loss
NO_PROMPT, NO_PICTURE = 0.06, 0.3
HELD_OUT = 32               # clips at the end of the cache, for the logs
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

    def context(self, ids):
        """Lists of token ids -> Context."""
        lengths = torch.tensor([len(i) for i in ids])
        table = torch.zeros(len(ids), int(lengths.max()), dtype=torch.long)
        for row, line in zip(table, ids):
            row[:len(line)] = torch.tensor(line)
        device = self.text_encoder.shared.weight.device
        lengths = lengths.to(device)
        return make_context(self.text_encoder(table.to(device), lengths), lengths)

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
        block.cross_attn.norm_q.weight.fill_(1.8)
        block.cross_attn.norm_k.weight.fill_(1.8)


def _init_local(attention, head_dim, heads, gain):
    """Make the first heads look at equal times: constant queries and keys, which the
    rotary embedding turns into a peak where the positions agree."""
    width = head_dim * heads
    for linear in (attention.q, attention.k):
        linear.weight[:width] *= 0.3
        linear.bias[:width] = 1.0
    for norm in (attention.norm_q, attention.norm_k):
        norm.weight[:width] = gain


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


# --- losses ------------------------------------------------------------------------------

def noise_levels(count, low, high):
    """Stratified sigmas [count] in [low, high), shifted towards noise."""
    edge = [s / (SHIFT - (SHIFT - 1) * s) for s in (low, high)]
    u = (torch.arange(count) + torch.rand(count)) / count
    u = edge[0] + (edge[1] - edge[0]) * u[torch.randperm(count)]
    return SHIFT * u / (1 + (SHIFT - 1) * u)


def weighted_square(guess, truth, weight):
    square = (guess - truth).square()
    return (square * weight).sum((*range(1, square.ndim),)) \
        / weight.expand_as(square).sum((*range(1, square.ndim),))


class Losses:
    def __init__(self, model, clips, pieces, batch, device):
        self.model, self.clips, self.pieces = model, clips, pieces
        self.batch, self.device = batch, device
        self.split = False
        self.nothing = [pieces.encode(t) for t in ("", "<unk>", prompts.NEGATIVE)]
        self.nothing[1] = [tokenizer.UNKNOWN, tokenizer.END]

    def captions(self, rng, numbers):
        out = []
        for n in numbers:
            text = prompts.describe(rng, self.clips.scenes[n])
            drop = rng.random() < NO_PROMPT
            out.append(self.nothing[rng.integers(3)] if drop else self.pieces.encode(text))
        return out

    def expert(self, shared):
        """(expert, lowest sigma, highest sigma) of one step."""
        if not self.split:
            return 0, 0.0, 1.0
        return (0, BOUNDARY, 1.0) if shared.random() < HIGH_SHARE else (1, 0.0, BOUNDARY)

    def errors(self, numbers, captions, sigma, expert, blank):
        """Weighted squared errors [B] of video and audio.  blank [B]: no picture."""
        c, d = self.clips, self.device
        data, sound = (t[numbers].float().to(d) for t in (c.video, c.audio))
        first = torch.where(blank[:, None, None, None, None], c.white[None],
                            c.condition[numbers]).float().to(d)
        s = sigma.to(d)
        mix = lambda x, noise: x + s.view(-1, *[1] * (x.ndim - 1)) * (noise - x)
        noise, hiss = (torch.randn(t.shape).to(d) for t in (data, sound))
        mask = torch.zeros_like(data[:, :4])
        mask[:, :, 0] = 1.0
        with torch.autocast(d, torch.bfloat16):
            video, audio = self.model(
                expert, torch.cat([mix(data, noise), mask, first], 1), mix(sound, hiss),
                self.model.context(captions), 1000.0 * s)
        heavy = 1 + MOVING * c.cells[numbers][:, None].float().to(d)
        loud = 1 + SOUNDING * c.slots[numbers][:, None].float().to(d)
        return (weighted_square(video, noise - data, heavy),
                weighted_square(audio, hiss - sound, loud))

    def __call__(self, own, shared, progress):
        numbers = own.integers(len(self.clips.scenes) - HELD_OUT, size=self.batch)
        expert, low, high = self.expert(shared)
        sigma = noise_levels(self.batch, low, high)
        blank = torch.rand(self.batch) < NO_PICTURE
        video, audio = self.errors(numbers, self.captions(own, numbers), sigma, expert,
                                   blank)
        return dict(loss=video.mean() + AUDIO * audio.mean(), video=video.mean(),
                    audio=audio.mean())

    @torch.no_grad()
    def check(self, stage):
        """Held-out loss by noise level, and how much it grows with swapped captions."""
        if stage.step % 200:
            return {}
        rng = np.random.default_rng(5)
        numbers = np.arange(len(self.clips.scenes) - HELD_OUT, len(self.clips.scenes))
        captions = [self.pieces.encode(prompts.describe(rng, self.clips.scenes[n], 1.0))
                    for n in numbers]
        sigma, blank = noise_levels(HELD_OUT, 0.0, 1.0), torch.zeros(HELD_OUT).bool()
        order = torch.arange(HELD_OUT).roll(HELD_OUT // 2)
        out, state = {}, torch.get_rng_state()
        for name, lines in (("", captions), ("_swapped", [captions[i] for i in order])):
            torch.manual_seed(6)
            video, audio = zip(*(self.errors(numbers[part], [lines[i] for i in part],
                                             sigma[part], self._by_level(sigma[part]),
                                             blank[part])
                                 for part in self._halves(sigma)))
            out[f"val_video{name}"] = torch.cat(video).mean()
            out[f"val_audio{name}"] = torch.cat(audio).mean()
        torch.set_rng_state(state)
        return out

    def _halves(self, sigma):
        high = (sigma >= BOUNDARY)
        return [part for part in (high.nonzero()[:, 0], (~high).nonzero()[:, 0])
                if len(part)]

    def _by_level(self, sigma):
        return int(self.split and bool((sigma < BOUNDARY).all()))


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


def text_is_gentle(name):
    return 0.6 if name.startswith("text_encoder") else 1.0


def train(folder, seconds, seed, clips, batch, device="cpu", init=None, keep=True):
    """`keep`: the latents are those that an exported model's towers know; if they are
    not, its experts begin as one again."""
    torch.manual_seed(seed)
    model, pieces = build(init)
    if init and not keep:
        join_experts(model)
    model.to(device)
    gentle = 0.5 if init and keep else 1.0
    optimizer = Optimizer(model.named_parameters(), MUON_LR * gentle, 2e-3 * gentle,
                          text_is_gentle)
    stage = Stage("towers", folder, model, optimizer, seconds, seed)
    if init and keep:
        stage.marks["experts split"] = 0
    stage.resume()
    data = Clips(folder, clips, seed, device)
    losses = Losses(model, data, pieces, batch, device)
    stage.run(losses, before=split_experts(losses), watch=losses.check,
              schedule=lambda progress: flat_then_linear(progress, flat=0.45))


def load(folder):
    """(averaged model, tokenizer) of a finished or running training."""
    init = store.load_json(os.path.join(folder, "run.json")).get("init")
    model, pieces = build(init)
    state = store.load_checkpoint(os.path.join(folder, "towers.checkpoint"))
    values = state["average"]
    if "experts split" not in state["marks"]:
        values = {k: values[k.replace("video_dit_2.", "video_dit.")] for k in values}
    model.load_state_dict(values)
    return model.eval(), pieces

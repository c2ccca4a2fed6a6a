"""Training of both towers, the bridge and the text encoder on cached latents.

Flow matching: x = (1 - s) data + s noise, and the model tells noise - data.  One video
expert learns all noise levels first; then a copy of it takes over the low ones.

What a film without a picture looks like is decided by the text where noise is strong.
To learn that takes very many sentences, more than there is time for with whole clips:
so there are only beginnings at first, a few latent frames without picture and sound, and
later each step has a batch of them, too; and the text encoder is asked what each
sentence says (`Reader`)."""
import math
import os

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from . import precision, presets, prompts, store, tokenizer, world
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
NO_PROMPT, NO_PICTURE = 0.06, 0.4
ALONE = 0.2                 # share of the time with beginnings only
FADE = 8.0                  # logarithm of the first weight of the padding rows
BEGINNING = 3               # latent frames of a beginning
BEGINNINGS = 3              # times the batch, while they are alone
READING = 0.05              # weight of what the text encoder is asked
HELD_OUT = 32               # clips at the end of the cache, for the logs
PARTS = ("text_encoder", "video_dit", "video_dit_2", "audio_dit", "dual_tower_bridge")


SAID = dict(colour=list(world.COLOURS), floor=list(world.FLOORS), wall=list(world.WALLS),
            size=list(world.RADII), shape=list(world.SHAPES),
            material=list(world.MATERIALS))


class Reader(nn.Module):
    """Tells from the text encoder's rows what a sentence says of the scene: one query
    and one classifier for each thing that can be said.  Only used in training."""

    def __init__(self, width):
        super().__init__()
        self.queries = nn.Parameter(torch.zeros(len(SAID), width))
        self.classes = nn.ModuleDict({k: nn.Linear(width, len(v)) for k, v in SAID.items()})

    def loss(self, context, scenes):
        rows, bias = context.rows[:, :-1], context.bias[:, 0, :, :-1]   # no padding
        scores = rows @ self.queries.mT + bias.mT
        seen = scores.softmax(1).mT @ rows
        loss = 0.0
        for i, (name, values) in enumerate(SAID.items()):
            truth = torch.tensor([values.index(getattr(s, name)) for s in scenes])
            guess = self.classes[name](seen[:, i])
            loss = loss + F.cross_entropy(guess.float(), truth.to(guess.device))
        return loss


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


def first_frame_mask(video):
    """The four channels [B, 4, T, h, w] that say which latent frame is given."""
    mask = torch.zeros_like(video[:, :4])
    mask[:, :, 0] = 1.0
    return mask


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

    def padding(self, progress):
        """Weight of the padding rows: grows from next to nothing to 1.  Before a tower has
        learnt that the words mean something, hundreds of equal rows are the easier thing
        to look at, and once all attention is there no gradient leads away from it."""
        return math.exp(-FADE * max(0.0, 1.0 - progress / (0.8 * ALONE)))

    def draw(self, rng, blank):
        """Clip numbers, of films without a picture where `blank` [n] says so."""
        pictures, everything = self.clips.pictures, len(self.clips.scenes)
        return np.where(blank, rng.integers(pictures, everything - HELD_OUT, blank.shape),
                        rng.integers(pictures - HELD_OUT, size=blank.shape))

    def beginnings(self, rng, progress):
        """Losses of films without a picture, before the first impact."""
        c = self.clips
        count = self.batch * (BEGINNINGS if progress < ALONE else 1)
        numbers = self.draw(rng, np.ones(count, bool))
        scenes = [c.scenes[n] for n in numbers]
        context = self.model.context([self.pieces.encode(prompts.describe(rng, s))
                                      for s in scenes], self.padding(progress))
        video = self.beginning_errors(numbers, context,
                                      noise_levels(len(numbers), BOUNDARY, 1.0))
        return video.mean(), self.model.reader.loss(context, scenes)

    def beginning_errors(self, numbers, context, sigma):
        """Weighted squared errors [B] of the first expert alone."""
        c, d = self.clips, self.device
        data = c.video[numbers, :, :BEGINNING].float().to(d)
        white = c.white[:, :BEGINNING].float().to(d).expand_as(data)
        noise = torch.randn(data.shape).to(d)
        s = sigma.to(d).view(-1, 1, 1, 1, 1)
        x = torch.cat([data + s * (noise - data), first_frame_mask(data), white], 1)
        with precision.autocast(d):
            guess = self.model.video_dit(x, context, 1000.0 * sigma.to(d))
        heavy = 1 + MOVING * c.cells[numbers, None, :BEGINNING].float().to(d)
        return weighted_square(guess, noise - data, heavy)

    def errors(self, numbers, captions, sigma, expert):
        """Weighted squared errors [B] of video and audio."""
        c, d = self.clips, self.device
        data, sound = (t[numbers].float().to(d) for t in (c.video, c.audio))
        first = torch.stack([c.condition[n] if n < c.pictures else c.white
                             for n in numbers]).float().to(d)
        s = sigma.to(d)
        mix = lambda x, noise: x + s.view(-1, *[1] * (x.ndim - 1)) * (noise - x)
        noise, hiss = (torch.randn(t.shape).to(d) for t in (data, sound))
        with precision.autocast(d):
            video, audio = self.model(
                expert, torch.cat([mix(data, noise), first_frame_mask(data), first], 1),
                mix(sound, hiss), self.model.context(captions), 1000.0 * s)
        heavy = 1 + MOVING * c.cells[numbers][:, None].float().to(d)
        loud = 1 + SOUNDING * c.slots[numbers][:, None].float().to(d)
        return (weighted_square(video, noise - data, heavy),
                weighted_square(audio, hiss - sound, loud))

    def __call__(self, own, shared, progress):
        beginning, reading = self.beginnings(own, progress)
        values = dict(loss=beginning + READING * reading, beginning=beginning,
                      reading=reading)
        if progress < ALONE:
            return values
        numbers = self.draw(own, own.random(self.batch) < NO_PICTURE)
        expert, low, high = self.expert(shared)
        sigma = noise_levels(self.batch, low, high)
        video, audio = self.errors(numbers, self.captions(own, numbers), sigma, expert)
        video, audio = video.mean(), audio.mean()
        loss = values["loss"] + video + AUDIO * audio
        return dict(values, loss=loss, video=video, audio=audio)

    @torch.no_grad()
    def check(self, stage):
        """Held-out losses, and how much they grow with swapped captions."""
        if stage.step % 200:
            return {}
        out, state = {}, torch.get_rng_state()
        order = np.roll(np.arange(HELD_OUT), HELD_OUT // 2)
        for name, lines in (("", np.arange(HELD_OUT)), ("_swapped", order)):
            torch.manual_seed(6)
            out.update({f"val_{k}{name}": v for k, v in self._held_out(lines).items()})
        torch.set_rng_state(state)
        return out

    def _held_out(self, lines):
        """Losses of the clips kept for it, each with the caption of clip `lines` [n]."""
        rng, c = np.random.default_rng(5), self.clips
        captions = lambda numbers: [self.pieces.encode(prompts.describe(
            rng, c.scenes[n], 1.0)) for n in numbers]
        own = np.arange(c.pictures - HELD_OUT, c.pictures)
        blank = np.arange(len(c.scenes) - HELD_OUT, len(c.scenes))
        told, sigma = captions(own), noise_levels(HELD_OUT, 0.0, 1.0)
        video, audio = zip(*(self.errors(own[part], [told[i] for i in lines[part]],
                                         sigma[part], self._by_level(sigma[part]))
                             for part in self._halves(sigma)))
        told, high = captions(blank), noise_levels(HELD_OUT, BOUNDARY, 1.0)
        beginning = self.beginning_errors(
            blank, self.model.context([told[i] for i in lines]), high)
        return dict(video=torch.cat(video).mean(), audio=torch.cat(audio).mean(),
                    beginning=beginning.mean())

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
    optimizer = Optimizer(model.named_parameters(), MUON_LR, 2e-3, text_is_gentle)
    stage = Stage("towers", folder, model, optimizer, seconds, seed)
    if init and keep:
        stage.marks["experts split"] = 0
    stage.resume()
    data = Clips(folder, clips, blanks, seed, device)
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

# SPDX-License-Identifier: Apache-2.0
"""Training of the video autoencoder on short crops around the falling thing."""
import numpy as np
import torch

from . import precision, presets, store, world
from .optim import Optimizer
from .trainer import Stage
from .video_vae import VideoVAE, init_identity

# (clips, frames, side) of a batch, long and short, about equally dear; and the whole
# clips that the decoder sees at the end.  One clip (1, 17, 64) is not among them: with one
# thread PyTorch convolves it in f32 on a path that takes six times as long.
BATCHES = [(2, 9, 64), (4, 17, 32), (2, 17, 48), (2, 33, 32), (2, 49, 24), (1, 49, 32)]
LAST_BATCHES = [(1, 49, 64), (2, 49, 32), (2, 17, 64)]
MOVING = 9.0                # extra weight of the thing and its shadow
MUON_LR = 0.002
FROZEN_AT = 0.8             # share of the time after which the encoder is kept


def crop_start(rng, centre, side):
    """First row or column of a crop that holds `centre`."""
    low, high = centre - side + 4, centre - 4
    return int(np.clip(rng.integers(int(low), int(high) + 1), 0, world.SIZE - side))


def draw_clip(rng, frames, side):
    """A cropped clip [F, side, side, 3] u8 and its mask [F, side, side]."""
    scene = world.sample_scene(rng)
    first = int(rng.integers(0, world.FRAMES - frames + 1))
    numbers = np.arange(first, first + frames)
    middle = world.height(scene, numbers[frames // 2:frames // 2 + 1] / world.FPS)[0]
    top = crop_start(rng, scene.ground - scene.radius - middle, side)
    left = crop_start(rng, scene.x, side)
    window = (slice(None), slice(top, top + side), slice(left, left + side))
    return (world.render(scene, numbers)[window],
            world.motion_mask(scene, numbers)[window])


def draw_batch(rng, kind):
    """Video [B, 3, F, s, s] in [-1, 1] and weights [B, 1, F, s, s]."""
    count, frames, side = kind
    clips, masks = zip(*(draw_clip(rng, frames, side) for _ in range(count)))
    video = torch.from_numpy(np.stack(clips)).permute(0, 4, 1, 2, 3).float()
    weight = 1.0 + MOVING * torch.from_numpy(np.stack(masks)).float()[:, None]
    return video / 127.5 - 1.0, weight


def _weighted(difference, weight):
    return (difference * weight).sum() / (weight.sum() * difference.size(1))


def reconstruction_loss(guess, truth, weight):
    """Pixels, chroma, and gradients in space and time, all heavier where things move.

    Without the chroma term the thing stays grey for long; the gradients make edges."""
    d = guess - truth
    chroma = d - d.mean(1, keepdim=True)
    loss = _weighted(d.abs() + d.square(), weight) + _weighted(chroma.abs(), weight)
    loss += 0.5 * _weighted(d.diff(dim=-1).abs(), weight[..., 1:])
    loss += 0.5 * _weighted(d.diff(dim=-2).abs(), weight[..., 1:, :])
    return loss + 0.25 * _weighted(d.diff(dim=2).abs(), weight[:, :, 1:])


def psnr(guess, truth, weight):
    """(of the picture, of the moving thing), dB."""
    square = (guess.clamp(-1, 1) - truth).square()
    moving = (weight > 1).expand_as(square)
    return [float(10 * torch.log10(4 / square[m].mean().clamp_min(1e-9)))
            for m in (torch.ones_like(moving), moving)]


class Losses:
    def __init__(self, vae, device):
        self.vae, self.device = vae, device

    def __call__(self, own, shared, progress):
        frozen = not self.vae.encoder.conv_in.weight.requires_grad
        kinds = LAST_BATCHES if frozen else BATCHES
        batch = draw_batch(own, kinds[shared.integers(len(kinds))])
        video, weight = (t.to(self.device) for t in batch)
        with precision.autocast(self.device):
            with torch.set_grad_enabled(not frozen):
                mean = self.vae.encode(video)
            noise = 0.03 if frozen else 0.1
            guess = self.vae.decode(mean + noise * torch.randn_like(mean))
        mean, guess = mean.float(), guess.float()
        loss = reconstruction_loss(guess, video, weight)
        with torch.no_grad():
            whole, thing = psnr(guess, video, weight)
        return dict(loss=loss + 1e-3 * mean.square().mean(), reconstruction=loss,
                    psnr=torch.tensor(whole), psnr_thing=torch.tensor(thing),
                    latent=mean.square().mean().sqrt())


def freeze_encoder(stage):
    """From FROZEN_AT on only the decoder learns; the encoder becomes its average."""
    vae = stage.model
    if stage.once("encoder frozen", FROZEN_AT):
        vae.load_state_dict({k: v for k, v in stage.average.values.items()
                             if k.startswith(("encoder.", "quant_conv."))}, strict=False)
        stage.save()
    if "encoder frozen" in stage.marks:
        vae.encoder.requires_grad_(False)
        vae.quant_conv.requires_grad_(False)


def build(init=None):
    if init:
        vae = VideoVAE(store.load_json(f"{init}/video_vae/config.json"))
        vae.load_state_dict(store.load_folder(f"{init}/video_vae"))
        return vae
    vae = VideoVAE(presets.VIDEO_VAE)
    init_identity(vae)
    return vae


def train(folder, seconds, seed, device="cpu", init=None, keep=True):
    """`keep`: what begins from an exported model leaves its encoder as it is, so that
    towers trained on its latents still fit."""
    torch.manual_seed(seed)
    vae = build(init).to(device)
    gentle = 0.5 if init and keep else 1.0
    optimizer = Optimizer(vae.named_parameters(), MUON_LR * gentle, 2e-3 * gentle)
    stage = Stage("video_vae", folder, vae, optimizer, seconds, seed)
    if init and keep:
        stage.marks["encoder frozen"] = 0
    stage.resume()
    stage.run(Losses(vae, device), before=freeze_encoder)


def load(folder, device="cpu"):
    """The averaged model of a finished (or running) training."""
    vae = build(store.load_json(f"{folder}/run.json").get("init"))
    vae.load_state_dict(store.load_checkpoint(f"{folder}/video_vae.checkpoint")["average"])
    return vae.to(device).eval()

# SPDX-License-Identifier: Apache-2.0
"""Training of the audio autoencoder on crops of the world's sound."""
import numpy as np
import torch

from . import precision, presets, store, world
from .audio_vae import AudioVAE, init_even, rotate_latents
from .optim import Optimizer
from .trainer import Stage

BATCH, CROP = 4, 24         # clips, slots of 20 ms
NEAR_HIT = 0.7              # share of crops that contain an impact
SPECTRAL_FROM = 0.4         # share of the time after which spectra weigh fully
WINDOWS = (256, 1024, 4096)
LATENT_NOISE = 0.05
MUON_LR = 0.003


def draw_crop(rng):
    """Sound [CROP * SLOT], f32."""
    scene = world.sample_scene(rng)
    start = int(rng.integers(0, world.SLOTS - CROP + 1))
    if rng.random() < NEAR_HIT:
        slot = world.impacts(scene)[rng.integers(len(world.impacts(scene)))][0]
        start = int(np.clip(slot - rng.integers(0, CROP - 4), 0, world.SLOTS - CROP))
    return world.sound(scene)[start * world.SLOT:(start + CROP) * world.SLOT]


def relative_error(guess, truth):
    """Mean of |guess - truth|^2 / |truth|^2 over the clips; near silence softened."""
    error = (guess - truth).square().mean(-1)
    return (error / (truth.square().mean(-1) + 1e-4)).mean()


def spectral_error(guess, truth):
    """Difference of magnitudes, relative and of their logarithms, over windows."""
    total = 0.0
    for n in WINDOWS:
        window = torch.hann_window(n, device=guess.device)
        a, b = (torch.stft(s[:, 0], n, n // 4, window=window, return_complex=True).abs()
                for s in (guess, truth))
        total += (a - b).norm() / (b.norm() + 1e-3)
        total += 0.5 * ((a + 1e-2).log() - (b + 1e-2).log()).abs().mean()
    return total / len(WINDOWS)


class Losses:
    def __init__(self, vae, device):
        self.vae, self.device, self.count = vae, device, 0

    def __call__(self, own, shared, progress):
        sound = np.stack([draw_crop(own) for _ in range(BATCH)])
        truth = torch.from_numpy(sound)[:, None].to(self.device)
        with precision.autocast(self.device):
            mean = self.vae.encode(truth)
            guess = self.vae.decode(mean + LATENT_NOISE * torch.randn_like(mean))
        mean, guess = mean.float(), guess.float()
        wave = relative_error(guess, truth)
        loss = wave + 1e-3 * mean.square().mean()
        late, now = progress >= SPECTRAL_FROM, int(shared.integers(4)) == 0
        if late or now:
            loss = loss + (0.7 if late else 0.1) * spectral_error(guess, truth)
        error = (guess - truth).square().mean().clamp_min(1e-12)
        snr = 10 * torch.log10(truth.square().mean().clamp_min(1e-9) / error)
        return dict(loss=loss, wave=wave, snr=snr, latent=mean.square().mean().sqrt())


@torch.no_grad()
def clamp_snakes(stage):
    """Muon diverges when an alpha crosses zero."""
    for name, p in stage.model.named_parameters():
        if name.endswith("alpha"):
            p.clamp_(0.2, 8.0)


def build(init=None):
    if init:
        vae = AudioVAE(store.load_json(f"{init}/audio_vae/config.json"))
        vae.load_state_dict(store.load_folder(f"{init}/audio_vae"))
        return vae
    vae = AudioVAE(presets.AUDIO_VAE)
    rng = np.random.default_rng(0)
    init_even(vae, torch.from_numpy(np.stack([draw_crop(rng) for _ in range(8)]))[:, None])
    return vae


def train(folder, seconds, seed, device="cpu", init=None):
    """The encoder of an exported model stays as it is: the towers know its latents."""
    torch.manual_seed(seed)
    vae = build(init).to(device)
    if init:
        vae.encoder.requires_grad_(False)
        vae.quant_conv.requires_grad_(False)
    gentle = 0.5 if init else 1.0
    optimizer = Optimizer(vae.named_parameters(), MUON_LR * gentle, 2e-3 * gentle,
                          lambda name: 0.2 if name.endswith("alpha") else 1.0)
    stage = Stage("audio_vae", folder, vae, optimizer, seconds, seed)
    stage.resume()
    stage.run(Losses(vae, device), before=clamp_snakes)


def load(folder, device="cpu"):
    """The averaged model.  The latents of a new one are rotated to unit variance; those
    of one that began from an exported folder stay as the towers know them."""
    init = store.load_json(f"{folder}/run.json").get("init")
    vae = build(init)
    vae.load_state_dict(store.load_checkpoint(f"{folder}/audio_vae.checkpoint")["average"])
    if not init:
        rng = np.random.default_rng(0)
        sounds = np.stack([world.sound(world.sample_scene(rng)) for _ in range(64)])
        with torch.no_grad():
            latents = vae.encode(torch.from_numpy(sounds)[:, None])
            rotate_latents(vae, latents.transpose(1, 2).flatten(0, 1))
    return vae.to(device).eval()

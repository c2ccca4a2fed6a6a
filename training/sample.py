# SPDX-License-Identifier: Apache-2.0
"""The sampling loop of the pipeline in PyTorch: what the program is compared with."""
import torch

from . import latents, prompts, store, tower_losses, train_towers, train_video_vae
from .export import SCHEDULER


def sigmas(steps, shift):
    """The schedule [steps] of timesteps / 1000, f32."""
    s = torch.linspace(1.0, 0.0, steps + 1, dtype=torch.float32)[:-1]
    return shift * s / (1 + (shift - 1) * s)


def used_sigma(s, table):
    """The sigma that a step works with: the nearest of the training table."""
    return table[(table * 1000 - s * 1000).abs().argmin()]


def guided(model, expert, video, audio, contexts, t, scale):
    """Velocities (video, audio) without their batch; contexts: of the prompt and of the
    negative one, which only counts where the guidance scale is not 1."""
    told = model(expert, video[None], audio[None], contexts[0], t)
    if scale == 1.0:
        return [v[0] for v in told]
    plain = model(expert, video[None], audio[None], contexts[1], t)
    return [n[0] + scale * (p[0] - n[0]) for p, n in zip(told, plain)]


@torch.no_grad()
def sample(folder, prompt, picture, seed):
    """Latents (video [z, T, h, w] normalised, audio [C, La]) of one film with the model's
    own settings, f32.  picture [H, W, 3], u8."""
    settings = store.load_json(f"{folder}/generation_config.json")
    steps, scale = settings["num_inference_steps"], settings["guidance_scale"]
    scales = (scale, settings.get("guidance_scale_2", scale))
    model, pieces = train_towers.build(folder)
    vae = train_video_vae.build(folder)
    config = vae.config
    mean, std = (torch.tensor(config[k])[:, None, None, None]
                 for k in ("latents_mean", "latents_std"))
    first = (vae.encode(latents.condition_clip(picture))[0] - mean) * (1 / std)
    mask = torch.zeros(4, *first.shape[1:])
    mask[:, 0] = 1.0
    length = (int(48000 * 49 / 24) - 1) // 960 + 1
    generator = torch.Generator().manual_seed(seed)
    video = torch.randn(first.shape, generator=generator)
    audio = torch.randn(model.audio_dit.config["in_dim"], length, generator=generator)
    contexts = [model.context([pieces.encode(text)])
                for text in (prompt, prompts.NEGATIVE)]
    run, table = sigmas(steps, SCHEDULER["shift"]), sigmas(1000, SCHEDULER["shift"])
    for i, s in enumerate(run):
        step_to = used_sigma(run[i + 1], table) if i + 1 < steps else torch.tensor(0.0)
        expert = int(float(s) * 1000 < tower_losses.BOUNDARY * 1000)
        v, a = guided(model, expert, torch.cat([video, mask, first]), audio, contexts,
                      1000 * s[None], scales[expert])
        change = step_to - used_sigma(s, table)
        video, audio = video + v * change, audio + a * change
    return video, audio

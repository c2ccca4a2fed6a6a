# SPDX-License-Identifier: Apache-2.0
"""python -m training.roundtrip MODEL [SCENES]: what both autoencoders alone do to films.

Encodes and decodes unseen clips with an exported model, measures them as the quality
tests do, and writes roundtrip.json into the model's folder."""
import sys

import numpy as np
import torch

from . import detect, latents, measure, precision, store, train_audio_vae, \
    train_video_vae, world

SEED = 20000


@torch.no_grad()
def through(video_vae, audio_vae, scene):
    """The clip as it comes back: ([F, H, W, 3] u8, [n] f32)."""
    clip = latents.to_video(world.render(scene))
    with precision.autocast("cpu"):
        film = video_vae.decode(video_vae.encode(clip))[0].float().clamp(-1, 1)
    film = ((film * 0.5 + 0.5) * 255).round().permute(1, 2, 3, 0).byte().numpy()
    sound = torch.from_numpy(world.sound(scene))[None, None]
    return film, audio_vae.decode(audio_vae.encode(sound))[0, 0].numpy()


def sharpness(film, scene):
    """PSNR of the whole picture and of the thing with its shadow, dB."""
    truth, mask = world.render(scene), world.motion_mask(scene)
    return detect.psnr(film, truth), detect.psnr(film[mask], truth[mask])


def loss_of_sound(sound, scene):
    """Signal to noise ratio of the waveform, dB."""
    truth = world.sound(scene)
    return 10 * np.log10((truth ** 2).sum() / ((truth - sound) ** 2).sum())


def main(model, count=24):
    video_vae, audio_vae = train_video_vae.build(model), train_audio_vae.build(model)
    rng = np.random.default_rng(SEED)
    scenes = [world.sample_scene(rng) for _ in range(count)]
    films = [through(video_vae, audio_vae, s) for s in scenes]
    out = measure.summarize([measure.measure(*f, s) for f, s in zip(films, scenes)])
    picture = [sharpness(f, s) for (f, _), s in zip(films, scenes)]
    out["picture_db"], out["thing_db"] = (float(np.mean(x)) for x in zip(*picture))
    out["sound_db"] = float(np.mean([loss_of_sound(a, s) for (_, a), s in zip(films, scenes)]))
    store.save_json(f"{model}/roundtrip.json", out)
    print(out)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))

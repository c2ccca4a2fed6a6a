# SPDX-License-Identifier: Apache-2.0
"""The towers' training data: video latents of clips, encoded once and kept in shards.

Clip i of a seed is always the same scene.  Some clips are for films without a picture:
in these the thing falls from high up in the middle, so that the sentence says nearly all
that will be seen; where it could be anywhere, the towers learn its colour far too slowly.

Each process that encodes takes the next
shard that nobody has written or begun; a killed process leaves at most a begun shard,
which is done again.
"""
import os

import numpy as np
import torch
import torch.nn.functional as F

from . import parallel, precision, store, train_audio_vae, train_video_vae, world

SHARD = 40                  # clips
TOGETHER = {"cpu": 2}       # clips that are encoded at a time (elsewhere a whole shard): on
                            # a processor PyTorch convolves one alone on a path that takes
                            # up to three times as long
SEEN = 4                    # clips on which the effect of a latent channel is measured,
NUDGE = 0.2                 # its deviations by which it is moved
WHITE = 255                 # of the picture that stands for "no picture"


def scene_of(seed, number):
    return world.sample_scene(np.random.default_rng([seed, 77, number]))


def central_scene_of(seed, number):
    """The scene of a clip without a picture."""
    rng = np.random.default_rng([seed, 78, number])
    horizon, size = 43.0, str(rng.choice(list(world.RADII)))
    fall = world.longest_fall(size, horizon) - int(rng.integers(3))
    return world.sample_scene(rng, x=world.SIZE / 2, horizon=horizon, size=size, fall=fall)


def to_video(frames):
    """u8 [F, H, W, 3] -> f32 [1, 3, F, H, W] in [-1, 1]."""
    return torch.from_numpy(frames).permute(3, 0, 1, 2)[None].float() / 127.5 - 1.0


def condition_clip(picture):
    """First frame u8 [H, W, 3], then mid-grey: what the pipeline encodes."""
    clip = torch.zeros(1, 3, world.FRAMES, *picture.shape[:2])
    clip[:, :, 0] = to_video(picture[None])[:, :, 0]
    return clip


@torch.no_grad()
def encode(vae, clips, device):
    """Latents [B, z, T, h, w] of clips [B, 3, F, H, W]."""
    with precision.autocast(device):
        return vae.encode(clips.to(device)).float().cpu().half()


def encode_conditions(vae, pictures, device):
    """Latents [B, z, T, h, w] of the conditions that begin with `pictures` [H, W, 3], u8.

    Where time still has its full length, the layers look back 10 frames at most; all
    later frames are equal there, so 13 are worked out and the last one is repeated."""
    clips = torch.cat([condition_clip(p)[:, :, :13] for p in pictures]).to(device)
    encoder, still = vae.encoder, 2 * vae.config["num_res_blocks"] + 1
    with torch.no_grad(), precision.autocast(device):
        x = encoder.conv_in(clips)
        for block in encoder.down_blocks[:still]:
            x = block(x)
        x = torch.cat([x, x[:, :, -1:].expand(-1, -1, world.FRAMES - 13, -1, -1)], 2)
        for block in encoder.down_blocks[still:]:
            x = block(x)
        x = encoder.conv_out(F.silu(encoder.norm_out(encoder.mid_block(x))))
        return vae.quant_conv(x)[:, :vae.config["z_dim"]].cpu().half()


def encode_clips(vae, scenes, device, pictures=True):
    """Latents [n, z, T, h, w] of the clips and, if they have pictures, of their
    conditions."""
    parts, together = [], TOGETHER.get(device, SHARD)
    for at in range(0, len(scenes), together):
        frames = [world.render(s) for s in scenes[at:at + together]]
        part = dict(video=encode(vae, torch.cat([to_video(f) for f in frames]), device))
        if pictures:
            part["condition"] = encode_conditions(vae, [f[0] for f in frames], device)
        parts.append(part)
    return {k: torch.cat([p[k] for p in parts]) for k in parts[0]}


@torch.no_grad()
def encode_sounds(folder, scenes, device):
    """Audio latents [n, C, La].  Sounds depend on three things, so few are distinct;
    those are kept in the folder."""
    path = os.path.join(folder, "latents", "sounds.pt")
    known = store.load_checkpoint(path) if os.path.exists(path) else {}
    vae, before = train_audio_vae.load(folder, device), len(known)
    names = [f"{s.material} {s.size} {s.fall}" for s in scenes]
    for name, scene in zip(names, scenes):
        if name not in known:
            sound = torch.from_numpy(world.sound(scene))[None, None].to(device)
            with precision.autocast(device):
                known[name] = vae.encode(sound)[0].cpu().half()
    if len(known) > before:
        store.save_checkpoint(path, known)
    return torch.stack([known[name] for name in names])


def _path(folder, kind, number):
    return os.path.join(folder, "latents", f"{kind}{number:05d}.pt")


def _claim(path):
    """Whether this process may write the shard."""
    try:
        os.close(os.open(path + ".begun", os.O_CREAT | os.O_EXCL))
        return True
    except FileExistsError:
        return False


def forget_begun(folder):
    """Free the shards that a killed process had begun; nothing may be encoding."""
    os.makedirs(os.path.join(folder, "latents"), exist_ok=True)
    for name in os.listdir(os.path.join(folder, "latents")):
        if name.endswith(".begun"):
            os.remove(os.path.join(folder, "latents", name))


def cache(folder, clips, blanks, seed, device="cpu"):
    """Encode all clips that are missing, `clips` with a picture and `blanks` without;
    several processes may do so at a time."""
    os.makedirs(os.path.join(folder, "latents"), exist_ok=True)
    vae = train_video_vae.load(folder, device)
    wanted = [("", scene_of, i) for i in range(-(-clips // SHARD))] \
        + [("blank", central_scene_of, i) for i in range(-(-blanks // SHARD))]
    for kind, scene, shard in wanted:
        path = _path(folder, kind, shard)
        if os.path.exists(path) or not _claim(path):
            continue
        scenes = [scene(seed, shard * SHARD + i) for i in range(SHARD)]
        store.save_checkpoint(path, encode_clips(vae, scenes, device, not kind))
        print("latents:", kind, shard, flush=True)
    if parallel.rank() > 0:
        return
    white, shown = (os.path.join(folder, "latents", f"{name}.pt")
                    for name in ("white", "visibility"))
    if not os.path.exists(white):
        picture = np.full((world.SIZE, world.SIZE, 3), WHITE, np.uint8)
        store.save_checkpoint(white, dict(
            condition=encode_conditions(vae, [picture], device)[0]))
    if not os.path.exists(shown):
        some = encode_clips(vae, [scene_of(seed, i) for i in range(SEEN)], device, False)
        store.save_checkpoint(shown, dict(
            visibility=visibility(vae, some["video"].float().to(device))))


@torch.no_grad()
def visibility(vae, video):
    """How much each channel [C] shows: the mean square change of the picture when noise is
    added to it; 1 on average.  video: latents [B, C, T, h, w].

    Normalised, all channels are as loud, but the autoencoder leaves some nearly without
    effect on the picture."""
    plain, spread = vae.decode(video), video.std((0, 2, 3, 4))
    noise = torch.randn(video[:, 0].shape,
                        generator=torch.Generator().manual_seed(0)).to(video)
    change = torch.zeros(len(spread))
    for c in range(len(spread)):
        moved = video.clone()
        moved[:, c] += NUDGE * spread[c] * noise
        change[c] = (vae.decode(moved) - plain).square().mean()
    return change / change.mean()


def moving_cells(scene):
    """Latent cells [T, h, w] in which the thing or its shadow is, bool."""
    mask = world.motion_mask(scene)
    groups = [mask[:1]] + [mask[i:i + 4] for i in range(1, world.FRAMES, 4)]
    cells = np.stack([g.any(0) for g in groups])
    n = world.SIZE // 8
    return cells.reshape(len(groups), n, 8, n, 8).mean((2, 4)) > 0.05


def sounding_slots(scene, length=8):
    """Audio frames [La] from just before each impact on, bool."""
    out = np.zeros(world.SLOTS, bool)
    for slot, _ in world.impacts(scene):
        out[max(slot - 1, 0):slot + length] = True
    return out


def statistics(folder, video):
    """Mean and deviation [C] of every latent channel, written beside the shards."""
    video = video.float()
    mean, std = video.mean((0, 2, 3, 4)), video.std((0, 2, 3, 4))
    mean, std = (torch.tensor([round(float(x), 4) for x in t]) for t in (mean, std))
    store.save_json(os.path.join(folder, "latents", "statistics.json"),
                    dict(mean=mean.double().round(decimals=4).tolist(),
                         std=std.double().round(decimals=4).tolist()))
    return mean, std


class Clips:
    """All latents in memory, the video's normalised; index them by clip number.

    The first `pictures` clips have a condition of their own; the others, to whom
    `white` belongs, have none."""

    def __init__(self, folder, clips, blanks, seed, device="cpu"):
        self.pictures = clips
        load = lambda kind, count: [store.load_checkpoint(_path(folder, kind, i))
                                    for i in range(-(-count // SHARD))]
        join = lambda shards, key, count: torch.cat([s[key] for s in shards])[:count]
        own, blank = load("", clips), load("blank", blanks)
        video = join(own, "video", clips)
        self.mean, self.std = statistics(folder, video)
        self.video = self.normalize(torch.cat([video, join(blank, "video", blanks)]))
        self.condition = self.normalize(join(own, "condition", clips))
        self.scenes = [scene_of(seed, i) for i in range(clips)] \
            + [central_scene_of(seed, i) for i in range(blanks)]
        white = store.load_checkpoint(os.path.join(folder, "latents", "white.pt"))
        self.white = self.normalize(white["condition"][None])[0]
        self.visibility = store.load_checkpoint(
            os.path.join(folder, "latents", "visibility.pt"))["visibility"]
        self.audio = encode_sounds(folder, self.scenes, device)
        self.cells = torch.from_numpy(np.stack([moving_cells(s) for s in self.scenes]))
        self.slots = torch.from_numpy(np.stack([sounding_slots(s) for s in self.scenes]))

    def normalize(self, latents):
        mean, std = (t[:, None, None, None] for t in (self.mean, self.std))
        return ((latents.float() - mean) / std).half()

# SPDX-License-Identifier: Apache-2.0
"""What the towers' steps minimise.

Flow matching: x = (1 - s) data + s noise, and the model tells noise - data.

What a film without a picture looks like is decided by the text where noise is strong.
To learn that takes very many sentences, more than there is time for with whole clips.
So at first only the text encoder learns, by being asked what sentences say (`Reader`);
then come beginnings of films without a picture, a few latent frames without sound; then
whole clips beside these.  Towers that listen to the text already begin with the last, and
their text encoder is asked no more: the reader, which is in no model, would begin anew
and lead it astray."""
import math

import numpy as np
import torch

from . import precision, prompts, tokenizer

SHIFT = 8.0                 # of the noise levels in training: when things hit, and
                            # what is heard, is decided where noise is strong
BOUNDARY = 0.9              # sigma below which the second expert works
HIGH_SHARE = 0.35           # of the steps after that which train the first one; shapes
                            # are the second one's
MOVING, SOUNDING = 8.0, 2.0  # extra weight of latent cells and of audio frames
AUDIO = 2.0                 # weight of the audio loss
NO_PROMPT, NO_PICTURE = 0.1, 0.3
ONLY_READING = 0.02         # share of the time in which only the text encoder learns
ALONE = 0.1                 # share of the time until whole clips come
FADE = 8.0                  # logarithm of the first weight of the padding rows
BEGINNING = 3               # latent frames of a beginning
BEGINNINGS = 3              # times the batch, while they are alone
READING = 0.2               # weight of what the text encoder is asked
READINGS = 16               # sentences it is asked about, times the batch, likewise
HELD_OUT = 32               # clips at the end of the cache, for the logs


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
    def __init__(self, model, clips, pieces, batch, device, listens=False):
        """`listens`: the towers have learnt before that the text means something."""
        self.model, self.clips, self.pieces = model, clips, pieces
        self.batch, self.device = batch, device
        self.reading_until, self.alone_until = (0.0, 0.0) if listens \
            else (ONLY_READING, ALONE)
        self.asks = not listens
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
        """Weight of the padding rows: grows from next to nothing to 1 in the first 0.8 of
        the time alone.  Before a tower has learnt that the words mean something, hundreds
        of equal rows are the easier thing to look at, and once all attention is there no
        gradient leads away from it."""
        grown = 0.8 * self.alone_until
        return math.exp(-FADE * (1.0 - progress / grown)) if progress < grown else 1.0

    def draw(self, rng, blank):
        """Clip numbers, of films without a picture where `blank` [n] says so."""
        pictures, everything = self.clips.pictures, len(self.clips.scenes)
        return np.where(blank, rng.integers(pictures, everything - HELD_OUT, blank.shape),
                        rng.integers(pictures - HELD_OUT, size=blank.shape))

    def sentences(self, rng, numbers, padding=1.0):
        """Context of a sentence about each of the clips."""
        return self.model.context(
            [self.pieces.encode(prompts.describe(rng, self.clips.scenes[n]))
             for n in numbers], padding)

    def beginning(self, rng, progress):
        """Loss of films without a picture, before the first impact."""
        count = self.batch * (BEGINNINGS if progress < self.alone_until else 1)
        numbers = self.draw(rng, np.ones(count, bool))
        context = self.sentences(rng, numbers, self.padding(progress))
        sigma = noise_levels(count, BOUNDARY, 1.0)
        return self.beginning_errors(numbers, context, sigma).mean()

    def reading(self, rng, progress):
        """Loss of the reader's answers."""
        count = self.batch * (READINGS if progress < self.alone_until else 1)
        numbers = self.draw(rng, rng.random(count) < NO_PICTURE)
        return self.model.reader.loss(self.sentences(rng, numbers),
                                      [self.clips.scenes[n] for n in numbers])

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
        heavy = self.video_weight(numbers)[:, :, :BEGINNING]
        return weighted_square(guess, noise - data, heavy)

    def video_weight(self, numbers):
        """[B, C, T, h, w]: where things move counts more, and channels that show."""
        cells = self.clips.cells[numbers][:, None].float()
        channels = (1 + self.clips.visibility).view(-1, 1, 1, 1) / 2
        return ((1 + MOVING * cells) * channels).to(self.device)

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
        heavy = self.video_weight(numbers)
        loud = 1 + SOUNDING * c.slots[numbers][:, None].float().to(d)
        return (weighted_square(video, noise - data, heavy),
                weighted_square(audio, hiss - sound, loud))

    def __call__(self, own, shared, progress):
        values = dict(loss=0.0)
        if self.asks:
            reading = self.reading(own, progress)
            values = dict(loss=READING * reading, reading=reading)
        if progress < self.reading_until:
            return values
        beginning = self.beginning(own, progress)
        values.update(loss=values["loss"] + beginning, beginning=beginning)
        if progress < self.alone_until:
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

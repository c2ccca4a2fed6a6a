# SPDX-License-Identifier: Apache-2.0
"""What a film shows and lets hear, measured without knowing how it was made.

Only numpy is needed.  Pictures are [F, H, W, 3], u8 or f32 of 0..255; sounds [n] f32 at
48 kHz; times in seconds.  Every detector is meant to be run on the world's own films,
too: what it measures there is its bias.
"""
from dataclasses import replace

import numpy as np

from . import world

STEP = 0.005                # of impact times, s
SHORTEST = 0.16             # flight, s
PENALTY = 1.2               # pixels^2 that one more impact has to explain


# --- where the thing is -----------------------------------------------------------------

LIFTS = np.arange(-2.0, 48.0, 0.25)


def _differences(film, scene):
    """Sum of squares [F, n] between every frame and the thing at every height."""
    window = (slice(None), slice(None), world.columns(scene))
    shapes = world.draw(scene, LIFTS)[window].reshape(len(LIFTS), -1)
    frames = film[window].astype(np.float32).reshape(len(film), -1)
    return (frames ** 2).sum(1)[:, None] - 2 * frames @ shapes.T + (shapes ** 2).sum(1)


def track(film, scene):
    """Height [F] of the thing in every frame and the misfit [F] there."""
    cost = _differences(film, scene)
    at = np.clip(cost.argmin(1), 1, len(LIFTS) - 2)
    rows = np.arange(len(film))
    left, middle, right = (cost[rows, at + i] for i in (-1, 0, 1))
    bend = np.maximum(left - 2 * middle + right, 1e-6)
    offset = np.clip(0.5 * (left - right) / bend, -0.5, 0.5)
    return LIFTS[at] + 0.25 * offset, middle


def shape(film, scene):
    """"ball" or "cube": whichever template fits the film better."""
    misfit = {s: track(film, replace(scene, shape=s))[1].sum() for s in world.SHAPES}
    return min(misfit, key=misfit.get)


# --- when it hits: picture -----------------------------------------------------------------

def _costs(lift, times, starts, ends):
    """Misfit [starts, ends] of a flight from one impact to another; lift at `times`."""
    out = np.zeros((len(starts), len(ends)))
    for value, t in zip(lift, times):
        inside = (starts[:, None] <= t) & (t < ends[None])
        arc = world.GRAVITY / 2 * (t - starts[:, None]) * (ends[None] - t)
        out += inside * np.minimum((value - arc) ** 2, 16.0)
    return out


def picture_impacts(lift):
    """Times [n] of the impacts that best explain the heights [F]: a fall from rest,
    free flights between impacts, then rest.  Found by dynamic programming."""
    times = np.arange(len(lift)) / world.FPS
    last = times[-1] + 0.5 / world.FPS
    grid = np.arange(0.0, last + 1.0, STEP)
    fall = world.GRAVITY / 2 * (grid[:, None] ** 2 - times[None] ** 2)
    before = times[None] < grid[:, None]
    best = (before * np.minimum((lift - fall) ** 2, 16.0)).sum(1) + PENALTY
    best[grid < SHORTEST] = np.inf
    inner = grid < last
    flight = _costs(lift, times, grid[inner], grid) + PENALTY
    flight[grid[None] - grid[inner][:, None] < SHORTEST] = np.inf
    came_from = np.full(len(grid), -1)
    for j in range(len(grid)):
        reach = best[:inner.sum()] + flight[:, j]
        reach[j:] = np.inf
        i = int(reach.argmin())
        if reach[i] < best[j]:
            best[j], came_from[j] = reach[i], i
    rest = ((times[None] >= grid[:, None]) * np.minimum(lift[None] ** 2, 16.0)).sum(1)
    j, out = int((best + rest).argmin()), []
    while j >= 0:
        out.append(grid[j])
        j = came_from[j]
    return np.array([t for t in out[::-1] if t < last])


# --- when it hits: sound -------------------------------------------------------------------

WINDOW, HOP = 480, 96       # 10 ms, 2 ms
BINS = 30                   # of 100 Hz each that are looked at
FLUX = 0.26                 # least rise of the spectrum that counts as an onset
QUIET = 0.006               # samples below this are silence
APART = 0.07                # s between two onsets


def _spectra(sound):
    padded = np.concatenate([np.zeros(WINDOW), sound])
    count = (len(padded) - WINDOW) // HOP + 1
    at = np.arange(count)[:, None] * HOP + np.arange(WINDOW)[None]
    return np.abs(np.fft.rfft(padded[at] * np.hanning(WINDOW), axis=1)) / (WINDOW / 4)


def flux(sound):
    """How much the spectrum rises at each hop, in compressed magnitude."""
    loud = np.log1p(_spectra(sound)[:, :BINS] / QUIET)
    back = 5                            # hops: the window must have moved past the rise
    rise = np.maximum(loud[back:] - loud[:-back], 0).mean(1)
    return np.concatenate([np.zeros(back), rise])


def _start(sound, rough):
    """The sample, in s, where the level first passes a third of what follows."""
    a = max(int((rough - 0.012) * world.RATE), 0)
    part = np.abs(sound[a:a + int(0.03 * world.RATE)])
    if not len(part):
        return rough
    new = np.abs(np.diff(part, prepend=part[:1]))
    level = np.maximum.accumulate(new)
    return (a + int((level >= 0.4 * level[-1]).argmax())) / world.RATE


def sound_onsets(sound):
    """Times [n] of the impacts that are heard."""
    rise, out = flux(sound), []
    for i in range(1, len(rise) - 1):
        near = rise[max(i - 12, 0):i + 13]
        if rise[i] < FLUX or rise[i] < near.max():
            continue
        time = _start(sound, (i * HOP - WINDOW / 2) / world.RATE)
        if not out or time - out[-1] > APART:
            out.append(time)
    return np.array(out)


def _print_of(sound):
    """Spectrum of the first 150 ms, of unit length."""
    part = np.zeros(int(0.15 * world.RATE))
    part[:min(len(sound), len(part))] = sound[:len(part)]
    spectrum = np.abs(np.fft.rfft(part * np.exp(-np.arange(len(part)) / 2400.0)))[:1500]
    spectrum = np.sqrt(np.convolve(spectrum, np.ones(5) / 5, "same"))
    return spectrum / (np.linalg.norm(spectrum) + 1e-9)


PRINTS = {(m, s): _print_of(world.hit_sound(m, s))
          for m in world.MATERIALS for s in world.RADII}


def timbre(sound, onset):
    """(material, size) whose impact sounds most like the one at `onset`."""
    heard = _print_of(sound[int(onset * world.RATE):])
    return max(PRINTS, key=lambda key: float(heard @ PRINTS[key]))


# --- colours ---------------------------------------------------------------------------------

def _means(film, mask):
    """Mean colour [n, 3] of the pixels of a mask [F, H, W] in each of the n frames in
    which it has any."""
    counts = mask.sum((1, 2))
    sums = (film * mask[..., None]).sum((1, 2))
    return sums[counts > 0] / counts[counts > 0, None]


def colour_errors(film, scene, lift):
    """Mean absolute errors of 255, frame by frame, so that what flickers is an error:
    (thing, floor, wall).  A thing that is in no frame has the greatest error."""
    film, wanted = film.astype(np.float32), world.draw(scene, lift)
    inside = world.thing_mask(scene, lift, reach=-1.5)
    thing = np.abs(_means(film, inside) - _means(wanted, inside)).mean() \
        if inside.any() else 255.0
    free = np.ones(world.SIZE, bool)
    free[world.columns(scene)] = False
    rows = np.arange(world.SIZE)
    floor, wall = rows > scene.horizon + 3, rows < scene.horizon - 3
    parts = [film[:, r][:, :, free].mean((1, 2)) for r in (floor, wall)]
    right = [world.FLOORS[scene.floor], world.WALLS[scene.wall]]
    return (float(thing), *(float(np.abs(p - np.array(c)).mean())
                            for p, c in zip(parts, right)))


def _foreground(film):
    """Mean colour of what differs from its row's usual colour."""
    film = film.astype(np.float32)
    usual = np.median(film, axis=2, keepdims=True)
    apart = np.linalg.norm(film - usual, axis=-1)
    inside = apart > 0.6 * np.quantile(apart, 0.98)
    return np.median(film[inside], 0)


def named_colour(film):
    """The name of the thing's colour, without knowing where it is."""
    seen = _foreground(film[::4])
    return min(REFERENCE, key=lambda key: np.linalg.norm(seen - REFERENCE[key]))[0]


def _reference():
    base = world.Scene("ball", "large", "red", "wood", "grey", "grey", 32.0, 43.0, 20)
    out = {}
    for name in world.COLOURS:
        for kind in world.SHAPES:
            wall = "dark" if name in ("white", "yellow") else "white"
            scene = replace(base, colour=name, shape=kind, wall=wall,
                            floor="beige" if name != "yellow" else "dark")
            out[name, kind] = _foreground(world.render(scene)[::4])
    return out


REFERENCE = _reference()


def psnr(a, b):
    square = np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)
    return float(10 * np.log10(255.0 ** 2 / max(square, 1e-3)))


# --- matching -------------------------------------------------------------------------------

def match(found, wanted, within):
    """Pairs (found, wanted) of nearest times, each used once, at most `within` apart."""
    pairs, left = [], list(found)
    for t in wanted:
        near = [f for f in left if abs(f - t) <= within]
        if near:
            best = min(near, key=lambda f: abs(f - t))
            left.remove(best)
            pairs.append((best, t))
    return pairs

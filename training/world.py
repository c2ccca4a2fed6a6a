# SPDX-License-Identifier: Apache-2.0
"""The world: a thing falls, bounces and comes to rest, and every impact sounds.

Only numpy is needed, so that the quality tests can use this module without PyTorch.

Time: the physics runs on slots of 20 ms (the frames of the audio latents).  Falls and
flights last a whole number of slots, so that each impact lies exactly on the first
sample of a slot; heights and rebounds follow from that.  Units: pixels, seconds,
pixels from the top of the picture for y.

The picture never shows the material: all things are shaded alike.  Only the prompt
names it, and it decides how far the thing rebounds and how it sounds.
"""
from dataclasses import dataclass

import numpy as np

SIZE = 64                   # side of the picture, pixels
FRAMES = 49
FPS = 24
RATE = 48000                # samples a second
SLOT = 960                  # samples: 20 ms
SLOTS = 103                 # that the sound of a film has
SAMPLES = SLOTS * SLOT
GRAVITY = 240.0             # pixels / s^2
SHORTEST_FLIGHT = 10        # slots; a shorter flight is not taken any more
FLOOR_DEPTH = 10.0          # pixels from the horizon down to where things land

COLOURS = {
    "red": (214, 40, 40), "orange": (245, 130, 32), "yellow": (250, 214, 40),
    "green": (46, 160, 67), "turquoise": (40, 200, 196), "blue": (36, 84, 214),
    "purple": (130, 50, 180), "pink": (250, 130, 180), "white": (246, 246, 246),
    "black": (32, 32, 36),
}
FLOORS = {
    "grey": (128, 128, 128), "brown": (118, 78, 48), "beige": (214, 190, 150),
    "green": (92, 130, 84), "blue": (74, 98, 150), "red": (150, 76, 70),
    "dark": (58, 58, 66), "white": (226, 226, 222),
}
WALLS = {
    "white": (238, 238, 240), "grey": (164, 166, 170), "blue": (160, 194, 230),
    "green": (170, 210, 176), "yellow": (240, 226, 160), "pink": (238, 196, 204),
    "purple": (176, 158, 206), "dark": (52, 60, 84),
}
RADII = {"small": 5.5, "medium": 7.5, "large": 10.0}
SHAPES = ("ball", "cube")
REBOUND = {"metal": 0.48, "wood": 0.60, "rubber": 0.75}
MATERIALS = tuple(REBOUND)
CONTRAST = 75.0             # least distance of the thing's colour to wall and floor
PITCH = {"small": 1.5, "medium": 1.0, "large": 1 / 1.5}


@dataclass(frozen=True)
class Scene:
    """All that decides a clip."""
    shape: str
    size: str
    colour: str
    material: str
    floor: str
    wall: str
    x: float                # centre of the thing, pixels
    horizon: float          # row where the floor begins, pixels
    fall: int               # slots until the first impact

    @property
    def radius(self):
        return RADII[self.size]

    @property
    def ground(self):
        """Row of the contact line, pixels."""
        return self.horizon + FLOOR_DEPTH


# --- drawing lots ------------------------------------------------------------------

def contrast(scene):
    """Smaller distance of the thing's colour to the wall's and the floor's."""
    thing = np.array(COLOURS[scene.colour], float)
    others = [WALLS[scene.wall], FLOORS[scene.floor]]
    return min(np.linalg.norm(thing - np.array(c)) for c in others)


def longest_fall(size, horizon):
    """Slots that the thing can fall without leaving the picture at the top."""
    room = horizon + FLOOR_DEPTH - 2.2 * RADII[size] - 1.0
    return int(np.sqrt(2 * room / GRAVITY) * RATE / SLOT)


def sample_scene(rng, **fixed):
    """A scene drawn from `rng`; `fixed` holds the fields that are decided already."""
    while True:
        size = fixed.get("size", rng.choice(list(RADII)))
        horizon = rng.uniform(40.0, 46.0)
        margin = RADII[size] + 3.0
        drawn = dict(
            shape=rng.choice(SHAPES), size=size, colour=rng.choice(list(COLOURS)),
            material=rng.choice(MATERIALS), floor=rng.choice(list(FLOORS)),
            wall=rng.choice(list(WALLS)), x=rng.uniform(margin, SIZE - margin),
            horizon=horizon, fall=int(rng.integers(16, longest_fall(size, horizon) + 1)))
        scene = Scene(**{k: str(v) if isinstance(v, np.str_) else v
                         for k, v in {**drawn, **fixed}.items()})
        if contrast(scene) >= CONTRAST:
            return scene


# --- physics -------------------------------------------------------------------------

def flights(scene):
    """Slots of every flight after the first impact, in order."""
    slots, out = 2 * scene.fall, []
    while True:
        slots = int(round(REBOUND[scene.material] * slots))
        if slots < SHORTEST_FLIGHT:
            return out
        out.append(slots)


def impacts(scene):
    """[(slot, speed in pixels/s)] of the impacts within the film."""
    slot, speed = scene.fall, GRAVITY * scene.fall * SLOT / RATE
    out = [(slot, speed)]
    for length in flights(scene):
        slot += length
        out.append((slot, GRAVITY * length * SLOT / RATE / 2))
    return [hit for hit in out if hit[0] < SLOTS - 1]


def height(scene, times):
    """Height of the thing above its rest position [len(times)], pixels."""
    slot = SLOT / RATE
    times = np.asarray(times, float)
    start = scene.fall * slot
    out = GRAVITY / 2 * np.maximum(start ** 2 - times ** 2, 0.0)
    for length in flights(scene):
        end = start + length * slot
        inside = (times >= start) & (times < end)
        out = np.where(inside, GRAVITY / 2 * (times - start) * (end - times), out)
        start = end
    return out


# --- picture -------------------------------------------------------------------------

def _coverage(distance):
    """Share of a pixel inside an outline, from its signed distance in pixels."""
    return np.clip(0.5 - distance, 0.0, 1.0)


def _paint(picture, colour, alpha):
    picture += alpha[..., None] * (colour - picture)


def _box(x, y, left, right, top, bottom):
    dx = np.maximum(left - x, x - right)
    dy = np.maximum(top - y, y - bottom)
    return _coverage(dx) * _coverage(dy)


def _shadow(scene, x, y, lift):
    """Darkness [F, H, W] of the soft shadow on the floor."""
    shrink = 1.0 - 0.35 * np.minimum(lift / 40.0, 1.0)
    a, b = scene.radius * 1.1 * shrink, scene.radius * 0.32 * shrink
    r = np.sqrt(((x - scene.x) / a) ** 2 + ((y - scene.ground) / b) ** 2)
    soft = np.clip((1.25 - r) / 0.5, 0.0, 1.0)
    return soft * (0.55 - 0.25 * np.minimum(lift / 40.0, 1.0))


def _draw_ball(picture, scene, x, y, middle, colour):
    """A ball: darker away from the light at the upper left, with a highlight."""
    r = scene.radius
    dx, dy = (x - scene.x) / r, (y - middle) / r
    light = 0.80 + 0.30 * np.clip(-0.55 * dx - 0.75 * dy, -1.0, 1.0)
    shade = np.clip(colour * light[..., None], 0, 255)
    alpha = _coverage(np.hypot(x - scene.x, y - middle) - r)
    _paint(picture, shade, alpha)
    spot = _coverage(np.hypot(dx + 0.38, dy + 0.42) * r - 0.2 * r)
    _paint(picture, np.full(3, 255, np.float32), 0.7 * spot)


def _draw_cube(picture, scene, x, y, middle, colour):
    """A cube seen from the front and a little above: a front and a lighter top."""
    r = scene.radius
    half, bottom = 0.9 * r, middle + r
    front = bottom - 1.5 * r
    whole = _box(x, y, scene.x - half, scene.x + half, front - 0.5 * r, bottom)
    top = _coverage(y - front)[..., None]
    bright = np.clip(colour * 1.1 + 22, 0, 255)
    _paint(picture, colour * 0.78 * (1 - top) + bright * top, whole)


def columns(scene):
    """The columns that the thing or its shadow can touch."""
    reach = 1.5 * scene.radius + 2
    return slice(max(int(scene.x - reach), 0), int(scene.x + reach) + 1)


def _grid(scene):
    """Centres (x, y) [1, H, W] of the pixels of the touched columns."""
    y, x = np.mgrid[0:SIZE, 0:SIZE][:, None, :, columns(scene)].astype(np.float32) + 0.5
    return x, y


def _colour(table, name):
    return np.array(table[name], np.float32)


def lifts(scene, frames=None):
    """Height [F] above the rest position in the frames (numbers), all if None."""
    return height(scene, (np.arange(FRAMES) if frames is None else np.asarray(frames)) / FPS)


def draw(scene, lift):
    """The scene with its thing at the heights `lift` [F]: [F, H, W, 3], f32."""
    (x, y), lift = _grid(scene), np.asarray(lift, np.float32)[:, None, None]
    wall, floor = _colour(WALLS, scene.wall), _colour(FLOORS, scene.floor)
    below = _coverage(scene.horizon - np.arange(SIZE, dtype=np.float32) - 0.5)
    still = wall + below[:, None, None] * (floor - wall)
    picture = np.broadcast_to(still, (len(lift), SIZE, SIZE, 3)).copy()
    part = picture[:, :, columns(scene)]
    _paint(part, np.zeros(3, np.float32), _shadow(scene, x, y, lift) * below[:, None])
    draw_thing = _draw_ball if scene.shape == "ball" else _draw_cube
    draw_thing(part, scene, x, y, scene.ground - scene.radius - lift,
               _colour(COLOURS, scene.colour))
    return picture


def render(scene, frames=None):
    """The picture [F, H, W, 3], u8, of the frames (numbers), all if None."""
    return np.rint(draw(scene, lifts(scene, frames))).astype(np.uint8)


def thing_mask(scene, lift, reach=1.5):
    """Where the thing is at the heights `lift` [F]: [F, H, W], bool."""
    (x, y), lift = _grid(scene), np.asarray(lift, np.float32)[:, None, None]
    middle, reach = scene.ground - scene.radius - lift, scene.radius + reach
    out = np.zeros((len(lift), SIZE, SIZE), bool)
    out[:, :, columns(scene)] = (np.abs(x - scene.x) < reach) & (np.abs(y - middle) < reach)
    return out


def motion_mask(scene, frames=None):
    """Where the thing and its shadow are in each frame [F, H, W], bool."""
    (x, y), lift = _grid(scene), lifts(scene, frames)
    out = thing_mask(scene, lift)
    out[:, :, columns(scene)] |= _shadow(scene, x, y, lift[:, None, None]) > 0.05
    return out


# --- sound -----------------------------------------------------------------------------

# material: [(frequency ratio, strength, decay in s)], frequency at medium size in Hz
MODES = {
    "metal": (660.0, [(1.0, 1.0, 0.30), (2.76, 0.6, 0.18), (5.40, 0.3, 0.08)]),
    "wood": (330.0, [(1.0, 1.0, 0.050), (2.57, 0.5, 0.025), (4.95, 0.2, 0.012)]),
    "rubber": (110.0, [(1.0, 1.0, 0.110), (2.0, 0.25, 0.05)]),
}
GLIDE = {"metal": 0.0, "wood": 0.0, "rubber": 0.8}   # extra pitch at the impact


def hit_sound(material, size, seconds=1.2):
    """The sound of one impact at full strength [n], f64 within [-1, 1]."""
    t = np.arange(int(seconds * RATE)) / RATE
    base, modes = MODES[material]
    glide = GLIDE[material]
    phase = 2 * np.pi * base * PITCH[size] * (t + glide * 0.03 * (1 - np.exp(-t / 0.03)))
    wave = sum(a * np.exp(-t / tau) * np.sin(ratio * phase) for ratio, a, tau in modes)
    wave *= 1 - np.exp(-t / 0.0006)
    return 0.8 * wave / np.abs(wave).max()


def loudness(speed):
    """Strength of an impact at `speed` in pixels/s, 0 to 1."""
    return float(np.clip(speed / 130.0, 0.0, 1.0)) ** 0.7


def sound(scene):
    """The film's sound [SAMPLES], f32.  A new impact ends the old ringing in 1 ms."""
    out = np.zeros(SAMPLES)
    wave = hit_sound(scene.material, scene.size)
    fade = np.linspace(1.0, 0.0, RATE // 1000)
    for slot, speed in impacts(scene):
        start = slot * SLOT
        out[start:start + len(fade)] *= fade
        out[start + len(fade):] = 0.0
        part = wave[:SAMPLES - start] * loudness(speed)
        out[start:start + len(part)] += part
    return out.astype(np.float32)

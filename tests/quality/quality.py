#!/usr/bin/python3
"""How good are the films of a model?  Renders unseen scenes with the program, measures
picture, sound and how they agree, and prints a table.

    tests/quality/quality.py [options] [-- options of phonofilm generate]

Beside the films stand the bias of the detectors (the same figures of the true films),
the round trip through both autoencoders as it was measured at training, and chance:
each film held against another one's physics.  Needs numpy, nothing else.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, ROOT)

from training import detect, measure, pictures, prompts, world  # noqa: E402

SEED = 20000                # of the scenes; training never uses it
# figure: (what it is, must, wanted, whether less is better)
TARGETS = {
    "picture_frames": ("picture: impact against physics, median, frames", 1.0, 0.5, True),
    "picture_recall": ("picture: impacts found within 2.5 frames", 0.85, 0.95, False),
    "picture_extra": ("picture: extra impacts a film", None, None, True),
    "path_pixels": ("picture: height of the thing, mean error, pixels", None, None, True),
    "sound_ms": ("sound: onset against physics, median, ms", 30, 15, True),
    "sound_recall": ("sound: onsets found within 60 ms", 0.80, 0.95, False),
    "sound_extra": ("sound: extra onsets a film", 0.7, 0.2, True),
    "synchrony_ms": ("picture and sound apart, median, ms", 21, 10, True),
    "synchrony_p90_ms": ("picture and sound apart, 90 %, ms", 60, 30, True),
    "material": ("material heard right", 0.97, 1.0, False),
    "pitch": ("pitch class heard right", 0.93, 1.0, False),
    "other_material": ("same picture, other material: sound follows", 0.97, 1.0, False),
    "shape": ("shape seen right", 0.9, 0.98, False),
    "thing_colour": ("colour of the thing, error of 255", 12, 6, True),
    "floor_colour": ("colour of the floor, error of 255", 12, 6, True),
    "wall_colour": ("colour of the wall, error of 255", 12, 6, True),
    "first_frame_db": ("first frame kept, PSNR, dB", 26, 30, False),
    "t2va_colour": ("without a picture: colour right", 0.9, 0.98, False),
    "t2va_material": ("without a picture: material right", 0.9, 0.98, False),
    "free_colour": ("free wording: colour right", 0.8, 0.95, False),
    "free_material": ("free wording: material right", 0.8, 0.95, False),
    "seconds": ("from exec to a finished MP4, seconds", 3.0, 1.0, True),
}
# What the short version must reach: far below the targets, to catch what is broken.
LOOSE = {"picture_frames": 1.0, "picture_recall": 0.75, "sound_ms": 30, "sound_recall": 0.6,
         "sound_extra": 1.5, "material": 0.8, "shape": 0.5, "thing_colour": 15,
         "floor_colour": 8, "wall_colour": 8, "first_frame_db": 24}


# Options of the program that say nothing of how a sound is decoded, and whether they
# have a value: the second call, which only does that, refuses them.
NOT_OF_SOUND = {
    "-g": True, "--guidance-scale": True, "--guidance-scale-2": True,
    "--guidance-rescale": True, "--bridge-guidance-scale": True, "-n": True,
    "--negative-prompt": True, "-s": True, "--num-inference-steps": True,
    "--visual-shift": True, "--audio-shift": True, "--rng": True,
    "--cuda-sm-count": True, "--graph": False, "--vae-tile": True,
    "--vae-tile-stride": True}


def of_sound(passed):
    """Those of the passed options that the decoding of a sound understands."""
    out, skip = [], False
    for word in passed:
        name, equals, _ = word.partition("=")
        if skip:
            skip = False
        elif name in NOT_OF_SOUND:
            skip = NOT_OF_SOUND[name] and not equals
        else:
            out.append(word)
    return out


def read_options():
    own, passed = sys.argv[1:], []
    if "--" in own:
        passed = own[own.index("--") + 1:]
        own = own[:own.index("--")]
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default=os.path.join(ROOT, "build/phonofilm"))
    parser.add_argument("--model", default=os.path.join(ROOT, "models/nano"))
    parser.add_argument("--scenes", type=int, default=32)
    parser.add_argument("--short", action="store_true",
                        help="6 scenes with loose bounds; fails beyond them")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    parser.add_argument("--films", metavar="FOLDER", help="keep pictures and sounds there")
    parser.add_argument("--jobs", type=int, default=2, help="films at a time")
    options = parser.parse_args(own)
    options.passed = passed
    return options


# --- films ------------------------------------------------------------------------------

class Program:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        words = " ".join(options.passed).replace("=", " ").split()
        named = words[words.index("--platform") + 1] if "--platform" in words else "cpu"
        # Films are made side by side, each on one thread; a device takes no threads.
        self.threads = ["--threads", "1"] if named in ("cpu", "reference") else []

    def call(self, *words, passed=None):
        line = [self.options.program, "generate", "--quiet", "--model-path",
                self.options.model, *words,
                *(self.options.passed if passed is None else passed)]
        done = subprocess.run(line, capture_output=True, text=True, cwd=self.folder)
        if done.returncode:
            sys.exit(f"{' '.join(line)}\n{done.stderr}")

    def film(self, name, prompt, seed, picture):
        """(picture [F, H, W, 3], sound [n]) of one request; picture None: without."""
        at = os.path.join(self.folder, name)
        first = ["--t2va"]
        if picture is not None:
            pictures.write_png(f"{at}.first.png", picture)
            first = ["--image-path", f"{at}.first.png"]
        self.call("--prompt", prompt, *first, "--seed", str(seed), *self.threads,
                  "--save-latents", f"{at}.latents", "-o", f"{at}.png")
        self.call(*self.threads, "--from-latents", f"{at}.latents", "-o", f"{at}.wav",
                  passed=of_sound(self.options.passed))
        frames = [f"{at}-{i + 1:04d}.png" for i in range(world.FRAMES)]
        film = np.stack([pictures.read_png(f) for f in frames])
        sound = pictures.read_wav(f"{at}.wav")
        if not self.options.films:
            for path in frames + [f"{at}.latents", f"{at}.wav"]:
                os.remove(path)
        return film, sound

    def films(self, requests):
        """requests: [(name, prompt, seed, picture)]."""
        with ThreadPoolExecutor(self.options.jobs) as pool:
            return list(pool.map(lambda r: self.film(*r), requests))

    def seconds(self):
        """Least wall time of three films to MP4, all threads."""
        scene = world.sample_scene(np.random.default_rng(SEED))
        pictures.write_png(os.path.join(self.folder, "clock.png"), world.render(scene, [0])[0])
        times = []
        for i in range(3):
            start = time.monotonic()
            self.call("--prompt", "A red metal ball falls.", "--image-path", "clock.png",
                      "-o", f"clock{i}.mp4")
            times.append(time.monotonic() - start)
        return min(times)


def first_of(scene):
    return world.render(scene, [0])[0]


def caption(scene, number):
    """A full sentence that names everything but what the picture shows anyway."""
    return prompts.describe(np.random.default_rng([SEED, 1, number]), scene, 1.2)


# --- figures ----------------------------------------------------------------------------

def main_figures(program, scenes):
    requests = [(f"scene{i:03d}", plain(s), i, first_of(s)) for i, s in enumerate(scenes)]
    films = program.films(requests)
    return [measure.measure(*film, scene) for film, scene in zip(films, scenes)]


def plain(scene):
    material = {"metal": "metal", "wood": "wooden", "rubber": "rubber"}[scene.material]
    return (f"A {scene.size} {scene.colour} {material} {scene.shape} falls onto the "
            f"{scene.floor} floor in front of a {scene.wall} wall.")


def other_material(program, scenes):
    """Share of films that sound as another prompt says, with the same first frame."""
    turn = {m: world.MATERIALS[(i + 1) % 3] for i, m in enumerate(world.MATERIALS)}
    swapped = [replace(s, material=turn[s.material]) for s in scenes]
    films = program.films([(f"other{i:03d}", plain(s), i, first_of(s))
                           for i, s in enumerate(swapped)])
    right = [measure.measure_sound(sound, s)["material"]
             for (_, sound), s in zip(films, swapped)]
    return dict(other_material=float(np.mean(right)))


def _named(films, wanted, prefix):
    """Shares of films with the wanted colours and materials."""
    colours, materials = [], []
    for (film, sound), (colour, material) in zip(films, wanted):
        onsets = detect.sound_onsets(sound)
        heard = detect.timbre(sound, onsets[0])[0] if len(onsets) else None
        colours.append(detect.named_colour(film) == colour)
        materials.append(heard == material)
    return {f"{prefix}_colour": float(np.mean(colours)),
            f"{prefix}_material": float(np.mean(materials))}


def without_picture(program, scenes):
    films = program.films([(f"t2va{i:03d}", plain(s), i, None) for i, s in enumerate(scenes)])
    return _named(films, [(s.colour, s.material) for s in scenes], "t2va")


def free_wording(program):
    """Sentences that people wrote; the picture fits them, but for the material."""
    with open(os.path.join(ROOT, "tests/quality/sentences.json")) as f:
        sentences = json.load(f)
    requests = []
    for i, (text, shape, colour, _) in enumerate(sentences):
        rng = np.random.default_rng([SEED, 2, i])
        scene = world.sample_scene(rng, shape=shape, colour=colour)
        requests.append((f"free{i:03d}", text, i, first_of(scene)))
    films = program.films(requests)
    return _named(films, [(c, m) for _, _, c, m in sentences], "free")


def truth(scenes):
    return [measure.measure(world.render(s), world.sound(s), s) for s in scenes]


def round_trip(model):
    path = os.path.join(model, "roundtrip.json")
    if not os.path.exists(path):
        return {}
    with open(path) as f:
        return json.load(f)


# --- table ------------------------------------------------------------------------------

def cell(value):
    return "-" if value is None else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def verdict(key, value):
    _, must, wanted, less = TARGETS[key]
    if must is None or value is None:
        return ""
    reach = (lambda t: value <= t) if less else (lambda t: value >= t)
    return "wanted" if reach(wanted) else "must" if reach(must) else "SHORT"


def print_table(columns):
    """columns: {heading: {figure: value}}, the films first."""
    print(f"{'figure':52}" + "".join(f"{h:>11}" for h in columns)
          + f"{'must':>8}{'wanted':>8}")
    films = next(iter(columns.values()))
    for key, (text, must, wanted, _) in TARGETS.items():
        if key in films:
            values = "".join(f"{cell(c.get(key)):>11}" for c in columns.values())
            print(f"{text:52}{values}{cell(must):>8}{cell(wanted):>8}  "
                  f"{verdict(key, films[key])}")


def within_loose(figures):
    bad = [k for k, bound in LOOSE.items()
           if not (figures[k] <= bound if TARGETS[k][3] else figures[k] >= bound)]
    for key in bad:
        print(f"{TARGETS[key][0]}: {cell(figures[key])}, but must reach {LOOSE[key]}")
    return not bad


def run(options, folder):
    program = Program(options, folder)
    count = 6 if options.short else options.scenes
    rng = np.random.default_rng(SEED)
    scenes = [world.sample_scene(rng) for _ in range(count)]
    films = main_figures(program, scenes)
    figures = measure.summarize(films)
    if not options.short:
        figures.update(other_material(program, scenes))
        figures.update(without_picture(program, scenes))
        figures.update(free_wording(program))
        figures["seconds"] = program.seconds()
    columns = {"films": figures, "truth": measure.summarize(truth(scenes)),
               "round trip": round_trip(options.model),
               "chance": measure.chance(films, scenes)}
    print_table(columns)
    if options.json:
        with open(options.json, "w") as f:
            json.dump(dict(scenes=count, options=options.passed, **columns), f, indent=2)
    return within_loose(figures) if options.short else True


def main():
    options = read_options()
    for name in ("program", "model"):
        setattr(options, name, os.path.abspath(getattr(options, name)))
    if options.films:
        os.makedirs(options.films, exist_ok=True)
        sys.exit(0 if run(options, os.path.abspath(options.films)) else 1)
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(0 if run(options, folder) else 1)


if __name__ == "__main__":
    main()

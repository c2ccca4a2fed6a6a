#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How good are the films of a model?  Renders unseen scenes with the program, measures
picture, sound and how they agree, and prints a table.

    tests/quality/quality.py [options] [-- options of phonofilm generate]

Beside the films stand the bias of the detectors (the same figures of the true films),
the round trip through both autoencoders as it was measured at training, and chance:
each film held against another one's scene.  Needs numpy, nothing else.
"""
import argparse
import json
import math
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, ROOT)

from training import detect, measure, pictures, world  # noqa: E402

SEED = 20000                # of the scenes; training draws its own from other numbers
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
        elif option := full_name(name):
            joined = equals or (word[1] != "-" and len(word) > 2)       # --option=8, -s8
            skip = NOT_OF_SOUND[option] and not joined
        else:
            out.append(word)
    return out


def full_name(word):
    """The option of NOT_OF_SOUND that a word means, shortened or not; None: none of them."""
    if not word.startswith("--"):
        return word[:2] if word[:2] in NOT_OF_SOUND else None
    if word in NOT_OF_SOUND or word == "--":
        return word if word in NOT_OF_SOUND else None
    return next((name for name in NOT_OF_SOUND if name.startswith(word)), None)


def platform_of(passed):
    """The last --platform of the passed options; "cpu" if there is none."""
    words = " ".join(passed).replace("=", " ").split() + ["cpu"]
    named = [words[i + 1] for i, word in enumerate(words[:-1]) if word == "--platform"]
    return named[-1] if named else "cpu"


def count_from(least):
    """The type of an option: a whole number, `least` or more."""
    def read(text):
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} up")
        return int(text)
    return read


def read_options():
    own, passed = sys.argv[1:], []
    if "--" in own:
        passed = own[own.index("--") + 1:]
        own = own[:own.index("--")]
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default=os.path.join(ROOT, "build/phonofilm"))
    parser.add_argument("--model", default=os.path.join(ROOT, "models/nano"))
    parser.add_argument("--scenes", type=count_from(2), default=32, metavar="N",
                        help="how many, 2 or more; chance holds one against another")
    parser.add_argument("--seed", type=count_from(0), default=SEED, metavar="N",
                        help=f"of the scenes (default: {SEED})")
    parser.add_argument("--short", action="store_true",
                        help="6 scenes with loose bounds; fails beyond them")
    parser.add_argument("--json", metavar="FILE", nargs="?", const="-",
                        help="write the figures there; without a name they are printed in "
                        "the table's place")
    parser.add_argument("--films", metavar="FOLDER", help="keep pictures and sounds there")
    parser.add_argument("--jobs", type=count_from(1), default=2, metavar="N",
                        help="films at a time")
    options = parser.parse_args(own)
    options.passed = passed
    options.model = os.path.abspath(options.model)
    program = shutil.which(options.program)
    if not program:
        parser.error(f"--program: {options.program} is no program; build it, or name one")
    options.program = os.path.abspath(program)
    return options


# --- films ------------------------------------------------------------------------------

class Program:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        # Films are made side by side, each on one thread; a device takes no threads.
        on_cpu = platform_of(options.passed) in ("cpu", "reference")
        self.threads = ["--threads", "1"] if on_cpu else []

    def call(self, *words, passed=None):
        line = [self.options.program, "generate", "--quiet", "--model-path",
                self.options.model, *words,
                *(self.options.passed if passed is None else passed)]
        done = subprocess.run(line, capture_output=True, text=True)
        if done.returncode:
            how = f"ended with {done.returncode}" if done.returncode > 0 \
                else f"was ended by signal {-done.returncode}"
            sys.exit(f"{shlex.join(line)}\n{done.stderr.rstrip()}\nquality.py: the program {how}")

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
        scene = world.sample_scene(np.random.default_rng(self.options.seed))
        at = os.path.join(self.folder, "clock")
        pictures.write_png(f"{at}.png", first_of(scene))
        times = []
        for i in range(3):
            start = time.monotonic()
            self.call("--prompt", "A red metal ball falls.", "--image-path", f"{at}.png",
                      "-o", f"{at}{i}.mp4")
            times.append(time.monotonic() - start)
        return min(times)


def first_of(scene):
    return world.render(scene, [0])[0]


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


def true_film(scene):
    return world.render(scene), world.sound(scene)


def without_picture(program, scenes):
    """Shares of right colours and materials: (of films, of the true ones)."""
    films = program.films([(f"t2va{i:03d}", plain(s), i, None) for i, s in enumerate(scenes)])
    wanted = [(s.colour, s.material) for s in scenes]
    return (_named(films, wanted, "t2va"),
            _named([true_film(s) for s in scenes], wanted, "t2va"))


def free_requests(seed):
    """Sentences that people wrote, and scenes that fit them: [(sentence, scene)]."""
    with open(os.path.join(ROOT, "tests/quality/sentences.json")) as f:
        sentences = json.load(f)
    return [(text, world.sample_scene(np.random.default_rng([seed, 2, i]), shape=shape,
                                      colour=colour, material=material))
            for i, (text, shape, colour, material) in enumerate(sentences)]


def free_wording(program, seed):
    """Shares of right colours and materials: (of films, of the true ones).  The picture
    fits the sentence, but for the material, which it does not show."""
    asked = free_requests(seed)
    films = program.films([(f"free{i:03d}", text, i, first_of(scene))
                           for i, (text, scene) in enumerate(asked)])
    wanted = [(s.colour, s.material) for _, s in asked]
    return (_named(films, wanted, "free"),
            _named([true_film(s) for _, s in asked], wanted, "free"))


def truth(scenes):
    return [measure.measure(*true_film(s), s) for s in scenes]


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
        print(f"{TARGETS[key][0]}: {cell(figures[key])}, but must reach {LOOSE[key]}",
              file=sys.stderr)
    return not bad


def write_json(path, contents):
    """As JSON, to standard output if the path is "-"; what could not be measured is null."""
    def known(value):
        if isinstance(value, dict):
            return {k: known(v) for k, v in value.items()}
        return None if isinstance(value, float) and math.isnan(value) else value
    text = json.dumps(known(contents), indent=2, allow_nan=False) + "\n"
    if path == "-":
        sys.stdout.write(text)
        return
    with open(path, "w") as f:
        f.write(text)


def run(options, folder):
    program = Program(options, folder)
    count = 6 if options.short else options.scenes
    rng = np.random.default_rng(options.seed)
    scenes = [world.sample_scene(rng) for _ in range(count)]
    films = main_figures(program, scenes)
    figures, bias = measure.summarize(films), measure.summarize(truth(scenes))
    if not options.short:
        figures.update(other_material(program, scenes))
        for found, true in (without_picture(program, scenes),
                            free_wording(program, options.seed)):
            figures.update(found)
            bias.update(true)
        figures["seconds"] = program.seconds()
    columns = {"films": figures, "truth": bias, "round trip": round_trip(options.model),
               "chance": measure.chance(films, scenes)}
    if options.json != "-":
        print_table(columns)
    if options.json:
        write_json(options.json, dict(scenes=count, seed=options.seed,
                                      options=options.passed, **columns))
    return within_loose(figures) if options.short else True


def measure_in(options):
    """Whether all is well; the films are in a folder that goes afterwards, if none is
    named."""
    if options.films:
        os.makedirs(options.films, exist_ok=True)
        return run(options, os.path.abspath(options.films))
    with tempfile.TemporaryDirectory() as folder:
        return run(options, folder)


def stop(*_):
    raise KeyboardInterrupt


def main():
    options = read_options()
    signal.signal(signal.SIGTERM, stop)
    try:
        sys.exit(0 if measure_in(options) else 1)
    except KeyboardInterrupt:
        sys.exit("quality.py: stopped")
    except OSError as error:
        sys.exit(f"quality.py: {error.filename or 'a file'}: {error.strerror}")


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""python -m training COMMAND [options]: trains a small MOVA and exports it.

`all` runs every stage in order and goes on where it was stopped; the other commands
are the single stages, which `all` starts as processes of their own.
"""
import argparse
import fcntl
import glob
import os
import subprocess
import sys
import time

try:
    import torch
except ModuleNotFoundError:
    sys.exit(f"{sys.executable} has no PyTorch; install what training/requirements.txt names")

from . import export, latents, parallel, presets, store, train_audio_vae, \
    train_towers, train_video_vae


class Parser(argparse.ArgumentParser):
    def error(self, message):
        """One sentence, without the usage."""
        self.exit(2, f"{self.prog}: {message}\n")


def number(kind, least, most, accepted):
    """The type of an option: a number of `kind` from `least` to `most`."""
    def read(text):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not {accepted}")
        return value
    return read


HOURS = number(float, 0.001, 10000.0, "a number of hours from 0.001 to 10000")
SEEDS = number(int, 0, 2 ** 63 - 1, "a whole number from 0 to 2^63 - 1")


def exported(text):
    """The type of an option: a model's folder."""
    for part in ("video_vae", "audio_vae", *train_towers.PARTS):
        if not os.path.exists(os.path.join(text, part, "config.json")):
            raise argparse.ArgumentTypeError(
                f"{text!r} is not the folder of a model: there is no {part}/config.json")
    return text


def read_options():
    parser = Parser(prog="python -m training")
    parser.add_argument("command", choices=["all", "video_vae", "audio_vae", "latents",
                                            "towers", "export"])
    parser.add_argument("--folder", default="build-training",
                        help="checkpoints, latents and logs")
    parser.add_argument("--preset", choices=list(presets.PRESETS), default="cpu")
    parser.add_argument("--hours", type=HOURS, default=2.0,
                        help="of computing, on a machine that does nothing else")
    parser.add_argument("--seed", type=SEEDS, default=1)
    parser.add_argument("--init", type=exported, help="exported folder to start from")
    parser.add_argument("--free-encoder", action="store_true",
                        help="with --init: let the video encoder learn, too; the towers "
                        "then follow its new latents")
    parser.add_argument("--new-text", action="store_true",
                        help="with --init: both video experts learn anew to listen to the "
                        "text, as they must if they have ceased to")
    parser.add_argument("--export", default="models/nano", help="where the model goes")
    options = parser.parse_args()
    if options.free_encoder and not options.init:
        parser.error("--free-encoder: without --init every encoder learns anyway")
    if options.new_text and not options.init:
        parser.error("--new-text: without --init the experts begin so anyway")
    if presets.PRESETS[options.preset]["device"] == "cuda" and not torch.cuda.is_available():
        parser.error(f"--preset {options.preset}: PyTorch finds no GPU here; "
                     "--preset cpu needs none")
    return options


def settle(options):
    """The settings of a run are written once; going on needs the same ones."""
    path = os.path.join(options.folder, "run.json")
    now = dict(preset=options.preset, hours=options.hours, seed=options.seed,
               init=options.init, keep=not options.free_encoder,
               new_text=options.new_text)
    if not os.path.exists(path):
        store.save_json(path, now)
    elif options.command == "all" and store.load_json(path) != now:
        sys.exit(f"{options.folder} holds a run with {store.load_json(path)}; give the "
                 "same options to go on, or another --folder")
    return store.load_json(path)


def run_in(options, command, count):
    """A stage in `count` processes."""
    words = [sys.executable, "-m", "training", command, "--folder", options.folder,
             "--export", options.export]
    meeting = os.path.join(options.folder, f"{command}.meeting")
    started = [subprocess.Popen(words, env=environment, stdin=subprocess.PIPE)
               for environment in parallel.environments(count, meeting)]
    while any(p.poll() is None for p in started):
        if any(p.poll() for p in started):
            for p in started:
                p.terminate()           # it would wait for the one that is gone
        time.sleep(0.1)
    if any(p.returncode for p in started):
        sys.exit("a stage failed; the same command goes on from its last checkpoint")


def claim(folder):
    """The run's lock, which a killed process loses: one command at a time.  What a
    killed one had half written goes."""
    lock = open(os.path.join(folder, "run.lock"), "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"{folder}: another command trains there; end it first")
    for place in (folder, os.path.join(folder, "latents")):
        for part in glob.glob(os.path.join(glob.escape(place), "*.[0-9]*.part")):
            os.remove(part)
    return lock


def run_all(options, preset):
    for stage in ("video_vae", "audio_vae"):
        run_in(options, stage, preset["processes"])
    latents.forget_begun(options.folder)
    run_in(options, "latents", preset["processes"])
    run_in(options, "towers", preset["processes"])
    run_in(options, "export", 1)


def run_stage(options, run, preset):
    seconds = 3600 * run["hours"]
    common = dict(seed=run["seed"], device=preset["device"], init=run["init"])
    folder = options.folder
    clips = dict(clips=preset["clips"], blanks=preset["blanks"])
    torch.set_num_threads(preset["threads"])
    kind = "new" if run["init"] is None else "init" if run["keep"] else "free"
    share = presets.SHARES[kind]
    if options.command == "video_vae":
        train_video_vae.train(folder, seconds * share["video_vae"], keep=run["keep"],
                              **common)
    elif options.command == "audio_vae":
        train_audio_vae.train(folder, seconds * share["audio_vae"], **common)
    elif options.command == "latents":
        latents.cache(folder, seed=run["seed"], device=preset["device"], **clips)
    elif options.command == "towers":
        train_towers.train(folder, seconds * share["towers"],
                           batch=preset["batch"], keep=run["keep"],
                           new_text=run["new_text"], **clips, **common)
    else:
        export.export(folder, options.export)


# What comes of a file of the run, and must be made again with it.
MADE_FROM = {"video_vae.checkpoint": "latents and towers.checkpoint",
             "audio_vae.checkpoint": "latents/sounds.pt and towers.checkpoint"}


def work(options):
    os.makedirs(options.folder, exist_ok=True)
    lock = claim(options.folder) if options.command == "all" else None
    run = settle(options)
    preset = presets.PRESETS[run["preset"]]
    if lock:
        run_all(options, preset)
    else:
        run_stage(options, run, preset)


def main():
    parallel.end_with_parent()
    options = read_options()
    try:
        work(options)
    except store.Damaged as damaged:
        after = MADE_FROM.get(os.path.relpath(str(damaged), options.folder))
        sys.exit(f"{damaged} is damaged; remove it{f', {after}' if after else ''}, and the "
                 "same command makes anew what is missing")
    except OSError as error:
        sys.exit(f"{error.filename or options.folder}: {error.strerror}")
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on from the last checkpoint")


main()

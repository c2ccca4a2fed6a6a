"""python -m training COMMAND [options]: trains a small MOVA and exports it.

`all` runs every stage in order and goes on where it was stopped; the other commands
are the single stages, which `all` starts as processes of their own.
"""
import argparse
import os
import subprocess
import sys

import torch

from . import export, latents, presets, store, train_audio_vae, train_towers, \
    train_video_vae


def read_options():
    parser = argparse.ArgumentParser(prog="python -m training")
    parser.add_argument("command", choices=["all", "video_vae", "audio_vae", "latents",
                                            "towers", "export"])
    parser.add_argument("--folder", default="build-training",
                        help="checkpoints, latents and logs")
    parser.add_argument("--preset", choices=list(presets.PRESETS), default="cpu")
    parser.add_argument("--hours", type=float, default=2.0, help="of the wall clock")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--init", help="exported folder to start from")
    parser.add_argument("--free-encoders", action="store_true",
                        help="with --init: let the encoders learn, too")
    parser.add_argument("--export", default="models/nano", help="where the model goes")
    return parser.parse_args()


def settle(options):
    """The settings of a run are written once; going on needs the same ones."""
    path = os.path.join(options.folder, "run.json")
    now = dict(preset=options.preset, hours=options.hours, seed=options.seed,
               init=options.init, keep=not options.free_encoders)
    if not os.path.exists(path):
        store.save_json(path, now)
    elif options.command == "all" and store.load_json(path) != now:
        sys.exit(f"{options.folder} holds a run with {store.load_json(path)}; give the "
                 "same options to go on, or another --folder")
    return store.load_json(path)


def start(options, command, threads):
    """A stage as a process of its own."""
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
    words = [sys.executable, "-m", "training", command, "--folder", options.folder,
             "--export", options.export]
    return subprocess.Popen(words, env=environment)


def wait(processes):
    codes = [p.wait() for p in processes]
    if any(codes):
        sys.exit("a stage failed; the same command goes on from its last checkpoint")


def run_all(options, preset):
    threads = preset["threads"]
    side = max(threads // 2, 1)
    wait([start(options, stage, side) for stage in ("video_vae", "audio_vae")])
    latents.forget_begun(options.folder)
    encoders = 1 if preset["device"] == "cuda" else threads
    wait([start(options, "latents", threads // encoders) for _ in range(encoders)])
    wait([start(options, "towers", threads)])
    wait([start(options, "export", threads)])


def run_stage(options, run, preset):
    seconds = 3600 * run["hours"]
    common = dict(seed=run["seed"], device=preset["device"], init=run["init"])
    folder, clips = options.folder, preset["clips"]
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", preset["threads"])))
    if options.command == "video_vae":
        train_video_vae.train(folder, seconds * preset["video_vae"], keep=run["keep"],
                              **common)
    elif options.command == "audio_vae":
        train_audio_vae.train(folder, seconds * preset["audio_vae"], keep=run["keep"],
                              **common)
    elif options.command == "latents":
        latents.cache(folder, clips, run["seed"], preset["device"])
    elif options.command == "towers":
        train_towers.train(folder, seconds * preset["towers"], clips=clips,
                           batch=preset["batch"], **common)
    else:
        export.export(folder, options.export)


def main():
    options = read_options()
    os.makedirs(options.folder, exist_ok=True)
    run = settle(options)
    preset = presets.PRESETS[run["preset"]]
    if options.command == "all":
        run_all(options, preset)
    else:
        run_stage(options, run, preset)


main()

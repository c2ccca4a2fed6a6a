"""python -m training COMMAND [options]: trains a small MOVA and exports it.

`all` runs every stage in order and goes on where it was stopped; the other commands
are the single stages, which `all` starts as processes of their own.
"""
import argparse
import os
import subprocess
import sys

import torch

from . import export, latents, parallel, presets, store, train_audio_vae, \
    train_towers, train_video_vae


def read_options():
    parser = argparse.ArgumentParser(prog="python -m training")
    parser.add_argument("command", choices=["all", "video_vae", "audio_vae", "latents",
                                            "towers", "export"])
    parser.add_argument("--folder", default="build-training",
                        help="checkpoints, latents and logs")
    parser.add_argument("--preset", choices=list(presets.PRESETS), default="cpu")
    parser.add_argument("--hours", type=float, default=2.0, help="of computing, on a machine that does nothing else")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--init", help="exported folder to start from")
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
    started = [subprocess.Popen(words, env=environment)
               for environment in parallel.environments(count, meeting)]
    if any([p.wait() for p in started]):
        sys.exit("a stage failed; the same command goes on from its last checkpoint")


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

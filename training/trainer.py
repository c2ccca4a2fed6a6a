# SPDX-License-Identifier: Apache-2.0
"""The training loop that all stages share.

A stage is trained for a number of seconds, not of steps, by one process or several
(parallel.py); the first one writes the checkpoint and the log.  On a CPU the seconds are
those in which the process really computed: what else the machine does makes a stage
longer, not worse.  Every random draw comes
from (seed, stage, step, process), so that nothing but the step number need be stored
for it.  A checkpoint holds model, optimiser, moving average, step and seconds; it is written
beside the old one and then put in its place, so that a kill at any moment is harmless.
"""
import ctypes
import json
import os
import time
import zlib

import numpy as np
import torch

from . import parallel, store
from .optim import Average


torch.set_flush_denormal(True)       # they cost much and mean nothing

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4       # of glibc's malloc.h


def keep_memory():
    """Have the C library keep what is freed.  By default it gives large blocks back and
    gets them anew, page by page, in every step: a twentieth of the towers' time."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:               # another C library
        return
    for option, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_TOP_PAD, 64 << 20)):
        mallopt(option, value)


keep_memory()


def seed_step(seed, stage, step):
    """Seed PyTorch for one step of one stage; returns two of NumPy's generators: this
    process's own, and one that draws the same in every process."""
    words = [seed, zlib.crc32(stage.encode()), step]
    own = np.random.default_rng([*words, 1 + parallel.rank()])
    torch.manual_seed(int(own.integers(2 ** 62)))
    return own, np.random.default_rng(words)


def flat_then_linear(progress, warm=0.01, flat=0.6):
    """Learning rate factor: a short rise, flat, then linear to zero."""
    rise = min(1.0, (progress + 1e-4) / warm)
    return rise * min(1.0, max(0.02, (1 - progress) / (1 - flat)))


def clock(model):
    """Seconds of this thread's computing on a CPU, of the wall clock on a GPU."""
    on_cpu = next(model.parameters()).device.type == "cpu"
    return time.thread_time if on_cpu else time.monotonic


class Stage:
    """One model in training.  `model` is an nn.Module; `optimizer` an Optimizer."""

    def __init__(self, name, folder, model, optimizer, seconds, seed, decay=0.997,
                 every=60.0):
        self.name, self.folder = name, folder
        self.model, self.optimizer = model, optimizer
        self.budget, self.seed, self.every = seconds, seed, every
        self.average = Average(model, decay)
        self.step, self.seconds = 0, 0.0
        self.marks = {}                 # events that happened once: name -> step
        self.path = os.path.join(folder, f"{name}.checkpoint")

    @property
    def progress(self):
        return self.seconds / self.budget

    def resume(self):
        if not os.path.exists(self.path):
            return
        state = store.load_checkpoint(self.path)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.load(state["average"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.marks = state["marks"]
        print(f"{self.name}: resumed at step {self.step}, {self.seconds:.0f} s",
              flush=True)

    def save(self):
        if parallel.rank() > 0:
            return
        store.save_checkpoint(self.path, dict(
            model=self.model.state_dict(), optimizer=self.optimizer.state_dict(),
            average=self.average.values, step=self.step, seconds=self.seconds,
            marks=self.marks))

    def log(self, **values):
        if parallel.rank() > 0:
            return
        line = dict(step=self.step, seconds=round(self.seconds, 1),
                    **{k: round(float(v), 5) for k, v in values.items()})
        with open(os.path.join(self.folder, f"{self.name}.log"), "a") as f:
            f.write(json.dumps(line) + "\n")
        print(self.name, line, flush=True)

    def once(self, name, at):
        """True once, at the first step whose progress has reached `at`."""
        if name in self.marks or self.progress < at:
            return False
        self.marks[name] = self.step
        return True

    def run(self, losses, before=None, watch=None, log_every=50, schedule=flat_then_linear):
        """Train until the time is up.

        losses(own, shared, progress) -> {"loss": tensor, ...}, with the generators of
        seed_step; before(stage) is called ahead of every step; watch(stage) every
        log_every steps, its values are logged.  What is logged of the losses is the
        first process's.
        """
        parallel.join()
        saved, sums, took, now = time.monotonic(), {}, 0.0, clock(self.model)
        while self.progress < 1.0:
            start = now()
            if before:
                before(self)
            values = losses(*seed_step(self.seed, self.name, self.step), self.progress)
            values["loss"].backward()
            gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
            seconds, = parallel.average(gradients, took)
            self.optimizer.step(schedule(self.progress))
            self.step += 1
            self.average.update(self.model, self.step)
            self.seconds += seconds
            took = now() - start
            for key, value in values.items():
                sums.setdefault(key, []).append(float(value.detach()))
            if self.step % log_every == 0:
                seen = {k: np.mean(v) for k, v in sums.items()}
                self.log(**seen, **(watch(self) if watch else {}))
                sums = {}
            if time.monotonic() - saved > self.every:
                self.save()
                saved = time.monotonic()
        self.save()

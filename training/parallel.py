# SPDX-License-Identifier: Apache-2.0
"""Several processes that train one model: each draws its own batches, and all take the
same step with the mean of their gradients.

On a CPU one process a core is much faster than one process with a thread a core.  The
processes are told their place by PHONOFILM_RANK and PHONOFILM_PROCESSES; a process on
its own needs neither."""
import os
import threading

import torch
import torch.distributed


def rank():
    return int(os.environ.get("PHONOFILM_RANK", 0))


def processes():
    return int(os.environ.get("PHONOFILM_PROCESSES", 1))


def environments(count, meeting):
    """The environment of each of `count` processes; they meet at the file `meeting`,
    which must not be there yet."""
    if os.path.exists(meeting):
        os.remove(meeting)
    return [dict(os.environ, PHONOFILM_RANK=str(i), PHONOFILM_PROCESSES=str(count),
                 PHONOFILM_MEETING=os.path.abspath(meeting)) for i in range(count)]


def end_with_parent():
    """End this process when the one that started it has gone, however it went: the
    standard input of a stage's process is a pipe that only its parent has open."""
    def wait():
        os.read(0, 1)                   # sys.stdin would keep the interpreter from ending
        os._exit(1)
    if "PHONOFILM_RANK" in os.environ:
        threading.Thread(target=wait, daemon=True).start()


def join():
    """Wait for the other processes, if there are any."""
    if processes() > 1:
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{os.environ['PHONOFILM_MEETING']}", rank=rank(),
            world_size=processes())


def _add(tensors):
    """The sums over all processes, in one message."""
    line = torch.cat([t.flatten() for t in tensors])
    torch.distributed.all_reduce(line)
    return [part.view_as(t) for part, t in
            zip(line.split([t.numel() for t in tensors]), tensors)]


def average(gradients, *numbers):
    """Put the mean over all processes into the gradients; returns that of the numbers."""
    if processes() == 1:
        return numbers
    *sums, last = _add([*gradients, torch.tensor(numbers)])
    for gradient, total in zip(gradients, sums):
        torch.div(total, processes(), out=gradient)
    return (last / processes()).tolist()


def share(function, tables):
    """[function(t) for t in tables], of a function that works on every row of a table
    [n, ...] by itself and keeps the shape: each process does a part of the rows."""
    if processes() == 1:
        return [function(t) for t in tables]
    done = [torch.zeros_like(t) for t in tables]
    for rows, out in zip(tables, done):
        own = slice(*(len(rows) * i // processes() for i in (rank(), rank() + 1)))
        out[own] = function(rows[own])
    return _add(done)

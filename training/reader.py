# SPDX-License-Identifier: Apache-2.0
"""Asks the text encoder what a sentence says of its scene; only used in training."""
import torch
import torch.nn.functional as F
from torch import nn

from . import world

SAID = dict(colour=list(world.COLOURS), floor=list(world.FLOORS), wall=list(world.WALLS),
            size=list(world.RADII), shape=list(world.SHAPES),
            material=list(world.MATERIALS))


class Reader(nn.Module):
    """Tells from the text encoder's rows what a sentence says of the scene: one query
    and one classifier for each thing that can be said."""

    def __init__(self, width):
        super().__init__()
        self.queries = nn.Parameter(torch.zeros(len(SAID), width))
        self.classes = nn.ModuleDict({k: nn.Linear(width, len(v)) for k, v in SAID.items()})

    def loss(self, context, scenes):
        rows, bias = context.rows[:, :-1], context.bias[:, 0, :, :-1]   # no padding
        scores = rows @ self.queries.mT + bias.mT
        seen = scores.softmax(1).mT @ rows
        loss = 0.0
        for i, (name, values) in enumerate(SAID.items()):
            truth = torch.tensor([values.index(getattr(s, name)) for s in scenes])
            guess = self.classes[name](seen[:, i])
            loss = loss + F.cross_entropy(guess.float(), truth.to(guess.device))
        return loss

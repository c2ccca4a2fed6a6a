# SPDX-License-Identifier: Apache-2.0
"""Muon for matrices and convolution kernels, AdamW for all else, and the moving
average of the weights that is exported."""
import torch

from . import parallel, precision

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonalize(matrices, steps=5):
    """The nearest semi-orthogonal matrices [n, a, b], roughly (singular values 0.7..1.2),
    by the quintic Newton-Schulz iteration; bf16 is precise enough for a direction."""
    a, b, c = NEWTON_SCHULZ
    tall = matrices.size(-2) > matrices.size(-1)
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    x = x.to(precision.fast(x.device.type))
    for _ in range(steps):
        gram = x @ x.mT
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, factor, x, beta=a)
    x = x.float()
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum, then orthogonalisation; kernels are seen as [out, rest].

    A group may carry `scale`, a factor on the learning rate."""

    def __init__(self, groups, momentum=0.95):
        super().__init__(groups, dict(lr=0.0, scale=1.0, momentum=momentum))

    @torch.no_grad()
    def step(self):
        """Matrices of one shape are handled together."""
        shapes = {}
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    key = (p.shape[0], p[0].numel())
                    shapes.setdefault(key, []).append((p, group))
        momenta = [torch.stack([self._look_ahead(*e) for e in entries])
                   for entries in shapes.values()]
        for entries, directions in zip(shapes.values(),
                                       parallel.share(orthogonalize, momenta)):
            self._update(entries, directions)

    def _look_ahead(self, p, group):
        """Nesterov's momentum [out, rest]."""
        state = self.state[p]
        if not state:
            state["momentum"] = torch.zeros_like(p)
        m = state["momentum"].lerp_(p.grad, 1 - group["momentum"])
        return p.grad.lerp(m, group["momentum"]).flatten(1)

    def _update(self, entries, directions):
        rows, columns = directions.shape[1:]
        stretch = max(1.0, rows / columns) ** 0.5
        for (p, group), direction in zip(entries, directions):
            p.add_(direction.view_as(p), alpha=-group["lr"] * group["scale"] * stretch)


def is_matrix(name, p):
    """Whether a parameter belongs to Muon: no table of embeddings, no vector."""
    table = "shared" in name or "relative_attention_bias" in name
    return p.ndim >= 2 and min(p.shape[0], p[0].numel()) > 1 and not table \
        and "modulation" not in name and "gamma" not in name and "alpha" not in name


def by_scale(named, scale):
    """Groups of parameters that have the same factor on the learning rate."""
    groups = {}
    for name, p in named:
        groups.setdefault(scale(name), []).append(p)
    return [dict(params=params, scale=factor) for factor, params in groups.items()]


class Optimizer:
    """Both optimisers as one.  `scale(name)` gives a factor on the learning rate."""

    def __init__(self, named, muon_lr, adam_lr, scale=lambda name: 1.0):
        named = [(n, p) for n, p in named if p.requires_grad]
        matrices = [(n, p) for n, p in named if is_matrix(n, p)]
        rest = [(n, p) for n, p in named if not is_matrix(n, p)]
        self.base = (muon_lr, adam_lr)
        self.parts = [
            Muon(by_scale(matrices, scale)),
            torch.optim.AdamW(by_scale(rest, scale), lr=0.0, betas=(0.9, 0.95),
                              weight_decay=0.0, fused=True)]

    def step(self, factor):
        """One update at `factor` times the base learning rates."""
        for part, lr in zip(self.parts, self.base):
            for group in part.param_groups:
                group["lr"] = lr * factor * (1.0 if part is self.parts[0]
                                             else group["scale"])
            part.step()
            part.zero_grad(set_to_none=True)

    def state_dict(self):
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states):
        for part, state in zip(self.parts, states):
            part.load_state_dict(state)


class Average:
    """Exponential moving average of a model's weights, with a warm-up."""

    def __init__(self, model, decay):
        self.decay = decay
        self.values = {k: v.detach().clone() for k, v in model.state_dict().items()}

    def load(self, values):
        for name, value in values.items():
            self.values[name].copy_(value)

    @torch.no_grad()
    def update(self, model, step):
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in model.state_dict().items():
            self.values[name].lerp_(value, 1 - decay)

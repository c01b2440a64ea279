"""Bugs of importance-weighted training; written with its tests."""

from .mutant import Mutant

FILE = "inference/importance_weighted.py"

IMPORTANCE_WEIGHTING = (
    Mutant(
        "weighted-mean-of-logs",
        "mean of logarithms",
        FILE,
        "bound = torch.logsumexp(log_weights, 0) - math.log(self.num_particles)",
        "bound = log_weights.mean(0)",
        "clementchadebec/benchmark_VAE #123",
    ),
    Mutant(
        "weighted-no-log-k",
        "log K missing",
        FILE,
        "torch.logsumexp(log_weights, 0) - math.log(self.num_particles)",
        "torch.logsumexp(log_weights, 0)",
    ),
    Mutant(
        "weighted-jointly",
        "one weight for the whole batch",
        FILE,
        "bound = torch.logsumexp(log_weights, 0) - math.log(self.num_particles)",
        "bound = torch.logsumexp(log_weights.sum(1), 0) - math.log(self.num_particles)\n"
        "        bound = bound / terms.size",
        "pyro-ppl/pyro #2220",
    ),
    Mutant(
        "weighted-over-data",
        "wrong axis",
        FILE,
        "bound = torch.logsumexp(log_weights, 0) - math.log(self.num_particles)",
        "bound = torch.logsumexp(log_weights, 1) - math.log(terms.size)",
    ),
    Mutant(
        "weighted-subsample-counts",
        "scale of a subsample within the weights",
        FILE,
        "scaled(terms.per_particle(_cost(term)), terms.size / terms.population)",
        "terms.per_particle(_cost(term))",
    ),
    Mutant(
        "weighted-density-without-guide",
        "density of the guide missing",
        FILE,
        "return cost if guide is None else cost + scaled(term.log_q, guide.scale)",
        "return cost",
    ),
    Mutant(
        "weighted-worst-draw",
        "sign",
        FILE,
        "return -bound.mean(), {",
        "return -2 * bound.mean() - torch.logsumexp(-log_weights, 0).mean(), {",
        "AntixK/PyTorch-VAE #34",
    ),
    Mutant(
        "weighted-frames-averaged",
        "plates averaged that are to be summed",
        "inference/terms.py",
        "summed = value.sum(others) if others else value",
        "summed = value.mean(others) if others else value",
    ),
)

"""Bugs in the likelihoods of pixels, the encoder's Normal, and the pair."""

from .mutant import Mutant

CONTINUOUS_BERNOULLI = "nets/continuous_bernoulli.py"
DISCRETISED_LOGISTIC = "nets/discretised_logistic.py"
NORMAL = "nets/normal.py"

DENSITIES = (
    Mutant(
        "normaliser-added",
        "sign of the normaliser",
        CONTINUOUS_BERNOULLI,
        "(value - 0.5) * self.logits - log_normaliser(self.logits)",
        "(value - 0.5) * self.logits + log_normaliser(self.logits)",
    ),
    Mutant(
        "series-sign",
        "sign of a series coefficient",
        CONTINUOUS_BERNOULLI,
        "_B = (1 / 24, -1 / 2880,",
        "_B = (1 / 24, 1 / 2880,",
    ),
    Mutant(
        "mean-of-wrong-parameter",
        "parameter taken for the mean",
        CONTINUOUS_BERNOULLI,
        "return mean_of_logits(raw)",
        "return raw.sigmoid()",
        "YannDubs/disentangling-vae PR #17",
    ),
    Mutant(
        "lowest-level-without-tail",
        "edge bin of a discretised logistic",
        DISCRETISED_LOGISTIC,
        "log_mass = torch.where(value < HALF_BIN / 2, below, log_mass)",
        "log_mass = torch.where(value < HALF_BIN / 2, inside, log_mass)",
    ),
    Mutant(
        "bins-of-half-width",
        "bin width wrong by two",
        DISCRETISED_LOGISTIC,
        "HALF_BIN = 1 / (LEVELS - 1)",
        "HALF_BIN = 0.5 / (LEVELS - 1)",
    ),
    Mutant(
        "mixture-wrong-axis",
        "normalised over the wrong axis",
        DISCRETISED_LOGISTIC,
        "self.logits.log_softmax(-3)",
        "self.logits.log_softmax(-1)",
        "pyro-ppl/pyro PR #1214",
    ),
    Mutant(
        "coefficients-of-other-channel",
        "wrong column for the last channel only",
        DISCRETISED_LOGISTIC,
        "start = c * (c - 1) // 2",
        "start = 0",
        "sdv-dev/CTGAN #143",
    ),
    Mutant(
        "normal-scale-as-variance",
        "variance given as standard deviation",
        NORMAL,
        "dist.Normal(raw, self.pixel_scale())",
        "dist.Normal(raw, self.pixel_scale().square())",
        "pyro-ppl/pyro PR #1643",
    ),
    Mutant(
        "learned-scale-squared",
        "learned scale squared",
        NORMAL,
        "* fraction).exp()",
        "* fraction).exp().square()",
        "pyro-ppl/pyro PR #1643",
    ),
    Mutant(
        "cross-entropy-as-likelihood",
        "a number that is no likelihood called one",
        "nets/bernoulli.py",
        "is_likelihood: ClassVar[bool] = False",
        "is_likelihood: ClassVar[bool] = True",
        "clementchadebec/benchmark_VAE #123",
    ),
    Mutant(
        "scale-from-the-locs-half",
        "scale read from the half of the locs",
        "nets/encoder.py",
        "loc, raw_scale = at_least_float32(raw).chunk(2, dim=-1)",
        "loc = raw_scale = at_least_float32(raw).chunk(2, dim=-1)[0]",
        "kaist-dmlab/TRAP PR #1",
    ),
    Mutant(
        "prior-twice-as-wide",
        "prior wrong",
        "models/vae.py",
        "torch.ones(latent_dim)",
        "torch.full((latent_dim,), 2.0)",
    ),
    Mutant(
        "codes-of-other-data",
        "data in another order",
        "guides/vae.py",
        "self.encoder(x)",
        "self.encoder(x.flip(0))",
        "YannDubs/disentangling-vae #78",
    ),
)

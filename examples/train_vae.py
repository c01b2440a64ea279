"""Train a VAE in a loop of your own: a Pyro pair, SVI, and the log-likelihood of test digits.

Run: python examples/train_vae.py [--steps 1000] [--samples 200]
"""

import argparse

import torch

from unbraid import guides, models
from unbraid.data import Batches, load
from unbraid.inference import SVI, log_likelihood
from unbraid.nets import MLPDecoder, MLPEncoder, make_likelihood

LATENT_DIM, BATCH, TESTED = 10, 100, 200


def main() -> None:
    """Train, then judge."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=1000, help="steps of training")
    parser.add_argument("--samples", type=int, default=200, help="importance samples per digit")
    arguments = parser.parse_args()

    torch.manual_seed(0)
    digits = load("mnist-small", binarise="dynamic")
    likelihood = make_likelihood("bernoulli", channels=1)
    model = models.VAE(MLPDecoder(LATENT_DIM, digits.train.shape, likelihood), LATENT_DIM)
    guide = guides.VAE(MLPEncoder(digits.train.shape, LATENT_DIM))

    svi = SVI(model, guide, lambda parameters: torch.optim.Adam(parameters, lr=1e-3, fused=True))
    batches = Batches(digits.train, BATCH)
    for step in range(arguments.steps):
        loss = svi.step(batches.batch(step)["x"])
        if step % 100 == 0:  # reading the loss waits for the device, so not at every step
            print(f"step {step:5d}  elbo {-float(loss) / BATCH:8.2f} nats per digit")

    test = Batches(digits.test.take(torch.arange(TESTED)), BATCH, shuffle=False)
    result = log_likelihood(model, guide, test, samples=arguments.samples)
    print(f"elbo     {result.elbo_mean:.2f} +- {result.elbo_standard_error:.2f} nats per digit")
    print(f"log p(x) {result.mean:.2f} +- {result.standard_error:.2f} nats per digit")


if __name__ == "__main__":
    main()

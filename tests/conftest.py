"""Fixtures for every test: fixed seeds, one thread, and no traces left behind."""

import os
import signal

import pyro
import pytest
import torch

SEED = 0

torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def heard_signals():
    """Hear signals also where a shell started the tests in the background and had them ignored."""
    heard = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in heard.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def unseen_gpu(request, monkeypatch):
    """Hide a GPU from tests that are not of one: figures by seed are a CPU's.

    UNBRAID_TEST_GPU=1 shows it to all of them, to see what fails on it.
    """
    if request.node.get_closest_marker("gpu") is None and "UNBRAID_TEST_GPU" not in os.environ:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture(autouse=True)
def fresh_state():
    """Seed everything, turn Pyro's checks on, and fail a test that leaves global state changed."""
    torch.manual_seed(SEED)
    pyro.clear_param_store()
    dtype, grad = torch.get_default_dtype(), torch.is_grad_enabled()
    with pyro.validation_enabled(True):
        yield
    assert torch.get_default_dtype() == dtype, "the test changed the default dtype"
    assert torch.is_grad_enabled() == grad, "the test changed the gradient mode"
    assert not list(pyro.get_param_store().keys()), "something wrote to Pyro's parameter store"

"""What the numbers of log_likelihood may not depend on: chunks, batches, memory, interruptions,
global state."""

import time
from importlib import import_module
from itertools import pairwise

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from unbraid import guides, models
from unbraid.inference import CheckpointError, log_likelihood
from unbraid.nets import MLPDecoder, MLPEncoder, make_likelihood

from . import oracles
from .pairs import vae

importance = import_module("unbraid.inference.importance")
likelihood = import_module("unbraid.inference.likelihood")

COLUMNS = ("log_likelihood", "elbo", "effective_sample_size", "pareto_k", "max_weight")


def run(oracle, **options):
    return log_likelihood(oracle.model, oracle.guide, oracle.data, keys=oracle.keys, **options)


def assert_same(a, b, tolerance=1e-12):
    for name in COLUMNS:
        torch.testing.assert_close(
            getattr(a, name), getattr(b, name), rtol=0, atol=tolerance * 1e3, equal_nan=True
        )
    torch.testing.assert_close(a.log_likelihood, b.log_likelihood, rtol=0, atol=tolerance)


ORACLES = {
    "pca": lambda size: oracles.pca(size, width=1.4),
    "mixture": oracles.mixture,
    "labelled": lambda size: oracles.labelled(size, width=1.4),
    "structured": lambda size: oracles.structured(size, width=1.4),
    "sequences": lambda size: oracles.sequences(size, width=1.4),
}


@pytest.mark.parametrize("rows", [1, 7, 100, 10**6])
@pytest.mark.parametrize("name", ORACLES)
def test_chunks_change_nothing(name, rows):
    oracle = ORACLES[name](35)
    assert_same(run(oracle, samples=43, rows=rows), run(oracle, samples=43))


@pytest.mark.parametrize("rows", [1, 50, 10**6])
def test_chunks_change_nothing_where_samples_are_nested(rows):
    oracle = oracles.sequences(35, width=1.4)
    options = {"samples": 23, "inner_samples": 3}
    assert_same(run(oracle, **options, rows=rows), run(oracle, **options))


@pytest.mark.parametrize("name", ORACLES)
def test_batches_change_nothing(name):
    oracle = ORACLES[name](77)
    edges = (0, 5, 55, 56, 77)

    def batches():
        for start, stop in pairwise(edges):
            yield {"index": torch.arange(start, stop)} | {
                key: value[start:stop] for key, value in oracle.data.items()
            }

    whole = run(oracle, samples=20)
    assert_same(
        log_likelihood(oracle.model, oracle.guide, batches(), keys=oracle.keys, samples=20), whole
    )


def test_batches_may_reuse_their_memory():
    oracle = oracles.pca(70, width=1.4)
    x, buffer = oracle.data["x"], torch.empty(20, 6, dtype=torch.float64)

    def batches():
        for piece in x.split(20):
            buffer[: len(piece)] = piece
            yield {"x": buffer[: len(piece)]}

    found = log_likelihood(oracle.model, oracle.guide, batches(), samples=20)
    assert_same(found, run(oracle, samples=20))


@pytest.mark.parametrize("name", ORACLES)
def test_the_first_data_of_many_get_the_same_numbers(name):
    oracle = ORACLES[name](70)
    first = oracle._replace(data={key: value[:41] for key, value in oracle.data.items()})
    many, few = run(oracle, samples=20), run(first, samples=20)
    for column in COLUMNS:
        torch.testing.assert_close(
            getattr(many, column)[:41], getattr(few, column), rtol=0, atol=1e-9, equal_nan=True
        )


@pytest.mark.parametrize("name", ORACLES)
def test_few_samples_are_the_first_of_many(name, monkeypatch):
    streams = []

    class Remembering(importance.WeightStream):
        def __init__(self, *args):
            super().__init__(*args)
            self.taken = []
            streams.append(self)

        def add(self, log_weights):
            self.taken.append(log_weights)
            super().add(log_weights)

    monkeypatch.setattr(likelihood, "WeightStream", Remembering)
    oracle = ORACLES[name](5)
    run(oracle, samples=37)
    run(oracle, samples=150)
    few, many = (torch.cat(stream.taken) for stream in streams)
    assert (len(few), len(many)) == (37, 150)
    torch.testing.assert_close(many[:37], few, rtol=0, atol=1e-12)
    assert len(many.unique(dim=0)) == 150


def test_the_seed_and_the_place_of_a_datum_change_the_noise():
    oracle = oracles.pca(2, width=1.4)
    repeated = oracle._replace(data={"x": oracle.data["x"][:1].expand(40, 6)})
    first, second = run(repeated, samples=10), run(repeated, samples=10, seed=1)
    assert len(first.log_likelihood.unique()) == 40
    assert not (first.log_likelihood == second.log_likelihood).any()


def test_the_guide_runs_twice_a_block_unless_it_depends_on_its_samples():
    for oracle, runs in ((oracles.pca(40), 2), (oracles.structured(40), 4)):
        calls = []

        def guide(x, oracle=oracle, calls=calls):
            calls.append(len(x))
            oracle.guide(x)

        log_likelihood(oracle.model, guide, oracle.data, samples=128)
        before = 4  # the check of the pair
        assert len(calls) - 2 * runs <= before
        assert calls == [32] * len(calls)


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: no")],
)
def test_running_out_of_memory_halves_the_chunk_and_changes_nothing(error):
    oracle = oracles.pca(35, width=1.4)
    largest = []

    def model(x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            if z.dim() == 3 and len(z) > 5:
                raise error
            largest.append(len(z))
            loc = z @ oracles.WEIGHT.T + oracles.OFFSET
            pyro.sample("x", dist.Normal(loc, oracles.NOISE).to_event(1), obs=x)

    with pytest.warns(UserWarning, match="out of memory: decoding"):
        found = log_likelihood(model, oracle.guide, oracle.data, samples=43)
    assert_same(found, run(oracle, samples=43))


def test_running_out_of_memory_for_one_sample_is_an_error():
    oracle = oracles.pca(3)

    def model(x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            if z.dim() == 3:
                raise torch.OutOfMemoryError("none left")
            pyro.sample("x", dist.Normal(z @ oracles.WEIGHT.T, 1.0).to_event(1), obs=x)

    with (
        pytest.warns(UserWarning, match="out of memory"),
        pytest.raises(torch.OutOfMemoryError, match="none left"),
    ):
        log_likelihood(model, oracle.guide, oracle.data, samples=4)


class Largest(TorchDispatchMode):
    """The most elements of any tensor that an operation gives."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor):
                size = tensor.untyped_storage().nbytes() // tensor.element_size()
                self.elements = max(self.elements, size)
        return result


def test_memory_grows_neither_with_samples_nor_with_data():
    def peak(size: int, samples: int) -> int:
        x = oracles.pca_data(size)
        oracle = oracles.pca(1, width=1.4)._replace(data={"x": x})
        with Largest() as largest:
            blocks = ({"x": piece} for piece in x.split(32))
            log_likelihood(oracle.model, oracle.guide, blocks, samples=samples, rows=1024)
        return largest.elements

    assert peak(128, 200) == peak(64, 200)
    assert peak(32, 4000) < 64 * 1024 < 4000 * 32


class Stop(Exception):
    pass


@pytest.mark.parametrize("name", ["pca", "structured", "sequences"])
def test_an_interrupted_evaluation_goes_on_to_the_same_bits(name, tmp_path):
    oracle, path = ORACLES[name](101), tmp_path / "partial.safetensors"
    whole = run(oracle, samples=20)
    done, calls = [], []

    def stopping(*args):
        if done and done[-1] >= 64:
            raise Stop
        oracle.model(*args)

    with pytest.raises(Stop):
        run(oracle._replace(model=stopping), samples=20, resume=path, progress=done.append)

    def model(*args):
        calls.append(len(args[0]))
        oracle.model(*args)

    resumed = log_likelihood(
        model, oracle.guide, oracle.data, keys=oracle.keys, samples=20, resume=path
    )
    for column in COLUMNS:
        assert torch.equal(
            getattr(resumed, column).nan_to_num(), getattr(whole, column).nan_to_num()
        )
    assert resumed.by_samples == whole.by_samples
    assert calls[-2:] != [32, 32]
    again = run(oracle, samples=20, resume=path, rows=7)
    assert torch.equal(again.log_likelihood, whole.log_likelihood)
    assert [p.name for p in tmp_path.iterdir()] == ["partial.safetensors"]


def test_partial_results_are_written_as_time_goes_by(tmp_path, monkeypatch):
    oracle, path = oracles.pca(70), tmp_path / "partial.safetensors"
    clock, seen = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def progress(done):
        clock[0] += 6.0
        seen.append(path.exists())

    run(oracle, samples=5, resume=path, progress=progress)
    assert seen == [False, False, True]


def test_partial_results_of_something_else_are_refused(tmp_path):
    oracle, path = oracles.pca(70, width=1.4), tmp_path / "partial.safetensors"
    run(oracle, samples=5, resume=path)
    with pytest.raises(CheckpointError, match="another pair, device, seed or number of samples"):
        run(oracle, samples=5, seed=1, resume=path)
    other = oracle._replace(data={"x": oracle.data["x"] + 1})
    with pytest.raises(CheckpointError, match="of other data"):
        run(other, samples=5, resume=path)
    fewer = oracle._replace(data={"x": oracle.data["x"][:64]})
    with pytest.raises(CheckpointError, match="of more data"):
        run(fewer, samples=5, resume=path)
    more = oracle._replace(data={"x": torch.cat([oracle.data["x"]] * 2)})
    with pytest.raises(CheckpointError, match="of other data"):
        run(more, samples=5, resume=path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(CheckpointError, match="holds no partial results"):
        run(oracle, samples=5, resume=path)


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.dropout = nn.Linear(2, 6).double(), nn.Dropout(0.5)

    def forward(self, x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            loc = self.dropout(self.linear(z))
            pyro.sample("x", dist.Normal(loc, 1.0).to_event(1), obs=x)


def test_global_state_and_modules_are_left_as_they_were(tmp_path):
    model, oracle = Decoder(), oracles.pca(5)
    model.linear.eval()
    state = torch.get_rng_state()
    first = log_likelihood(model, oracle.guide, oracle.data, samples=9)
    assert torch.equal(torch.get_rng_state(), state)
    assert (model.training, model.linear.training, model.dropout.training) == (True, False, True)
    model.eval()
    assert_same(log_likelihood(model, oracle.guide, oracle.data, samples=9), first)
    assert not first.log_likelihood.requires_grad
    path = tmp_path / "partial.safetensors"
    log_likelihood(model, oracle.guide, oracle.data, samples=9, resume=path)
    with torch.no_grad():
        model.linear.weight.mul_(2)
    with pytest.raises(CheckpointError, match="of another pair"):
        log_likelihood(model, oracle.guide, oracle.data, samples=9, resume=path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pca", "labelled"])
def test_compiled_numbers_are_those_of_eager_code(name):
    oracle = ORACLES[name](35)
    assert_same(run(oracle, samples=150, compile=True), run(oracle, samples=150), 1e-5)


class _Shifted(nn.Module):
    """A model with a parameter and two buffers, the second one of `rows` rows."""

    def __init__(self, rows):
        super().__init__()
        self.slope = nn.Parameter(torch.ones(()))
        self.small = nn.Buffer(torch.zeros(2))
        self.large = nn.Buffer(torch.zeros(rows, 2))

    def forward(self, x=None, size=None):
        with pyro.plate("data", len(x) if x is not None else size, dim=-1):
            z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            mean = self.slope * z + self.small + self.large.mean(0)
            pyro.sample("x", dist.Normal(mean, 1.0).to_event(1), obs=x)


def _wide(x):
    with pyro.plate("data", len(x), dim=-1):
        pyro.sample("z", dist.Normal(torch.zeros(2), 2.0).to_event(1))


@pytest.mark.parametrize("rows", [3, 50])
def test_a_second_compiled_evaluation_sees_what_changed_in_between(rows, recompilations):
    x = torch.randn(5, 2)
    kept, other = _Shifted(rows), _Shifted(rows)

    def check(model):
        compiled = log_likelihood(model, _wide, x, samples=130, compile=True)
        assert_same(compiled, log_likelihood(model, _wide, x, samples=130), 1e-4)
        return float(compiled.log_likelihood.sum())

    seen = {check(kept), check(other)}
    assert len(seen) == 1
    for name, value in (("slope", 0.5), ("small", 1.0), ("large", -1.0)):
        getattr(kept, name).data.fill_(value)
        seen.add(check(kept))
        check(other)
    assert len(seen) == 4
    kept.slope = nn.Parameter(torch.tensor(2.0))
    seen.add(check(kept))
    assert len(seen) == 5


def test_a_model_of_other_weights_is_not_compiled_again(recompilations):
    x, found = (torch.rand(5, 1, 8, 9) > 0.5).float(), []
    for seed in range(2):
        torch.manual_seed(seed)
        decoder = MLPDecoder(3, (1, 8, 9), make_likelihood("bernoulli", 1), (11,))
        model, guide = models.VAE(decoder, 3), guides.VAE(MLPEncoder((1, 8, 9), 3, (11,)))
        compiled = log_likelihood(model, guide, x, samples=130, compile=True)
        assert_same(compiled, log_likelihood(model, guide, x, samples=130), 1e-4)
        found.append(float(compiled.log_likelihood.sum()))
    assert found[0] != found[1]
    assert len(recompilations) == 1


@pytest.fixture
def recompilations(monkeypatch):
    """The graphs that were handed to the compiler, with none kept from before."""
    module = import_module("unbraid.inference.compiled_weights")
    monkeypatch.setattr(module, "_compiled", {})
    graphs, original = [], torch.compile

    def counting(graph, **options):
        graphs.append(graph)
        return original(graph, **options)

    monkeypatch.setattr(torch, "compile", counting)
    return graphs


def test_what_cannot_be_compiled_runs_eagerly_and_says_so():
    oracle = oracles.pca(3, width=1.4)

    def model(x):
        oracle.model(x * (1.0 if float(x.sum()) > -1e9 else 2.0))

    with pytest.warns(UserWarning, match="is not compiled"):
        found = log_likelihood(model, oracle.guide, oracle.data, samples=9, compile=True)
    assert_same(found, run(oracle, samples=9))


def test_partial_results_of_another_scale_are_refused(tmp_path):
    """A scale that is a plain number, or a buffer that checkpoints leave out, counts too."""
    pair, path = vae(), tmp_path / "partial.safetensors"
    pair.model.width = 0.1
    pair.model.register_buffer("scale", torch.tensor(0.1), persistent=False)

    def resumed():
        x = pair.args[0]
        return log_likelihood(pair.model, pair.guide, x, samples=2, resume=path)

    first = resumed()
    assert torch.equal(resumed().log_likelihood, first.log_likelihood)
    for name, other in (("width", 0.3), ("scale", torch.tensor(0.3))):
        before = getattr(pair.model, name)
        setattr(pair.model, name, other)
        with pytest.raises(CheckpointError, match="another pair"):
            resumed()
        setattr(pair.model, name, before)

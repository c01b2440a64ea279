"""Small pairs of every structure, float64, all sizes distinct."""

from typing import Any, NamedTuple

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from torch import Tensor, nn

from unbraid import guides, models
from unbraid.nets import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder, make_likelihood

B, K, D, C, T = 5, 3, 4, 2, 6
SHAPE = (1, 8, 9)


class Pair(NamedTuple):
    """A pair, its arguments, and the number of its plates' dims."""

    model: Any
    guide: Any
    args: tuple[Any, ...]
    nesting: int = 1
    enumerated: bool = False

    @property
    def parameters(self) -> list[nn.Parameter]:
        found = {id(p): p for m in (self.model, self.guide) for p in m.parameters()}
        return list(found.values())


class Net(nn.Module):
    """Linear maps to the moments of a Normal."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.loc, self.raw_scale = nn.Linear(inputs, outputs), nn.Linear(inputs, outputs)

    def forward(self, *inputs: Tensor) -> Any:
        shape = torch.broadcast_shapes(*(i.shape[:-1] for i in inputs))
        joined = torch.cat([i.expand(*shape, i.shape[-1]) for i in inputs], -1)
        return dist.Normal(self.loc(joined), self.raw_scale(joined).exp()).to_event(1)


def standard(size: int) -> Any:
    zeros = torch.zeros(size, dtype=torch.float64)
    return dist.Normal(zeros, zeros + 1).to_event(1)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.decoder = Net(K, D)

    def forward(self, x: Tensor | None = None) -> Any:
        with pyro.plate("data", B if x is None else len(x)):
            return pyro.sample("x", self.decoder(pyro.sample("z", standard(K))), obs=x)


class Guide(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = Net(D, K)

    def forward(self, x: Tensor) -> Any:
        with pyro.plate("data", len(x)):
            return pyro.sample("z", self.encoder(x))


class NoClosedForm(Guide):
    def forward(self, x: Tensor) -> Any:
        q = self.encoder(x).base_dist
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.StudentT(5.0, q.loc, q.scale).to_event(1))


class JointGuide(Guide):
    def forward(self, x: Tensor) -> Any:
        q = self.encoder(x).base_dist
        tril = torch.diag_embed(q.scale) + 0.3 * torch.ones(K, K, dtype=x.dtype).tril(-1)
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.MultivariateNormal(q.loc, scale_tril=tril))


class StructuredModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.prior, self.decoder = Net(C, K), Net(C + K, D)

    def forward(self, x: Tensor) -> Any:
        with pyro.plate("data", len(x)):
            pose = pyro.sample("pose", standard(C))
            content = pyro.sample("content", self.prior(pose))
            pyro.sample("x", self.decoder(pose, content), obs=x)


class StructuredGuide(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pose, self.content = Net(D, C), Net(D + C, K)

    def forward(self, x: Tensor) -> Any:
        with pyro.plate("data", len(x)):
            pose = pyro.sample("pose", self.pose(x))
            pyro.sample("content", self.content(x, pose))


class FramesModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.decoder = Net(K + C, D)

    def forward(self, x: Tensor, mask: Any) -> Any:
        data, frames = pyro.plate("data", B, dim=-2), pyro.plate("frames", T, dim=-1)
        with data:
            static = pyro.sample("static", standard(K))
            with frames, poutine.mask(mask=mask):
                dynamic = pyro.sample("dynamic", standard(C))
                pyro.sample("x", self.decoder(static, dynamic), obs=x)


class FramesGuide(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.static, self.dynamic = Net(D, K), Net(D + K, C)

    def forward(self, x: Tensor, mask: Any) -> Any:
        data, frames = pyro.plate("data", B, dim=-2), pyro.plate("frames", T, dim=-1)
        with data:
            static = pyro.sample("static", self.static(x.mean(-2, keepdim=True)))
            with frames, poutine.mask(mask=mask):
                pyro.sample("dynamic", self.dynamic(x, static))


class Scaled(nn.Module):
    """Every site of a program scaled by 2.5."""

    def __init__(self, program: nn.Module) -> None:
        super().__init__()
        self.program = program

    def forward(self, *args: Any) -> Any:
        with poutine.scale(scale=2.5):
            return self.program(*args)


class Subsampled(nn.Module):
    """A part `B` of 20 data, drawn by Pyro in the guide."""

    def __init__(self, net: Net, is_model: bool) -> None:
        super().__init__()
        self.net, self.is_model = net, is_model

    def forward(self, x: Tensor) -> Any:
        with pyro.plate("data", len(x), subsample_size=B) as index:
            if self.is_model:
                z = pyro.sample("z", standard(K))
                pyro.sample("x", self.net(z), obs=x[index])
            else:
                pyro.sample("z", self.net(x[index]))


class GlobalModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.decoder = Net(K + C, D)

    def forward(self, x: Tensor) -> Any:
        weight = pyro.sample("weight", standard(C))
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", standard(K))
            pyro.sample("x", self.decoder(z, weight), obs=x)


class GlobalGuide(Guide):
    def __init__(self) -> None:
        super().__init__()
        self.loc = nn.Parameter(torch.randn(C))

    def forward(self, x: Tensor) -> Any:
        pyro.sample("weight", dist.Normal(self.loc, self.loc.exp()).to_event(1))
        return super().forward(x)


class LabelModel(nn.Module):
    """A discrete label beside the code; the guide may leave it to the model."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.randn(C))
        self.decoder = Net(K + 1, D)

    def forward(self, x: Tensor) -> Any:
        with pyro.plate("data", len(x)):
            label = pyro.sample(
                "label", dist.Categorical(logits=self.logits), infer={"enumerate": "parallel"}
            )
            z = pyro.sample("z", standard(K))
            pyro.sample("x", self.decoder(z, label.to(x.dtype).unsqueeze(-1)), obs=x)


class LabelGuide(Guide):
    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Linear(D, C)
        self.encoder = Net(D + 1, K)

    def forward(self, x: Tensor) -> Any:
        with pyro.plate("data", len(x)):
            label = pyro.sample(
                "label",
                dist.Categorical(logits=self.classifier(x)),
                infer={"enumerate": "parallel"},
            )
            pyro.sample("z", self.encoder(x, label.to(x.dtype).unsqueeze(-1)))


class MixtureModel(nn.Module):
    """A mixture of Normals as prior of the code."""

    def __init__(self) -> None:
        super().__init__()
        self.logits, self.locs = nn.Parameter(torch.randn(C)), nn.Parameter(torch.randn(C, K))
        self.decoder = Net(K, D)

    def forward(self, x: Tensor) -> Any:
        with pyro.plate("data", len(x)):
            label = pyro.sample(
                "label", dist.Categorical(logits=self.logits), infer={"enumerate": "parallel"}
            )
            z = pyro.sample("z", dist.Normal(self.locs[label], 0.7).to_event(1))
            pyro.sample("x", self.decoder(z), obs=x)


class LabelledFramesModel(FramesModel):
    """One label per sequence, seen in all of its frames."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.randn(C))
        self.decoder = Net(K + C + 1, D)

    def forward(self, x: Tensor, mask: Any) -> Any:
        data, frames = pyro.plate("data", B, dim=-2), pyro.plate("frames", T, dim=-1)
        with data:
            static = pyro.sample("static", standard(K))
            label = pyro.sample(
                "label", dist.Categorical(logits=self.logits), infer={"enumerate": "parallel"}
            )
            with frames, poutine.mask(mask=mask):
                dynamic = pyro.sample("dynamic", standard(C))
                seen = label.to(x.dtype).unsqueeze(-1)
                pyro.sample("x", self.decoder(static, dynamic, seen), obs=x)


def make_pair(name: str) -> Pair:
    """A pair by name, drawn from seed 7."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        x = torch.randn(B, D, dtype=torch.float64)
        frames = torch.randn(B, T, D, dtype=torch.float64)
        mask = torch.arange(T) < torch.tensor([2, 6, 3, 5, 1]).unsqueeze(-1)
        made = {
            "plain": lambda: Pair(Model(), Guide(), (x,)),
            "no-closed-form": lambda: Pair(Model(), NoClosedForm(), (x,)),
            "joint": lambda: Pair(Model(), JointGuide(), (x,)),
            "structured": lambda: Pair(StructuredModel(), StructuredGuide(), (x,)),
            "frames": lambda: Pair(FramesModel(), FramesGuide(), (frames, mask), 2),
            "scaled": lambda: Pair(Scaled(Model()), Scaled(Guide()), (x,)),
            "subsampled": lambda: Pair(
                Subsampled(Net(K, D), True),
                Subsampled(Net(D, K), False),
                (torch.randn(20, D, dtype=torch.float64),),
            ),
            "global": lambda: Pair(GlobalModel(), GlobalGuide(), (x,)),
            "guide-label": lambda: Pair(LabelModel(), LabelGuide(), (x,), 1, True),
            "model-label": lambda: Pair(LabelModel(), Guide(), (x,), 1, True),
            "mixture": lambda: Pair(MixtureModel(), Guide(), (x,), 1, True),
            "frames-label": lambda: Pair(
                LabelledFramesModel(), FramesGuide(), (frames, mask), 2, True
            ),
            "scaled-label": lambda: Pair(Scaled(LabelModel()), Scaled(Guide()), (x,), 1, True),
        }
        pair = made[name]()
    return pair._replace(model=pair.model.double(), guide=pair.guide.double())


def data():
    return torch.randn(B, D, dtype=torch.float64)


def bad_data(value):
    x = data()
    x[2, 1] = value
    return (x,)


def assert_held_back(step, pair, bad_args):
    """After a good step a bad one, and every later good one, change nothing at all."""
    step(pair.args)
    assert float(step.bad) == 0.0
    before = [p.detach().clone() for p in pair.parameters]
    state = {k: str(v) for k, v in step.optimizer.state_dict()["state"].items()}
    for args in (bad_args, pair.args):
        step(args)
        assert float(step.bad) == 1.0
        for parameter, kept in zip(pair.parameters, before, strict=True):
            assert torch.equal(parameter, kept)
    assert {k: str(v) for k, v in step.optimizer.state_dict()["state"].items()} == state


def vae(conv=False, likelihood="bernoulli") -> Pair:
    """The library's own pair of images, float32."""
    torch.manual_seed(7)
    made = make_likelihood(likelihood, 1)
    if conv:
        encoder = ConvEncoder(SHAPE, K, channels=(4, 5), hidden=11)
        decoder = ConvDecoder(K, SHAPE, made, channels=(5, 4), hidden=11)
    else:
        encoder = MLPEncoder(SHAPE, K, hidden=(13, 11))
        decoder = MLPDecoder(K, SHAPE, made, hidden=(11, 13))
    x = (torch.rand(B, *SHAPE) < 0.4).float()
    return Pair(models.VAE(decoder, K), guides.VAE(encoder), (x,))

"""Graphs of programs: what depends on what, checked against Pyro's own reading and by hand."""

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from matplotlib.patches import Ellipse, FancyArrowPatch, FancyBboxPatch, Rectangle
from pyro.infer.inspect import get_model_relations

from unbraid.analysis import graph_figure, model_graph
from unbraid.analysis.graph_figure import laid_out  # pyright: ignore[reportMissingImports]


def sequences(x, shift=None):
    with pyro.plate("data", len(x), dim=-2):
        static = pyro.sample("static", dist.Normal(torch.zeros(2), 1.0).to_event(1))
        with pyro.plate("frames", x.shape[1], dim=-1):
            dynamic = pyro.sample("dynamic", dist.Normal(static.tanh(), 1.0).to_event(1))
            noise = pyro.sample("noise", dist.Gamma(torch.ones(()), 1.0))
            loc = static[..., :1] + dynamic[..., 1:]
            loc = loc if shift is None else loc + shift[:, None, None]
            return pyro.sample("x", dist.Normal(loc, noise[..., None]).to_event(1), obs=x)


def guide(x, shift=None):
    with pyro.plate("data", len(x), dim=-2):
        mean = x.mean(1, keepdim=True)
        scale = torch.full((2,), 0.5)
        static = pyro.sample("static", dist.Normal(mean.expand(-1, 1, 2), scale).to_event(1))
        with pyro.plate("frames", x.shape[1], dim=-1):
            loc = x.expand(-1, -1, 2) + static
            pyro.sample("dynamic", dist.Normal(loc, scale).to_event(1))
            pyro.sample("noise", dist.Gamma(torch.ones(()), 1.0))


X = torch.rand(3, 4, 1)


def edges(nodes):
    return {(parent, node.name) for node in nodes for parent in node.parents}


def test_the_graph_is_pyros():
    nodes = model_graph(sequences, X)
    theirs = get_model_relations(sequences, (X,))
    assert {n.name: list(n.parents) for n in nodes} == theirs["sample_sample"]
    assert {n.name: n.distribution for n in nodes} == theirs["sample_dist"]
    for plate, names in theirs["plate_sample"].items():
        assert [n.name for n in nodes if plate in n.plates] == names
    assert [n.name for n in nodes if n.kind == "observed"] == theirs["observed"] == ["x"]


def test_the_graph_is_known():
    nodes = model_graph(sequences, X)
    assert edges(nodes) == {
        ("static", "dynamic"), ("static", "x"), ("dynamic", "x"), ("noise", "x"),
    }  # fmt: skip
    plates = {n.name: n.plates for n in nodes}
    assert plates["static"] == ("data",)
    assert plates["dynamic"] == plates["x"] == ("data", "frames")


def test_arguments_are_nodes_where_something_depends_on_them():
    nodes = model_graph(sequences, X, torch.zeros(3))
    [given] = [n for n in nodes if n.kind == "given"]
    assert (given.name, given.plates) == ("shift", ("data",))
    assert ("shift", "x") in edges(nodes)
    # An observed value is not what its own density depends on.
    assert {n.name for n in model_graph(sequences, X)} == {"static", "dynamic", "noise", "x"}
    # What all data share is in no plate.
    [given] = [n for n in model_graph(sequences, X, torch.zeros(1)) if n.kind == "given"]
    assert given.plates == ()
    assert edges(model_graph(guide, X)) == {
        ("x", "static"), ("x", "dynamic"), ("static", "dynamic"),
    }  # fmt: skip


def test_dropout_modes_and_random_state_are_put_back():
    net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout())

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            with pyro.plate("data", len(x)):
                z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
                pyro.sample("x", dist.Normal(self.net(z), 1.0).to_event(1), obs=x)

    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    nodes = model_graph(Model().train(), torch.zeros(2, 2))
    assert torch.equal(torch.rand(1), expected)
    assert edges(nodes) == {("z", "x")}
    assert net[1].training
    assert not hasattr(next(net.parameters()), "_provenance")


def test_children_stand_below_their_parents_and_in_their_frames():
    nodes = model_graph(sequences, X)
    laid = laid_out(nodes)
    for parent, child in edges(nodes):
        assert laid.nodes[parent][1] < laid.nodes[child][1]
    boxes = list(laid.nodes.items())
    for i, (_, (x, y, width)) in enumerate(boxes):
        for _, (other_x, other_y, other_width) in boxes[:i]:
            assert y != other_y or abs(x - other_x) > (width + other_width) / 2
    assert [name for name, _ in laid.plates] == ["data", "frames"]
    for plate, (left, top, right, bottom) in laid.plates:
        assert 0 <= left < right <= laid.size[0]
        assert 0 <= top < bottom <= laid.size[1]
        for node in nodes:
            x, y, width = laid.nodes[node.name]
            is_inside = left < x - width / 2 and x + width / 2 < right and top < y < bottom
            assert is_inside == (plate in node.plates)


def test_nodes_of_one_row_stand_beside_each_other():
    def model(x):
        with pyro.plate("data", len(x)):
            parts = [pyro.sample(f"a_long_name_{i}", dist.Normal(0.0, 1.0)) for i in range(3)]
            pyro.sample("x", dist.Normal(torch.stack(parts).sum(0), 1.0), obs=x)

    nodes = laid_out(model_graph(model, torch.zeros(2))).nodes
    [first, second, third] = [nodes[f"a_long_name_{i}"] for i in range(3)]
    assert first[1] == second[1] == third[1] < nodes["x"][1]
    assert first[0] + first[2] / 2 < second[0] - second[2] / 2
    assert second[0] + second[2] / 2 < third[0] - third[2] / 2
    assert nodes["x"][0] == pytest.approx(second[0])


def test_plates_that_cross_are_framed_apart():
    def crossing():
        first, second = pyro.plate("a", 2, dim=-1), pyro.plate("b", 3, dim=-2)
        with first:
            of_a = pyro.sample("of_a", dist.Normal(0.0, 1.0))
        with second:
            of_b = pyro.sample("of_b", dist.Normal(0.0, 1.0))
        alone = pyro.sample("alone", dist.Normal(0.0, 1.0))
        with first, second:
            pyro.sample("both", dist.Normal(of_a + of_b + alone, 1.0))

    nodes = model_graph(crossing)
    laid = laid_out(nodes)
    for node in nodes:
        x, y, _ = laid.nodes[node.name]
        around = {n for n, (x0, y0, x1, y1) in laid.plates if x0 < x < x1 and y0 < y < y1}
        assert around == set(node.plates)


def test_the_figure_draws_every_node_arrow_and_frame():
    figure = graph_figure(sequences, guide, X)
    axis = figure.axes[0]
    texts = [t.get_text() for t in axis.texts]
    for name in ("static", "dynamic", "noise", "x", "data", "frames"):
        assert texts.count(name) == 2
    assert {"model p", "guide q"} <= set(texts)
    shapes = [sum(type(p) is kind for p in axis.patches) for kind in (Ellipse, Rectangle)]
    assert shapes == [4 + 3, 1]
    arrows = [p for p in axis.patches if isinstance(p, FancyArrowPatch)]
    assert len(arrows) == 4 + 3
    assert sum(isinstance(p, FancyBboxPatch) for p in axis.patches) == 4
    figure.canvas.draw()
    # In the guide x is in both frames, as the model has it.
    [box] = [p for p in axis.patches if type(p) is Rectangle]
    frames = [p.get_bbox().extents for p in axis.patches if isinstance(p, FancyBboxPatch)]
    x, y = box.get_x(), box.get_y()
    assert sum(x0 < x < x1 and min(y0, y1) < y < max(y0, y1) for x0, y0, x1, y1 in frames) == 2


@pytest.mark.parametrize(("length", "beside"), [(1, True), (20, False)])
def test_wide_graphs_stand_below_each_other(length, beside):
    def model(x):
        with pyro.plate("data", len(x)):
            z = pyro.sample(length * "z", dist.Normal(0.0, 1.0))
            y = pyro.sample(length * "y", dist.Normal(0.0, 1.0))
            pyro.sample("x", dist.Normal(z + y, 1.0), obs=x)

    def guide(x):
        with pyro.plate("data", len(x)):
            for name in "zy":
                pyro.sample(length * name, dist.Normal(x, 1.0))

    figure = graph_figure(model, guide, torch.zeros(2))
    axis = figure.axes[0]
    places = {t.get_text(): t.get_position() for t in axis.texts}
    (x, y), (other_x, other_y) = places["model p"], places["guide q"]
    assert (y == other_y) == beside
    assert (x == other_x) != beside
    frames = [p.get_bbox().extents for p in axis.patches if isinstance(p, FancyBboxPatch)]
    right, bottom = axis.get_xlim()[1], axis.get_ylim()[0]
    assert all(0 <= x0 < x1 <= right and y1 <= bottom for x0, _, x1, y1 in frames)
    (_, top, x1, _), (x0, other_top, _, _) = sorted(frames, key=lambda box: (box[1], box[0]))
    assert (x1 < x0) == beside
    assert top == other_top or frames[0][3] < other_y < other_top


def test_no_arrow_crosses_a_node():
    """Of a chain with a shortcut, the shortcut bends around what stands between."""

    def chain(x):
        with pyro.plate("data", len(x)):
            first = pyro.sample("first", dist.Normal(0.0, 1.0))
            middle = pyro.sample("a_rather_long_name", dist.Normal(first, 1.0))
            pyro.sample("x", dist.Normal(first + middle, 1.0), obs=x)

    figure = graph_figure(chain, None, torch.zeros(2))
    figure.canvas.draw()
    axis = figure.axes[0]
    nodes = [p for p in axis.patches if isinstance(p, Ellipse)]
    for arrow in (p for p in axis.patches if isinstance(p, FancyArrowPatch)):
        ends = {arrow.patchA, arrow.patchB}
        path = np.asarray(arrow.get_path().interpolated(40).vertices, float)
        for node in nodes:
            if node not in ends:
                size = np.array([node.get_width(), node.get_height()])
                shares = (path - np.array(node.get_center())) / (size / 2)
                assert ((shares**2).sum(1) > 1).all()
    assert sum(isinstance(p, FancyArrowPatch) for p in axis.patches) == 3


@pytest.mark.parametrize("count", [1, 2])
def test_arguments_after_the_named_ones_are_numbered(count):
    def model(*parts):
        with pyro.plate("data", 3):
            pyro.sample("z", dist.Normal(torch.stack(parts).sum(0), 1.0))

    nodes = model_graph(model, *[torch.zeros(3)] * count)
    assert [n.name for n in nodes] == [*(f"parts[{i}]" for i in range(count)), "z"]
    assert nodes[0].plates == ("data",)

# pyright: reportArgumentType=false, reportIndexIssue=false
# pyright: reportOptionalMemberAccess=false, reportOptionalSubscript=false
import pytest
import torch

from unbraid.data import Batches, Binarise, Dataset, PackedBits, RandomAffine, load

COUNT = 29
LABELS = torch.tensor([2, 0, 0, 4, 2] * 5 + [0, 4, 4, 0])  # no 1, no 3
GROUPS = torch.arange(COUNT) % 7
FACTORS = torch.stack([torch.arange(COUNT) % 2, torch.arange(COUNT) // 2 % 3], 1)


def numbered(count=COUNT, **known):
    generator = torch.Generator().manual_seed(count)
    images = torch.randint(256, (count, 2, 5, 7), generator=generator, dtype=torch.uint8)
    return Dataset(images, **known)


def annotated():
    known = {"factor_names": ("shape", "size"), "groups": GROUPS}
    return numbered(labels=LABELS, factors=FACTORS, **known)


def copied(batch):
    parts = {**batch, **{f"partner {key}": value for key, value in batch["partner"].items()}}
    return {key: value.clone() for key, value in parts.items() if key != "partner"}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize(
    ("shared", "values"),
    [
        ("label", LABELS),
        ("group", GROUPS),
        ("shape", FACTORS[:, 0]),
        ("size", FACTORS[:, 1]),
        (("size", "shape"), FACTORS[:, 0] + 2 * FACTORS[:, 1]),
        (["shape", "label"], FACTORS[:, 0] + 2 * LABELS),
    ],
)
@pytest.mark.parametrize("shuffle", [True, False])
def test_partners_share_what_they_should_and_are_somebody_else(shared, values, shuffle):
    data = annotated()
    batches = Batches(data, 6, seed=4, partners=shared, shuffle=shuffle)
    for step in range(40):
        batch = batches.batch(step)
        index, other = batch["index"], batch["partner"]["index"]
        assert other.dtype == torch.int64 and other.shape == index.shape
        assert torch.equal(values[index], values[other]) and not (index == other).any()
        expected = data.images[other] / torch.tensor(255.0)
        assert torch.equal(batch["partner"]["x"], expected)
        assert torch.equal(batch["x"], data.images[index] / torch.tensor(255.0))


def test_every_other_is_drawn_as_often():
    """Chi-square of the pairs within each label, over 3000 epochs: false alarms of 1e-6."""
    batches = Batches(annotated(), COUNT, seed=1, partners="label")
    epochs, pairs = 3000, torch.zeros(COUNT, COUNT, dtype=torch.float64)
    for step in range(epochs):
        batch = batches.batch(step)
        pairs[batch["index"], batch["partner"]["index"]] += 1
    alike = (LABELS[:, None] == LABELS) & ~torch.eye(COUNT, dtype=torch.bool)
    assert (pairs.sum(1) == epochs).all() and not pairs[~alike].any()
    others = alike.sum(1, keepdim=True).double()
    expected = epochs / others
    statistic = torch.where(alike, (pairs - expected) ** 2 / expected, 0).sum()
    freedom = (others - 1).sum()
    assert torch.special.gammaincc(freedom / 2, statistic / 2) > 1e-6


def test_partners_of_neighbours_in_a_batch_are_independent():
    """Chi-square of pairs of steps along the circle, 4 x 4 cells: false alarms of 1e-6."""
    data = numbered(5, labels=torch.zeros(5, dtype=torch.int64))
    batches = Batches(data, 5, seed=2, partners="label", shuffle=False)
    table = torch.zeros(4, 4, dtype=torch.float64)
    for step in range(4000):
        batch = batches.batch(step)
        steps = (batch["partner"]["index"] - batch["index"]) % 5 - 1
        table[steps[0], steps[1]] += 1
    statistic = ((table - 250) ** 2 / 250).sum()
    assert torch.special.gammaincc(torch.tensor(7.5, dtype=torch.float64), statistic / 2) > 1e-6


@pytest.mark.parametrize("transforms", [(), (RandomAffine(), Binarise("dynamic"))])
@pytest.mark.parametrize("shuffle", [True, False])
def test_a_new_object_gives_the_same_partners_at_any_step(transforms, shuffle):
    settings = {"seed": 3, "transforms": transforms, "partners": "label", "shuffle": shuffle}
    ahead = Batches(annotated(), 6, **settings)
    history = [copied(ahead.batch(step)) for step in range(14)]
    for step in (13, 4, 9, 0):
        assert same(copied(Batches(annotated(), 6, **settings).batch(step)), history[step])
        assert same(copied(ahead.batch(step)), history[step])


def test_partners_differ_between_epochs_and_seeds_and_leave_the_rest_as_it_is():
    drawn = set()
    for seed in (0, 1):
        plain = Batches(annotated(), COUNT, seed=seed, transforms=(Binarise("dynamic"),))
        with_partners = Batches(
            annotated(), COUNT, seed=seed, transforms=(Binarise("dynamic"),), partners="label"
        )
        for step in range(2):
            batch, expected = with_partners.batch(step), plain.batch(step)
            assert torch.equal(batch["x"], expected["x"])
            assert torch.equal(batch["index"], expected["index"])
            places = batch["index"].argsort()
            drawn.add(tuple(batch["partner"]["index"][places].tolist()))
    assert len(drawn) == 4  # two draws of 29 partners agree by chance with probability 1e-28


def test_noise_is_that_of_the_partner():
    grey = Dataset(torch.full((8, 1, 16, 16), 128, dtype=torch.uint8), groups=torch.arange(8) // 2)
    noise = (Binarise("dynamic"),)
    batch = Batches(grey, 8, seed=5, transforms=noise, partners="group").batch(3)
    x, other = batch["x"], batch["partner"]["x"]
    assert set(other.unique().tolist()) == {0.0, 1.0}
    # Two fair draws of 256 pixels agree by chance with probability 2**-256.
    drawn = {tuple(image.flatten().tolist()) for image in torch.cat([x, other])}
    assert len(drawn) == 16


def test_dynamic_data_have_dynamic_partners():
    data = Dataset(
        torch.randint(256, (8, 1, 9, 11), dtype=torch.uint8),
        groups=torch.zeros(8, dtype=torch.int64),
        dynamic=True,
    )
    other = Batches(data, 8, partners="group").batch(0)["partner"]["x"]
    assert set(other.unique().tolist()) == {0.0, 1.0}


def test_packed_bits_give_the_same_partners():
    images = (torch.rand(13, 1, 5, 7) < 0.5).to(torch.uint8) * 255
    plain, packed = (
        Batches(Dataset(kind, labels=torch.arange(13) // 5), 4, seed=2, partners="label")
        for kind in (images, PackedBits.pack(images))
    )
    assert all(same(copied(plain.batch(n)), copied(packed.batch(n))) for n in range(5))


def test_pictures_have_partners_of_the_same_class():
    digits = load("mnist-small").train
    batch = Batches(digits, 500, partners="label").batch(7)
    assert torch.equal(digits.labels[batch["partner"]["index"]], batch["label"])
    assert not torch.equal(batch["partner"]["x"], batch["x"])


def test_numbers_of_classes_may_be_kept_as_floats():
    values = torch.tensor([[0.0, 0.3], [1.0, 0.3], [0.0, 0.1], [1.0, 0.2]])
    data = numbered(4, factors=values, factor_names=("kind", "angle"), factor_sizes=(2, 0))
    other = Batches(data, 4, partners="kind", shuffle=False).batch(0)["partner"]["index"]
    assert other.tolist() == [2, 3, 0, 1]
    with pytest.raises(ValueError, match="share 'angle', a continuous factor of data; expected"):
        Batches(data, 4, partners="angle")


@pytest.mark.parametrize(
    ("known", "shared", "message"),
    [
        (
            {"labels": torch.tensor([0, 0, 1, 1, 3])},
            "label",
            "number of data with label 3 is 1; expected at least 2",
        ),
        (
            {"factors": torch.tensor([[0, 1], [0, 1], [1, 2], [1, 1], [0, 1]])},
            ("factor 0", "factor 1"),
            "number of data with factor 0 1, factor 1 2 is 1; expected at least 2",
        ),
        ({}, "label", "share 'label', which data do not have; .* nothing, as none is known"),
        (
            {"labels": torch.zeros(5, dtype=torch.int64), "factors": FACTORS[:5]},
            "group",
            "share 'group', which data do not have; expected .*: label, factor 0, factor 1",
        ),
        (
            {"labels": torch.tensor([0, 0, -1, -1, 0])},
            "label",
            r"not known of 2 of 5 data; expected all .* Take labelled\(dataset\)",
        ),
        ({"groups": torch.zeros(5, dtype=torch.int64)}, (), r"partners are \(\); expected a name"),
    ],
)
def test_partners_that_cannot_be_are_refused(known, shared, message):
    with pytest.raises(ValueError, match=message):
        Batches(numbered(5, **known), 5, partners=shared)


def test_sequences_have_companions_instead():
    clips = Dataset(torch.zeros(4, 3, 1, 5, 7, dtype=torch.uint8), groups=torch.arange(4) // 2)
    with pytest.raises(ValueError, match="data are sequences; expected images"):
        Batches(clips, 2, partners="group")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_gpu_sees_the_same_partners():
    here = Batches(annotated(), 6, seed=3, partners=("shape", "size"))
    there = Batches(annotated(), 6, seed=3, partners=("shape", "size"), device="cuda")
    for step in range(9):
        moved = {key: value.cpu() for key, value in copied(there.batch(step)).items()}
        assert same(copied(here.batch(step)), moved)

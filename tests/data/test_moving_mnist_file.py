# pyright: reportAttributeAccessIssue=false, reportIncompatibleMethodOverride=false
# pyright: reportMissingImports=false
import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch

from unbraid.data import DataError
from unbraid.data import moving_mnist_file as module
from unbraid.data.download import Remote, cache_folder
from unbraid.data.moving_digits import moving_mnist

SHAPE = (20, 30, 64, 64)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def serve(monkeypatch, tmp_path):
    """Serve an array as if it were the published file, of 30 sequences."""
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("UNBRAID_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(module, "_SHAPE", SHAPE)
    (tmp_path / "served").mkdir()
    handler = partial(Quiet, directory=str(tmp_path / "served"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
    thread.start()

    def publish(content):
        (tmp_path / "served" / "file.npy").write_bytes(content)
        remote = Remote(
            "moving_mnist/mnist_test_seq.npy",
            f"http://127.0.0.1:{server.server_port}/file.npy",
            f"md5:{hashlib.md5(content).hexdigest()}",
        )
        monkeypatch.setattr(module, "_FILE", remote)

    yield publish
    server.shutdown()
    thread.join()
    server.server_close()


def as_file(array, tmp_path):
    np.save(tmp_path / "array.npy", array)
    return (tmp_path / "array.npy").read_bytes()


def test_the_published_sequences_test_and_drawn_ones_train(serve, tmp_path):
    array = np.random.default_rng(0).integers(0, 256, SHAPE).astype(np.uint8)
    serve(as_file(array, tmp_path))
    splits = module.moving_mnist_test(3, sequences=40, digits_from="mnist-small")
    assert (cache_folder() / "moving_mnist" / "mnist_test_seq.npy").is_file()
    assert splits.test.images.shape == (30, 20, 1, 64, 64)
    for sequence, frame in ((0, 0), (29, 3), (7, 19)):
        shown = splits.test.frames(torch.tensor([sequence]), torch.tensor([[frame]]))
        assert np.array_equal(shown[0, 0, 0].numpy(), array[frame, sequence])
    drawn = moving_mnist(3, sequences=40)
    rows = torch.arange(4)
    for part, size in (("train", 32), ("validation", 4)):
        ours, theirs = getattr(splits, part), getattr(drawn, part)
        assert len(ours) == size and torch.equal(ours.pixels(rows), theirs.pixels(rows))
    for part in (splits.train, splits.validation, splits.test):
        assert part.name == "moving-mnist-test" and not part.annotations()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((20, 30, 64, 63), np.uint8), r"uint8 \(20, 30, 64, 63\); expected uint8"),
        (np.zeros(SHAPE, np.float16), r"float16 \(20, 30, 64, 64\); expected uint8 \(20, 30"),
        (np.array([{}]), "is damaged .*Fetch it again"),
    ],
)
def test_another_array_is_refused(serve, tmp_path, array, message):
    serve(as_file(array, tmp_path))
    with pytest.raises(DataError, match=message):
        module.moving_mnist_test(0, sequences=40, digits_from="mnist-small")


@pytest.mark.parametrize("size", [0, 5, 100, 500_000])
def test_a_cut_off_file_is_refused(serve, tmp_path, size):
    serve(as_file(np.zeros(SHAPE, np.uint8), tmp_path)[:size])
    with pytest.raises(DataError, match=r"is damaged .*Fetch it again"):
        module.moving_mnist_test(0, sequences=40, digits_from="mnist-small")


def test_a_file_that_is_too_large_is_refused(serve, tmp_path, monkeypatch):
    serve(as_file(np.zeros(SHAPE, np.uint8), tmp_path))
    monkeypatch.setenv("UNBRAID_MAX_GIB", "0.001")
    with pytest.raises(DataError, match="Set UNBRAID_MAX_GIB"):
        module.moving_mnist_test(0, sequences=40, digits_from="mnist-small")

# pyright: reportMissingImports=false
"""Whatever a user gives the command line, it answers in one line that says what to do next."""

import errno
import gzip
import hashlib
import io
import json
import os
import re
import resource
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pooch
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from unbraid.data import Batches
from unbraid.inference import FolderLock
from unbraid.inference.checkpoint_folder import seal

RNG = np.random.default_rng(1)
GREY = RNG.integers(0, 256, (30, 8, 9), np.uint8)
UNIT = GREY / 255
BINARY = (GREY > 127).astype(np.uint8) * 255
USAGE, DATA, MISMATCH, NON_FINITE, ENVIRONMENT = 2, 3, 4, 5, 6


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


def archive(**arrays):
    """Make an `.npz` file of arrays, and return its name."""

    def make():
        np.savez("mine.npz", **arrays)
        return "mine.npz"

    return make


def images(array, **others):
    return archive(images=array, **others)


def file(name, content):
    """Make one file, and return its name."""

    def make():
        Path(name).write_bytes(content)
        return name

    return make


def folder(*pictures, suffix="png", **others):
    """Make a folder of picture files, with other files besides, and return its name."""

    def make():
        Path("pictures").mkdir()
        for k, picture in enumerate(pictures):
            Image.fromarray(picture).save(f"pictures/{k}.{suffix}")
        for name, content in others.items():
            Path("pictures", name.replace("_", ".")).write_bytes(content)
        return "pictures"

    return make


def idx(array=GREY, labels=None, pack: Callable = bytes, suffix=""):
    """Make idx files of images, cut or packed by `pack`, and return their prefix."""

    def encode(values):
        return (
            bytes((0, 0, 8, values.ndim))
            + struct.pack(f">{values.ndim}I", *values.shape)
            + values.tobytes()
        )

    def make():
        Path(f"some-images-idx3-ubyte{suffix}").write_bytes(pack(encode(array)))
        if labels is not None:
            Path("some-labels-idx1-ubyte").write_bytes(encode(labels))
        return "some"

    return make


def npz_bytes(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def npy_in_npz(header, body=b"", name="mine.npz"):
    """Make an archive whose array declares what `header` says, and return its name."""

    def make():
        member = io.BytesIO()
        np.lib.format.write_array_header_1_0(member, header)
        with zipfile.ZipFile(name, "w") as target:
            target.writestr("images.npy", member.getvalue() + body)
        return name

    return make


def picture_bytes(picture, kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind)
    return buffer.getvalue()


def png_with_height(picture, height):
    """A PNG whose header, checksum included, claims another height than its pixels have."""
    content = bytearray(picture_bytes(picture))
    content[20:24] = struct.pack(">I", height)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return bytes(content)


class Row(NamedTuple):
    name: str
    data: Callable[[], str]
    message: str
    code: int = DATA
    more: tuple[str, ...] = ()


REFUSED_DATA = [
    Row(
        "row-01-nan-in-images",
        images(changed(UNIT, (17, 3, 4), np.nan)),
        r"images\[17\] in mine.npz has 1 NaN or infinite of 72 values; expected finite.* Leave",
    ),
    Row(
        "row-02-infinity-in-images",
        images(changed(UNIT, (5, 3, slice(4)), np.inf)),
        r"images\[5\] in mine.npz has 4 NaN or infinite of 72 values; expected finite.* Leave",
    ),
    Row(
        "row-04-floats-0-255",
        images(changed(GREY.astype(float), (0, 0, 0), 255)),
        r"range of images in mine.npz is \[0, 255\]; expected \[0, 1\].* Divide by 255",
    ),
    Row(
        "row-05-grey-with-bernoulli",
        images(GREY),
        r"grey values.*bernoulli expects 0 or 1.*continuous-bernoulli.*--binarise",
        more=("--set", "likelihood=bernoulli"),
    ),
    Row(
        "row-06-range-minus-one-to-one",
        images(changed(UNIT * 2 - 1, (0, 0, slice(2)), (-1, 1))),
        r"range of images in mine.npz is \[-1, 1\]; expected \[0, 1\].* Rescale",
    ),
    Row(
        "row-08-complex", images(UNIT + 1j), r"dtype of images.* is complex128; expected bool, ui"
    ),
    Row("row-08-text", images(GREY.astype("U3")), r"dtype of images.* is <U3; expected bool, ui"),
    Row(
        "row-12-huge", images(changed(UNIT, (0, 0, 0), 1e30)), r"range.*1e\+30\]; expected \[0, 1"
    ),
    Row("row-13-no-images", images(GREY[:0]), r"\(0, 1, 8, 9\); expected no axis of length 0"),
    Row(
        "row-13-empty-folder", folder(), r"number of images in pictures is 0; expected at least 4"
    ),
    Row("row-14-one-image", images(GREY[:1]), r"number of images in mine is 1; expected at least"),
    Row(
        "row-18-mixed-sizes",
        folder(*GREY[:5], GREY[5].T),
        r"size of pictures/5.png is 8x9; expected 9x8, as of pictures/0.png.* one size",
    ),
    Row(
        "row-19-mixed-channels",
        folder(*GREY[:4], np.stack([GREY[4]] * 3, 2)),
        r"modes of the images in pictures are 4 L, 1 RGB; expected all grey.* Convert",
    ),
    Row(
        "row-20-ambiguous-layout",
        images(RNG.integers(0, 256, (20, 3, 8, 3), np.uint8)),
        r"shape of images.* is \(20, 3, 8, 3\); expected.*could be either.*give it exactly one",
    ),
    Row(
        "row-22-too-small-for-convolutions",
        images(GREY[:, :7]),
        r"mine.npz do not suit vae: shape is \(1, 7, 9\); expected .* of at least 8. Use fully",
        more=("--set", "nets=conv"),
    ),
    Row(
        "row-24-two-axes", images(GREY[0]), r"shape of images.* is \(8, 9\); expected \(N, H, W\)"
    ),
    Row("row-24-six-axes", images(GREY[None, None, None]), r"shape .*; expected \(N, H, W\)"),
    Row("row-25-no-pixels", images(GREY[:, :0]), r"\(30, 1, 0, 9\); expected no axis of length 0"),
    Row("row-25-no-channels", images(GREY[:, :0, None]), r"shape of images.*expected"),
    Row(
        "row-26-label-too-large",
        images(GREY, labels=changed(np.arange(30) % 4, 3, 99)),
        r"largest of 30 labels in mine.npz is 99; expected classes counted from 0",
    ),
    Row(
        "row-27-negative-label",
        images(GREY, labels=changed(np.arange(30) % 4, 3, -1)),
        r"labels\[3\] of mine is -1; expected at least 0",
    ),
    Row(
        "row-28-labels-too-few",
        images(GREY, labels=np.arange(29) % 4),
        r"29.*expected.*30",
    ),
    Row(
        "row-29-float-labels",
        images(GREY, labels=np.full(30, 1.0000001)),
        r"labels in mine.npz are float64 of shape \(30,\); expected a vector of integers",
    ),
    Row(
        "row-31-keys-missing",
        archive(pixels=GREY, y=np.arange(30)),
        r"keys of mine.npz are pixels, y; expected either images or sequences",
    ),
    Row(
        "row-33-sequences-for-an-image-method",
        archive(sequences=RNG.integers(0, 256, (20, 5, 8, 9), np.uint8)),
        r"do not suit vae: data are sequences of 5 frames; expected images. Save the frames",
    ),
    Row(
        "row-41-truncated-npz",
        file("mine.npz", npz_bytes(images=GREY)[:1500]),
        r"mine.npz is cut off or damaged \(.*\) at 1500 bytes; expected a whole .npz.* Fetch",
    ),
    Row(
        "row-42-empty-npz",
        file("mine.npz", b""),
        r"mine.npz is cut off or damaged \(.*\) at 0 bytes; expected a whole .npz.* Fetch",
    ),
    Row(
        "row-43-truncated-npy",
        npy_in_npz({"descr": "|u1", "fortran_order": False, "shape": (30, 8, 9)}, bytes(100)),
        r"size of images in mine.npz is 100 bytes; expected 2160 for the shape .* Save it",
    ),
    Row(
        "row-44-truncated-gzip",
        idx(pack=lambda content: gzip.compress(content)[:-9], suffix=".gz"),
        r"some-images-idx3-ubyte.gz .* at \d+ bytes; expected a whole gzip file. Fetch it again",
    ),
    Row(
        "row-45-idx-body-too-short",
        idx(pack=lambda content: content[:-60]),
        r"after the header of some-images-idx3-ubyte is 2100; expected 2160 .* Fetch it again",
    ),
    Row(
        "row-46-images-and-labels-swapped",
        idx(GREY[:, 0, 0], np.arange(30, dtype=np.uint8)),
        r"magic number of some-images-idx3-ubyte is 0x00000801; expected 0x00000803.* swapped",
    ),
    Row(
        "row-47-truncated-png",
        folder(*GREY[:4], x_png=picture_bytes(GREY[4])[:-30]),
        r"pictures/x.png is cut off or damaged \(.*\); expected a whole image. Remove it",
    ),
    Row(
        "row-48-too-few-rows-in-png",
        folder(*RNG.integers(0, 256, (4, 8, 9), np.uint8), x_png=png_with_height(GREY[4][:5], 8)),
        r"pictures/x.png is cut off or damaged \(.*\); expected a whole image. Remove it",
    ),
    Row(
        "row-49-text-named-png",
        folder(*GREY[:4], x_png=b"not a picture"),
        r"pictures/x.png is not an image \(.*\); expected one. Remove it",
    ),
    Row(
        "row-50-gif-cut-in-a-frame",
        folder(x_gif=picture_bytes(GREY[4], "GIF")[:-30]),
        r"pictures/x.gif is cut off or damaged \(.*\); expected a whole image. Remove it",
    ),
    Row(
        "row-51-image-bomb",
        folder(x_png=png_with_height(GREY[4], 2**31 - 1)),
        r"pictures/x.png.*; expected at most 16777216 pixels. Scale it down",
    ),
    Row(
        "row-52-npy-claims-terabytes",
        npy_in_npz({"descr": "|u1", "fortran_order": False, "shape": (2**42, 1)}, bytes(100)),
        r"size of images in mine.npz is 100 bytes; expected 4398046511104",
    ),
    Row(
        "row-53-objects",
        npy_in_npz({"descr": "|O", "fortran_order": False, "shape": (30,)}, bytes(100)),
        r"dtype of images in mine.npz is object; expected numbers.* needs pickle.* refused",
    ),
    Row(
        "row-76-no-such-data", lambda: "mnist-smal", r"expected one of .*Did you mean mnist-small"
    ),
]


@pytest.mark.parametrize("row", REFUSED_DATA, ids=lambda row: row.name)
def test_unusable_data_are_refused(row, unbraid, train_words):
    outcome = unbraid(*train_words(*row.more, data=row.data()))
    check_refused(outcome, row.code, row.message)
    assert not Path("run").exists()


ACCEPTED = [
    Row("row-07-uint8", images(GREY), r"mine: 24 images, 1x8x9, grey"),
    Row(
        "row-09-all-the-same", images(GREY[:1].repeat(30, 0)), r"all training data of mine are the"
    ),
    Row(
        "row-09-one-colour", images(changed(GREY, 3, 77)), r"1 of the data of mine have one colour"
    ),
    Row(
        "row-11-duplicates-across-splits",
        images(np.concatenate([GREY[:15], GREY[:15]])),
        r"\d of the 3 test data of mine are also training data",
    ),
    Row(
        "row-15-fewer-images-than-a-batch",
        images(GREY),
        r"batch_size is reduced from 100 to 24",
        more=("--batch-size", "100"),
    ),
    Row("row-30-factor-with-one-value", images(GREY, factors=np.zeros((30, 1), int)), "1 factors"),
    Row(
        "row-57-hidden-files",
        folder(*GREY, Thumbs_db=b"", _DS_Store=b""),
        r"2 files of pictures are left out: they are hidden or no images",
    ),
]


@pytest.mark.parametrize("row", ACCEPTED, ids=lambda row: row.name)
def test_odd_data_are_used_and_said(row, unbraid, train_words):
    outcome = unbraid(*train_words(*row.more, data=row.data(), steps=2))
    assert outcome.code == 0, outcome.err
    assert re.search(row.message, outcome.err), outcome.err


OPTIONS = {
    "row-17-batch-size-0": (
        "--batch-size 0",
        r"--batch-size is 0; expected an integer of at least",
    ),
    "row-17-batch-size-minus-1": (
        "--batch-size -1",
        r"--batch-size is -1; expected an integer of",
    ),
    "row-17-batch-size-2.5": ("--batch-size 2.5", r"--batch-size is 2.5; expected an integer"),
    "row-70-device-gpu": (
        "--device gpu",
        r"device is 'gpu'; expected auto, cpu, cuda, cuda:N or m",
    ),
    "row-77-unknown-flag": (
        "--bach-size 3",
        r"flag of train is '--bach-size'.*Did you mean --bat",
    ),
    "row-77-unknown-key": ("--set latent=3", r"'latent'; expected .* Did you mean latent_dim\?"),
    "row-77-no-value": ("--set latent_dim", r"--set is 'latent_dim'; expected KEY=VALUE. See"),
    "row-77-unknown-likelihood": (
        "--set likelihood=gauss",
        r"likelihood is 'gauss'; expected one",
    ),
    "row-77-unknown-activation": ("--set activation=rel", r"activation is 'rel'; expected one of"),
    "row-77-unknown-mode": ("--mode fast", r"--mode is fast; expected one of record, eager, comp"),
    "row-78-latent-0": (
        "--set latent_dim=0",
        r"latent_dim is 0; expected an integer of at least 1",
    ),
    "row-78-latent-minus-1": (
        "--set latent_dim=-1",
        r"latent_dim is -1; expected .* at most 4096",
    ),
    "row-78-latent-million": (
        "--set latent_dim=1000000",
        r"latent_dim is 1000000; expected .* 4096",
    ),
    "row-78-latent-half": ("--set latent_dim=2.5", r"latent_dim is '2.5'; expected an integer"),
    "row-80-rate-0": (
        "--learning-rate 0",
        r"--learning-rate is 0.0; expected a finite number abo",
    ),
    "row-80-rate-minus-1": (
        "--learning-rate -1",
        r"--learning-rate is -1.0; expected a finite num",
    ),
    "row-80-rate-nan": (
        "--learning-rate nan",
        r"--learning-rate is nan; expected a finite number",
    ),
    "row-80-rate-1e9": ("--learning-rate 1e9", r"--learning-rate is 1000000000.0; expected .* 10"),
    "row-81-seed-minus-1": (
        "--seed -1",
        r"--seed is -1; expected an integer from 0 to 4294967295",
    ),
    "row-81-seed-2-to-33": (
        f"--seed {2**33}",
        r"--seed is 8589934592; expected an integer from 0",
    ),
    "row-81-seed-2-to-70": (
        f"--seed {2**70}",
        rf"--seed is {2**70}; expected an integer from 0 to",
    ),
    "row-60-newline-in-folder": ("--out run\n2", r"out is 'run\\n2'; expected a path without c"),
    "row-60-nul-in-folder": ("--out run\0", r"out is 'run\\x00'; expected a path without co"),
    "row-60-long-folder": (
        f"--out {'r' * 300}",
        r"out is 'r+'; expected names of at most 255 bytes",
    ),
}


@pytest.mark.parametrize(("words", "message"), OPTIONS.values(), ids=OPTIONS.keys())
def test_unknown_and_impossible_options_are_refused(words, message, place, unbraid, train_words):
    before = tree(place)
    check_refused(unbraid(*train_words(*words.split(" "))), USAGE, message)
    assert tree(place) == before


@pytest.mark.parametrize(
    ("words", "message"),
    {
        "row-76-unknown-method": ("train vea", r"method is 'vea'; .*vae.*Did you mean vae\?"),
        "row-76-unknown-method-asked": ("methods vea", r"method is 'vea'; .*Did you mean vae\?"),
        "row-76-unknown-command": ("trian vae", r"command is 'trian'; .*Did you mean train\?"),
        "row-79-no-samples": (
            "evaluate run --samples 0",
            r"--samples is 0; expected an integer of",
        ),
        "row-79-minus-5": (
            "evaluate run --samples -5",
            r"--samples is -5; expected an integer of",
        ),
        "row-79-half": ("evaluate run --samples 1.5", r"--samples is 1.5; expected an integer"),
        "row-79-limit-0": (
            "evaluate run --limit 0",
            r"--limit is 0; expected an integer of at lea",
        ),
        "row-81-seed": (
            "evaluate run --seed -1",
            r"--seed is -1; expected an integer of at least",
        ),
        "row-79-count": ("sample run --count 0", r"--count is 0; expected an integer of at least"),
        "row-77-split": (
            "evaluate run --split tset",
            r"--split is tset; expected one of test, val",
        ),
        "nothing": (
            "",
            r"no command is given; expected one of train, evaluate.* See unbraid --help",
        ),
        "no-data": (
            "train vae --out x",
            r"--data NAME\|PATH is not given. See unbraid train --he",
        ),
    }.values(),
)
def test_other_commands_refuse_too(words, message, trained, unbraid):
    before = tree(trained)
    check_refused(unbraid(*words.split()), USAGE, message)
    assert tree(trained) == before


def test_row_55_wrong_checksum(unbraid, train_words, monkeypatch):
    monkeypatch.setenv("UNBRAID_DATA", "given")
    path = Path("given/fashion-mnist/train-images-idx3-ubyte.gz")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"something else")
    outcome = unbraid(*train_words(data="fashion-mnist"))
    check_refused(
        outcome, DATA, rf"checksum of {path} is md5:\w+; expected md5:\w+. Fetch it from"
    )
    assert not Path("run").exists()


def test_row_56_offline(unbraid, train_words, monkeypatch):
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    # Its handler writes to the standard error of the test that imported it.
    monkeypatch.setattr(pooch.get_logger(), "handlers", [])
    outcome = unbraid(*train_words(data="fashion-mnist"))
    check_refused(outcome, ENVIRONMENT, r"https?://.*UNBRAID_DATA")
    assert not Path("run").exists()


def test_row_58_unicode_and_spaces_in_paths(unbraid, train_words):
    shutil.copy("digits.npz", "mes chiffres é.npz")
    assert unbraid(*train_words(data="mes chiffres é.npz", out="une dossier ü/run")).code == 0
    outcome = unbraid("evaluate", "une dossier ü/run", "--samples", 3)
    assert outcome.code == 0
    assert "next: unbraid report 'une dossier ü/run'" in outcome.out


def test_row_61_symlink_loop(unbraid, train_words):
    os.symlink("loop", "loop")
    check_refused(unbraid(*train_words(out="loop")), ENVIRONMENT, "loop")


@pytest.mark.parametrize("out", ["digits.npz", "digits.npz/run"])
def test_row_62_folder_is_a_file(out, unbraid, train_words):
    outcome = unbraid(*train_words(out=out))
    check_refused(outcome, ENVIRONMENT, r"digits.npz.* a file; expected a folder. Choose another")


def test_row_63_unwritable_folder(unbraid, train_words, monkeypatch):
    def refuse(path, *mode):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))

    monkeypatch.setattr(os, "mkdir", refuse)
    outcome = unbraid(*train_words(out="forbidden/run"))
    check_refused(outcome, ENVIRONMENT, r"forbidden/run is not writable; expected a folder to wr")
    assert not Path("forbidden").exists()


def test_row_64_markup_in_a_name_is_shown_literally(unbraid, train_words):
    out = "<img src=x onerror=alert(1)>"
    shutil.copy("digits.npz", f"{out}.npz")
    assert unbraid(*train_words(data=f"{out}.npz", out=out)).code == 0
    outcome = unbraid("report", out)
    assert outcome.code == 0, outcome.err
    page = Path(out, "report.html").read_text()
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


def test_row_65_names_that_differ_by_case_only(unbraid, train_words, trained):
    before = tree(trained)
    outcome = unbraid(*train_words(out="Run"))
    check_refused(
        outcome,
        USAGE,
        r"out is Run; expected another name than run, which differs by case.*Choose",
    )
    assert tree(trained) == before
    assert not Path("Run").exists() or Path("Run").samefile("run")


def test_row_66_folder_holds_a_run(unbraid, train_words, trained):
    before = tree(trained)
    outcome = unbraid(*train_words("--seed", "3"))
    check_refused(outcome, USAGE, r"run already holds a run. Add --resume .* or --force")
    assert tree(trained) == before


def test_row_67_disk_full_at_a_save_keeps_the_last_checkpoint(unbraid, train_words, trained):
    last = tree(trained / "checkpoints")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6000, hard))
    try:
        outcome = unbraid(*train_words("--resume", "--validate-every", "2", steps=8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    check_refused(outcome, ENVIRONMENT, r"\d+ bytes needed, \d+ bytes free.* Free some room")
    assert tree(trained / "checkpoints") == last


def test_row_68_estimate_does_not_fit(unbraid, train_words, monkeypatch):
    usage = shutil.disk_usage(".")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    outcome = unbraid(*train_words())
    check_refused(
        outcome, ENVIRONMENT, r"\d+ bytes needed, 1000 bytes free.* choose another place"
    )
    assert not Path("run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
@pytest.mark.parametrize("device", ["cuda", "cuda:7"])
def test_rows_69_and_70_device_is_not_there(device, unbraid, train_words):
    outcome = unbraid(*train_words("--device", device))
    check_refused(outcome, ENVIRONMENT, rf"device is '{device}'; found 0 CUDA.* Use --device cpu")
    assert not Path("run").exists()


def test_row_71_memory_runs_out(unbraid, train_words, monkeypatch):
    def refuse(*arguments, **settings):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr("unbraid.training.fit", refuse)
    outcome = unbraid(*train_words())
    check_refused(outcome, ENVIRONMENT, r"memory ran out \(.*2.00 GiB.*smaller --batch-size")


def test_row_73_another_process_has_the_folder(unbraid, train_words, trained):
    before = tree(trained / "checkpoints")
    with FolderLock(trained):
        outcome = unbraid(*train_words("--resume", steps=8))
    check_refused(
        outcome, ENVIRONMENT, rf"run is in use by process {os.getpid()} since .*expected"
    )
    assert tree(trained / "checkpoints") == before


MISMATCHES = {
    "row-82-latent": (
        "--set latent_dim=3",
        r"option latent_dim is 3, but .* started with 2.*Resume",
    ),
    "row-82-method": (
        "--out run",
        r"method is beta-vae, but the run was started with vae.*Resume",
    ),
    "row-82-data": ("--data other.npz", r"data is other.npz, but the run was started with digits"),
    "row-82-seed": ("--seed 5", r"seed is 5, but the run was started with 0. Resume with its own"),
}


@pytest.mark.parametrize("name", MISMATCHES)
def test_rows_82_resume_with_other_settings(name, unbraid, train_words, trained):
    words, message = MISMATCHES[name]
    np.savez("other.npz", images=GREY)
    method = "beta-vae" if name == "row-82-method" else "vae"
    before = tree(trained)
    outcome = unbraid(*train_words(*words.split(), "--resume", method=method))
    check_refused(outcome, MISMATCH, message)
    assert tree(trained) == before


@pytest.mark.parametrize("command", ["evaluate", "report", "train"])
def test_row_23_data_changed_since(command, unbraid, train_words, trained):
    np.savez("digits.npz", images=GREY[:, ::2])
    before = tree(trained)
    words = train_words("--resume") if command == "train" else [command, "run"]
    check_refused(unbraid(*words), MISMATCH, r"fingerprint")
    assert tree(trained) == before


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_row_83_a_damaged_checkpoint_is_passed_over(damage, unbraid, trained):
    spoil(best_checkpoint(trained) / "weights.safetensors", damage)
    outcome = unbraid("evaluate", "run", "--samples", 3)
    assert outcome.code == 0, outcome.err
    assert re.search(r"unbraid: warning: .*ckpt-\d+ is passed over", outcome.err), outcome.err


def test_row_83_all_checkpoints_damaged(unbraid, train_words, trained):
    for path in (trained / "checkpoints").glob("*/weights.safetensors"):
        spoil(path, "flip")
    for words in (["evaluate", "run"], ["report", "run"], train_words("--resume", steps=8)):
        outcome = unbraid(*words)
        check_refused(outcome, MISMATCH, r"no undamaged checkpoint.*; expected .* train afresh")


def test_row_84_configuration_of_a_newer_version(unbraid, trained):
    config = json.loads((trained / "config.json").read_text())
    (trained / "config.json").write_text(json.dumps(config | {"format": 99}))
    outcome = unbraid("evaluate", "run")
    check_refused(outcome, MISMATCH, r"config.json has format 99; expected 1. Use the version")


@pytest.mark.parametrize(
    "content", ["", "{", "[1]", '{"format": 1}', '{"format": 1, "method": 3}']
)
def test_row_84_damaged_configuration(content, unbraid, trained):
    (trained / "config.json").write_text(content)
    check_refused(unbraid("evaluate", "run"), MISMATCH, r"config.json is damaged")


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("owned",)


def test_row_84_a_checkpoint_that_holds_code_is_refused(unbraid, train_words, trained):
    for checkpoint in (trained / "checkpoints").iterdir():
        torch.save({"anything": Hostile()}, checkpoint / "train.pt")
        content = (checkpoint / "train.pt").read_bytes()
        record = json.loads((checkpoint / "meta.json").read_text())
        digest = hashlib.sha256(content).hexdigest()
        record["files"]["train.pt"] = {"sha256": digest, "size": len(content)}
        del record["sha256"]
        (checkpoint / "meta.json").write_bytes(seal(record))
    outcome = unbraid(*train_words("--resume", steps=8))
    check_refused(outcome, MISMATCH, r"train.pt is not of our making; expected .* Refused")
    assert not Path("owned").exists()


def test_a_loss_that_is_not_finite_keeps_the_last_good_weights(
    unbraid, train_words, trained, monkeypatch
):
    clean = Batches.batch

    def poisoned(self, step):
        batch = clean(self, step)
        return {**batch, "x": batch["x"] * torch.nan} if self.shuffle and step == 5 else batch

    monkeypatch.setattr(Batches, "batch", poisoned)
    outcome = unbraid(*train_words("--resume", steps=8))
    check_refused(
        outcome, NON_FINITE, r"step 5 is not finite: input 'x' .*Lower the learning rate"
    )
    assert json.loads((trained / "crash.json").read_text())["step"] == 5
    newest = max((trained / "checkpoints").glob("ckpt-*"))
    assert newest.name == "ckpt-000005"
    assert all(w.isfinite().all() for w in load_file(newest / "weights.safetensors").values())


@pytest.mark.parametrize("command", ["evaluate", "report", "sample"])
@pytest.mark.parametrize("folder", ["nowhere", "."])
def test_a_folder_without_a_run(command, folder, unbraid):
    outcome = unbraid(command, folder)
    check_refused(outcome, MISMATCH, rf"{re.escape(folder)} has no config.json; expected the fol")


def test_resume_without_a_run(unbraid, train_words):
    outcome = unbraid(*train_words("--resume"))
    check_refused(outcome, MISMATCH, r"run holds no run to resume. Drop --resume")
    assert not Path("run").exists()


def check_refused(outcome, code, message):
    """One line on standard error, nothing on standard output, and the exit code."""
    lines = outcome.err.splitlines()
    last = lines[-1] if lines else ""
    assert outcome.code == code, outcome
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    assert last.startswith("unbraid: ")
    assert re.search(message, last), last
    assert sum(line.startswith("unbraid: ") and "warning" not in line for line in lines) == 1


def tree(folder):
    """Every file below a folder with its content."""
    return {str(p): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()}


def best_checkpoint(run):
    metas = {p.parent: json.loads(p.read_text()) for p in run.glob("checkpoints/*/meta.json")}
    return max(path for path, meta in metas.items() if meta["best"])


def spoil(path, damage):
    content = path.read_bytes()
    flipped = content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]
    path.write_bytes({"flip": flipped, "cut": content[:-7], "empty": b""}[damage])

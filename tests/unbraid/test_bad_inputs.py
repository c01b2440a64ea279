# pyright: reportMissingImports=false
"""Whatever a user gives the command line, it answers in one line that says what to do next."""

import errno
import hashlib
import json
import os
import re
import resource
import shutil
from pathlib import Path

import numpy as np
import pooch
import pytest
import torch
from safetensors.torch import load_file

from unbraid.data import Batches
from unbraid.inference import FolderLock
from unbraid.inference.checkpoint_folder import seal

GREY = np.random.default_rng(1).integers(0, 256, (30, 8, 9), np.uint8)
USAGE, DATA, MISMATCH, NON_FINITE, ENVIRONMENT = 2, 3, 4, 5, 6


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
    unbraid(*train_words(*words.split(" "))).check_refused(USAGE, message)
    assert tree(place) == before


@pytest.mark.parametrize(
    ("words", "message"),
    {
        "row-76-unknown-method": ("train vea", r"method is 'vea'; .*vae.*Did you mean vae\?"),
        "row-76-a-recipe": (
            "train ae-lstm",
            r"method is 'ae-lstm'; .*It is drnet with --set stat",
        ),
        "row-59-method-outside": ("train ../../x", r"method is '../../x'; expected one of vae"),
        "row-59-method-of-a-drive": ("methods C:", r"method is 'C:'; expected one of vae"),
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
    unbraid(*words.split()).check_refused(USAGE, message)
    assert tree(trained) == before


def test_row_55_wrong_checksum(unbraid, train_words, monkeypatch):
    monkeypatch.setenv("UNBRAID_DATA", "given")
    path = Path("given/fashion-mnist/train-images-idx3-ubyte.gz")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"something else")
    outcome = unbraid(*train_words(data="fashion-mnist"))
    outcome.check_refused(DATA, rf"checksum of {path} is md5:\w+; expected md5:\w+. Fetch it from")
    assert not Path("run").exists()


def test_row_56_offline(unbraid, train_words, monkeypatch):
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    # Its handler writes to the standard error of the test that imported it.
    monkeypatch.setattr(pooch.get_logger(), "handlers", [])
    outcome = unbraid(*train_words(data="fashion-mnist"))
    outcome.check_refused(ENVIRONMENT, r"https?://.*UNBRAID_DATA")
    assert not Path("run").exists()


def test_row_58_unicode_and_spaces_in_paths(unbraid, train_words):
    shutil.copy("digits.npz", "mes chiffres é.npz")
    assert unbraid(*train_words(data="mes chiffres é.npz", out="une dossier ü/run")).code == 0
    outcome = unbraid("evaluate", "une dossier ü/run", "--samples", 3)
    assert outcome.code == 0
    assert "next: unbraid report 'une dossier ü/run'" in outcome.out


def test_row_61_symlink_loop(unbraid, train_words):
    os.symlink("loop", "loop")
    unbraid(*train_words(out="loop")).check_refused(ENVIRONMENT, "loop")


@pytest.mark.parametrize("out", ["digits.npz", "digits.npz/run"])
def test_row_62_folder_is_a_file(out, unbraid, train_words):
    outcome = unbraid(*train_words(out=out))
    outcome.check_refused(ENVIRONMENT, r"digits.npz.* a file; expected a folder. Choose another")


def test_row_63_unwritable_folder(unbraid, train_words, monkeypatch):
    def refuse(path, *mode):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))

    monkeypatch.setattr(os, "mkdir", refuse)
    outcome = unbraid(*train_words(out="forbidden/run"))
    outcome.check_refused(ENVIRONMENT, r"forbidden/run is not writable; expected a folder to wr")
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
    outcome.check_refused(
        USAGE,
        r"out is Run; expected another name than run, which differs by case.*Choose",
    )
    assert tree(trained) == before
    assert not Path("Run").exists() or Path("Run").samefile("run")


def test_row_66_folder_holds_a_run(unbraid, train_words, trained):
    before = tree(trained)
    outcome = unbraid(*train_words("--seed", "3"))
    outcome.check_refused(USAGE, r"run already holds a run. Add --resume .* or --force")
    assert tree(trained) == before


def test_row_67_disk_full_at_a_save_keeps_the_last_checkpoint(unbraid, train_words, trained):
    last = tree(trained / "checkpoints")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6000, hard))
    try:
        outcome = unbraid(*train_words("--resume", "--validate-every", "2", steps=8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    outcome.check_refused(ENVIRONMENT, r"\d+ bytes needed, \d+ bytes free.* Free some room")
    assert tree(trained / "checkpoints") == last


def test_row_68_estimate_does_not_fit(unbraid, train_words, monkeypatch):
    usage = shutil.disk_usage(".")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    outcome = unbraid(*train_words())
    outcome.check_refused(ENVIRONMENT, r"\d+ bytes needed, 1000 bytes free.* choose another place")
    assert not Path("run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
@pytest.mark.parametrize("device", ["cuda", "cuda:7"])
def test_rows_69_and_70_device_is_not_there(device, unbraid, train_words):
    outcome = unbraid(*train_words("--device", device))
    outcome.check_refused(ENVIRONMENT, rf"device is '{device}'; found 0 CUDA.* Choose cpu or auto")
    assert not Path("run").exists()


def test_row_71_memory_runs_out(unbraid, train_words, monkeypatch):
    def refuse(*arguments, **settings):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr("unbraid.training.fit", refuse)
    outcome = unbraid(*train_words())
    outcome.check_refused(ENVIRONMENT, r"memory ran out \(.*2.00 GiB.*smaller --batch-size")


def test_row_73_another_process_has_the_folder(unbraid, train_words, trained):
    before = tree(trained / "checkpoints")
    with FolderLock(trained):
        outcome = unbraid(*train_words("--resume", steps=8))
    outcome.check_refused(ENVIRONMENT, rf"run is in use by process {os.getpid()} since .*expected")
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
    "row-82-data": (
        "--data other.npz",
        r"other.npz have other pixels than .*digits.npz, which the run was started with",
    ),
    "row-82-binarise": (
        "--binarise threshold",
        "binarise is threshold, but the run was started with none. Resume with its own",
    ),
    "row-82-seed": ("--seed 5", r"seed is 5, but the run was started with 0. Resume with its own"),
}


@pytest.mark.parametrize("name", MISMATCHES)
def test_rows_82_resume_with_other_settings(name, unbraid, train_words, trained):
    words, message = MISMATCHES[name]
    np.savez("other.npz", images=GREY)
    method = "beta-vae" if name == "row-82-method" else "vae"
    before = tree(trained)
    outcome = unbraid(*train_words(*words.split(), "--resume", method=method))
    outcome.check_refused(MISMATCH, message)
    assert tree(trained) == before


def forget(run, *names):
    """Write the run's settings as a version would that has no such options and no precision."""
    config = json.loads((run / "config.json").read_text())
    for name in names:
        del config["options"][name]
    del config["precision"]
    (run / "config.json").write_text(json.dumps(config))


def test_a_run_of_a_version_with_fewer_options_is_resumed(unbraid, train_words, trained):
    forget(trained, "channels", "activation")
    outcome = unbraid(*train_words("--resume", "--validate-every", "2", steps=8))
    assert outcome.code == 0, outcome.err
    options = json.loads((trained / "config.json").read_text())["options"]
    assert options["activation"] == "relu" and options["channels"] == [32, 32, 64, 64]


def test_an_option_that_an_earlier_version_did_not_have_is_not_changed(
    unbraid, train_words, trained
):
    forget(trained, "activation")
    before = tree(trained)
    outcome = unbraid(*train_words("--set", "activation=tanh", "--resume"))
    outcome.check_refused(
        MISMATCH, r"option activation is tanh, but the run was started with relu"
    )
    assert tree(trained) == before


@pytest.mark.parametrize("command", ["evaluate", "report", "train"])
def test_row_23_data_changed_since(command, unbraid, train_words, trained):
    np.savez("digits.npz", images=GREY[:, ::2])
    before = tree(trained)
    words = train_words("--resume") if command == "train" else [command, "run"]
    unbraid(*words).check_refused(MISMATCH, r"fingerprint|other pixels than")
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
        outcome.check_refused(MISMATCH, r"no undamaged checkpoint.*; expected .* train afresh")


def test_row_84_configuration_of_a_newer_version(unbraid, trained):
    config = json.loads((trained / "config.json").read_text())
    (trained / "config.json").write_text(json.dumps(config | {"format": 99}))
    outcome = unbraid("evaluate", "run")
    outcome.check_refused(MISMATCH, r"config.json has format 99; expected 1. Use the version")


@pytest.mark.parametrize(
    "content", ["", "{", "[1]", '{"format": 1}', '{"format": 1, "method": 3}']
)
def test_row_84_damaged_configuration(content, unbraid, trained):
    (trained / "config.json").write_text(content)
    unbraid("evaluate", "run").check_refused(MISMATCH, r"config.json is damaged")


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
    outcome.check_refused(MISMATCH, r"train.pt is not of our making; expected .* Refused")
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
    outcome.check_refused(NON_FINITE, r"step 5 is not finite: input 'x' .*Lower the learning rate")
    assert json.loads((trained / "crash.json").read_text())["step"] == 5
    newest = max((trained / "checkpoints").glob("ckpt-*"))
    assert newest.name == "ckpt-000005"
    assert all(w.isfinite().all() for w in load_file(newest / "weights.safetensors").values())


@pytest.mark.parametrize("command", ["evaluate", "report", "sample"])
@pytest.mark.parametrize("folder", ["nowhere", "."])
def test_a_folder_without_a_run(command, folder, unbraid):
    outcome = unbraid(command, folder)
    outcome.check_refused(MISMATCH, rf"{re.escape(folder)} has no config.json; expected the fol")


def test_resume_without_a_run(unbraid, train_words):
    outcome = unbraid(*train_words("--resume"))
    outcome.check_refused(MISMATCH, r"run holds no run to resume. Drop --resume")
    assert not Path("run").exists()


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

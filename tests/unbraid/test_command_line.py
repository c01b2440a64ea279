"""The command line as its users meet it: answers, files, exit codes, stops and resumes."""

import builtins
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from unbraid import __version__, config, data, inference, methods, run_folder
from unbraid.arguments import COMMANDS
from unbraid.exit_codes import EXIT_CODES, describe, exit_code
from unbraid.inference import Checkpoints
from unbraid.methods import METHODS, load_method, read_options

LONG = 100_000  # steps that no test waits for


def start(*words, **settings):
    """Start the command line in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONUNBUFFERED", None)  # it would hide what the last flush meets
    command = [sys.executable, "-m", "unbraid", *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, **(pipes | settings))


def wait_for(condition, process, seconds=300):
    for _ in range(20 * seconds):
        if condition():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.kill()
    pytest.fail("it did not come to pass in time")


def weights(run, step):
    return load_file(run / "checkpoints" / f"ckpt-{step:06d}" / "weights.safetensors")


def same(first, second):
    return first.keys() == second.keys() and all(first[k].equal(second[k]) for k in first)


@pytest.mark.parametrize(
    "words",
    [
        "--help",
        "train --help",
        "evaluate --help",
        "train vea",
        "methods",
        "methods --json",
        "data",
    ],
)
def test_answers_without_torch(words):
    code = (
        "import sys; from unbraid.__main__ import main; main(sys.argv[1:]); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, *words.split()]).returncode == 0


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("train vae", "--data NAME|PATH and --out DIR are not given. See unbraid train --help"),
        (
            "train vae --data a --out b --steps 2.5",
            "--steps is 2.5; expected an integer. See unbraid train --help",
        ),
        (
            "train vae c --data a --out b",
            "surplus word is c; expected no more words. See unbraid train --help",
        ),
        (
            "evaluate a --samples",
            "--samples is empty; expected a value. See unbraid evaluate --help",
        ),
    ],
)
def test_mistakes_are_said_in_one_line_in_every_encoding(words, said, encoding, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    process = start(*words.split())
    assert process.communicate(timeout=300) == ("", f"unbraid: {said}\n")
    assert process.returncode == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command, unbraid):
    outcome = unbraid(command, "--help")
    assert outcome.code == 0
    assert f"Example: unbraid {command} " in outcome.out
    assert f"usage: unbraid {command} " in outcome.out


def test_help_names_every_command(unbraid):
    outcome = unbraid("--help")
    assert outcome.code == 0
    assert all(re.search(rf"• {command} ", outcome.out) for command in COMMANDS)


def test_version(unbraid):
    assert unbraid("--version") == (0, f"{__version__}\n", "")


def test_methods_lists_the_options_of_one(unbraid):
    outcome = unbraid("methods", "beta-vae", "--json")
    options = {option["name"]: option for option in json.loads(outcome.out)["options"]}
    assert options["beta"]["default"] == "4.0"
    assert options["capacity"]["type"] == "number or none"
    assert options["nets"]["type"] == "auto, mlp, conv"
    assert options["hidden"] == {
        "name": "hidden",
        "default": "512,256",
        "type": "integers, comma-separated",
        "help": "Widths of the encoder's hidden layers, comma-separated; the decoder's are the "
        "same in reverse. With convolutions the last one alone, between them and the code.",
    }
    assert all(option["help"] for option in options.values())
    words = unbraid("methods", "beta-vae").out
    assert all(name in words for name in options)


@pytest.mark.parametrize("name", METHODS)
def test_the_example_of_a_method_has_data_and_options_that_are_known(name, unbraid):
    listed = json.loads(unbraid("data", "--json").out)
    last = unbraid("methods", name).out.strip().splitlines()[-1]
    words = shlex.split(last.removeprefix("next: unbraid "))
    assert words[:2] == ["train", name] and words[-2:] == ["--out", f"runs/{name}"]
    assert words[words.index("--data") + 1] in listed
    given = words[words.index("--set") + 1 : -2] if "--set" in words else []
    read_options(load_method(name).options, dict(word.split("=", 1) for word in given))


def test_data_describes_a_file(unbraid):
    facts = json.loads(unbraid("data", "digits.npz", "--json").out)
    assert facts["shape"] == [1, 8, 9]
    assert facts["train"].startswith("digits: 24 images")
    assert "24 images" in unbraid("data", "digits.npz").out


def test_data_describes_a_name_without_fetching_it(unbraid, place):
    assert json.loads(unbraid("data", "mnist", "--json").out)["shape"] == [1, 28, 28]
    assert not (place / "cache").exists()


def test_from_training_to_samples(unbraid, train_words, place):
    outcome = unbraid(*train_words())
    assert outcome.code == 0, outcome.err
    assert re.search(r"^steps +4 \(done\)$", outcome.out, re.MULTILINE)
    assert outcome.out.endswith("next: unbraid evaluate run\nnext: unbraid report run\n")
    assert "likelihood continuous-bernoulli" in outcome.err
    outcome = unbraid("evaluate", "run", "--samples", 30)
    assert re.search(r"^log p\(x\) +-?\d+\.\d\d \+- \d+\.\d\d nats +30 samp", outcome.out)
    assert outcome.out.endswith("next: unbraid report run\n")
    outcome = unbraid("report", "run")
    assert outcome.code == 0, outcome.err
    assert (place / "run" / "report.html").is_file()
    assert "run/report.html" in outcome.out
    outcome = unbraid("sample", "run", "--count", 7, "--seed", 3, "--out", "samples.npz")
    assert outcome.out == "run/pictures/samples.png\nsamples.npz\n"
    with np.load("samples.npz") as arrays:
        assert {name: array.shape for name, array in arrays.items()} == {
            "z": (7, 2),
            "x": (7, 1, 8, 9),
        }


def test_json_is_all_there_is_on_standard_output(unbraid, train_words):
    trained = json.loads(unbraid(*train_words("--json")).out)
    bound = trained.pop("validation_elbo")
    best = Checkpoints(Path("run/checkpoints")).best_step()
    assert trained == {"folder": "run", "step": 4, "stopped": "done", "judged_step": best}
    assert isinstance(bound, float)
    words = ("evaluate", "run", "--samples", 30, "--limit", 2, "--seed", 5, "--json")
    evaluated = json.loads(unbraid(*words).out)
    assert (evaluated["samples"], evaluated["n"], evaluated["seed"]) == (30, 2, 5)
    assert evaluated["elbo"] < evaluated["log_likelihood"]
    assert evaluated["log_likelihood_se"] > 0
    assert json.loads(Path("run/evaluation.json").read_text()) == evaluated


def test_evaluations_of_different_settings_do_not_get_in_each_others_way(unbraid, trained):
    first, second, third = (
        json.loads(unbraid("evaluate", "run", "--samples", samples, "--json").out)
        for samples in (30, 40, 30)
    )
    assert first == third != second
    assert not list(trained.glob("*.partial"))


def test_a_term_that_is_no_likelihood_says_so(unbraid, train_words):
    unbraid(*train_words("--set", "likelihood=bernoulli-grey"))
    outcome = unbraid("evaluate", "run", "--samples", 30)
    assert re.search(r"^log p\(x\) .* not a likelihood$", outcome.out, re.MULTILINE)
    assert re.search(r"^ELBO .* not a likelihood$", outcome.out, re.MULTILINE)


def test_the_command_in_the_configuration_trains_the_same_weights(unbraid, train_words, place):
    unbraid(*train_words("--set", "activation=tanh", "--seed", "7", "--binarise", "dynamic"))
    command = json.loads(Path("run/config.json").read_text())["command"].split()
    assert command[:3] == ["unbraid", "train", "vae"]
    command[command.index("run")] = "again"
    assert unbraid(*command[1:]).code == 0
    assert same(weights(place / "run", 4), weights(place / "again", 4))


def test_a_killed_run_resumes_to_the_bit(unbraid, train_words, place):
    words = ("--validate-every", "7", "--schedule", "constant", "--ema", "0.9")
    process = start(*train_words(*words, steps=LONG))
    try:
        wait_for(lambda: list(place.glob("run/checkpoints/ckpt-*")), process)
    finally:
        process.kill()
        process.communicate()
    saved = max(int(path.name[5:]) for path in place.glob("run/checkpoints/ckpt-??????"))
    outcome = unbraid(*train_words(*words, "--resume", steps=saved + 10))
    assert outcome.code == 0, outcome.err
    assert unbraid(*train_words(*words, out="whole", steps=saved + 10)).code == 0
    resumed, whole = (weights(place / name, saved + 10) for name in ("run", "whole"))
    assert any(name.startswith("averaged_model") for name in whole)
    assert same(resumed, whole)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_leaves_a_checkpoint_and_the_resume_command(number, code, train_words, place):
    process = start(*train_words(steps=LONG))
    metrics = place / "run" / "metrics.jsonl"
    try:
        wait_for(lambda: metrics.exists() and metrics.stat().st_size, process)
        process.send_signal(number)
        _, said = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == code
    assert "Traceback" not in said
    step, command = re.findall(r"^stopped at step (\d+); go on with: unbraid (.*)$", said, re.M)[0]
    assert (place / "run" / "checkpoints" / f"ckpt-{int(step):06d}").is_dir()
    assert command.split() == [
        *("train vae --data digits.npz --out run".split()),
        *(f"--steps {LONG} --batch-size 5 --set hidden=8 --set latent_dim=2 --resume".split()),
    ]


def test_two_trainings_in_one_folder(unbraid, train_words, place):
    process = start(*train_words(steps=LONG))
    try:
        metrics = place / "run" / "metrics.jsonl"
        wait_for(lambda: metrics.exists() and metrics.stat().st_size, process)
        outcome = unbraid(*train_words("--force"))
        assert outcome.code == 6
        assert f"run is in use by process {process.pid} since" in outcome.err
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()


def test_ctrl_c_in_an_evaluation_ends_it_quietly(unbraid, trained, monkeypatch):
    def interrupt(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("unbraid.run.log_likelihood", interrupt)
    assert unbraid("evaluate", "run") == (130, "", "unbraid: interrupted\n")


def test_closed_standard_output_is_met_in_silence():
    reading, writing = os.pipe()
    os.close(reading)
    process = start("methods", stdout=writing)
    os.close(writing)
    _, said = process.communicate(timeout=300)
    assert (process.returncode, said) == (141, "")


def test_checks_do_not_depend_on_debug(place):
    np.savez("bad.npz", images=np.full((30, 8, 9), np.nan))
    words = [sys.executable, "-O", "-m", "unbraid", "train", "vae", "--data", "bad.npz"]
    outcome = subprocess.run([*words, "--out", "run"], capture_output=True, text=True)
    assert outcome.returncode == 3
    assert re.fullmatch(r"unbraid: images\[0\] .*has 72 NaN.*\n", outcome.stderr)


def test_debug_shows_where_an_error_came_from(unbraid, monkeypatch):
    assert "Traceback" not in unbraid("data", "nowhere").err
    shown = unbraid("--debug", "data", "nowhere")
    assert shown.code == 3
    assert "Traceback" in shown.err and shown.err.endswith("path is right.\n")
    monkeypatch.setenv("UNBRAID_DEBUG", "1")
    assert "Traceback" in unbraid("data", "nowhere").err


def test_exit_codes_are_of_errors_that_exist():
    homes = (data, inference, methods, config, run_folder, builtins, torch)
    for name in EXIT_CODES:
        kind = next(getattr(home, name) for home in homes if hasattr(home, name))
        assert issubclass(kind, BaseException) and kind.__name__ == name


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (methods.OptionError, 2),
        (run_folder.RunExistsError, 2),
        (inference.PairError, 2),
        (inference.NoLikelihoodError, 2),
        (data.DataError, 3),
        (config.ConfigError, 4),
        (inference.CheckpointError, 4),
        (inference.NonFiniteError, 5),
        (data.DownloadError, 6),
        (inference.RunInUseError, 6),
        (PermissionError, 6),
        (torch.OutOfMemoryError, 6),
        (KeyboardInterrupt, 130),
        (BrokenPipeError, 141),
    ],
)
def test_every_kind_of_error_has_its_exit_code(kind, code):
    assert exit_code(kind.__new__(kind)) == code


@pytest.mark.parametrize("error", [KeyError("a"), RuntimeError("oh"), AssertionError()])
def test_what_nobody_foresaw_is_said_with_its_kind(error):
    assert exit_code(error) == 1
    assert re.fullmatch(r"unexpected \w+: .*\. Add --debug to see where", describe(error))


def test_a_system_error_is_said_with_its_path():
    error = PermissionError(13, "Permission denied", "some/where")
    assert (exit_code(error), describe(error)) == (6, "some/where: Permission denied")

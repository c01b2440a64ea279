"""The model card: what it says, and that no name in it is ever taken for markup or YAML."""

import json
import math
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from unbraid.analysis import write_model_card

from .test_report import EVALUATION, HOSTILE

markdown = import_module("unbraid.analysis.markdown")

MORE = [
    "# heading", "- item", "1. item", "> quote", "***", "---", "===", "| cell |", "`code",
    "``a`b```c", "1) item", "+ item", "--",
    "```\n<b>", "~~~\n<b>", "[a](http://evil.example)", "![a](x)", "[a]: http://evil.example",
    "<http://evil.example>", "http://evil.example", "www.evil.example", "me@evil.example",
    "*a*", "__a__", "~~a~~", "$$a$$", "&copy;", "&#x3c;", "\\", "\\\\<b>", "a\r\n# b",
    "a\u2028# b",
    "key: value", "- a: b", "{a: b}", "!!python/object:os.system x", "&anchor", "*alias", "a # b",
    '"quoted', "'quoted", "no", "null", "~", "1e3", "%YAML 1.2", "\x85", "\x7f", "\ufeff", "", " ",
    "\U0001f600",
]  # fmt: skip
ANY = [*HOSTILE, *MORE]
FACTS = [("Name", "value")]


def write(folder: Path, **changes: Any) -> str:
    settings: dict[str, Any] = {
        "title": "a title",
        "name": "a-name",
        "dataset": "a-set",
        "evaluation": EVALUATION,
        "model": FACTS,
        "data": FACTS,
        "training": FACTS,
        "versions": [("torch", "2")],
        "command": "unbraid train vae",
        "bibtex": "@article{a}",
    }
    path = write_model_card(folder, **settings | changes)
    assert path == folder / "model_card.md"
    return path.read_text(encoding="utf-8")


def head_of(card: str) -> dict[str, Any]:
    """Read the lines of the head: each is a key and a value in the notation of JSON."""
    start, head, _ = re.split(r"(?m)^---$\n?", card, maxsplit=2)
    assert start == ""
    lines = [line for line in head.splitlines() if not line.startswith("#")]
    found = {}
    for line in lines:
        key, colon, value = line.partition(": ")
        assert colon and re.fullmatch(r"[a-z_-]+", key), line
        found[key] = json.loads(value)
    return found


def test_the_head_is_what_hubs_read(tmp_path):
    head = head_of(write(tmp_path, tags=["vae"]))
    assert head["library_name"] == "unbraid" and "vae" in head["tags"]
    assert "license" not in head
    (model,) = head["model-index"]
    (result,) = model["results"]
    assert model["name"] == "a-name"
    assert result["dataset"] == {"type": "a-set", "name": "a-set", "split": "test"}
    assert result["task"]["type"]
    metrics = {metric["type"]: metric for metric in result["metrics"]}
    assert metrics["log-likelihood"]["value"] == -95.125
    assert metrics["elbo"]["value"] == -101.25
    assert metrics["bits-per-dimension"]["value"] == 0.175
    for part in ("n = 2000", "K = 1000 samples", "seed 3", "log p(x), nats per image"):
        assert part in metrics["log-likelihood"]["name"]


def test_the_head_is_yaml(tmp_path):
    yaml = pytest.importorskip("yaml", reason="a reader of YAML is not among the requirements")
    for text in ANY:
        card = write(tmp_path, name=text, dataset=text, tags=[text])
        assert yaml.safe_load(card.split("---\n")[1]) == head_of(card)


@pytest.mark.parametrize("text", ANY)
def test_whatever_a_name_is_the_head_has_the_same_keys(text, tmp_path):
    card = write(tmp_path, title=text, name=text, dataset=text, tags=[text], remark=text)
    head = head_of(card)
    assert set(head) == {"library_name", "tags", "model-index"}
    assert len(head["tags"]) == 5
    assert card.count("\n---\n") == 1
    card.encode("utf-8")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202e\ufeff]", card)


def tokens_of(card: str) -> tuple[list[str], str]:
    """What CommonMark with tables makes of the card: types of its tokens, and its text."""
    reader = pytest.importorskip("markdown_it", reason="no reader of Markdown is installed")
    parser = reader.MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    kinds, texts = [], []
    for token in parser.parse(card.split("---\n", 2)[2]):
        for part in (token, *(token.children or ())):
            kinds.append(part.type)
            if not part.children:
                texts.append(part.content)
    return [kind for kind in kinds if kind != "text"], "\n".join(texts)


@pytest.mark.parametrize("text", ANY)
def test_whatever_a_text_is_it_stays_text(text, tmp_path):
    def card(value: str) -> str:
        return write(
            tmp_path,
            title=f"a {value}",
            remark=f"It is {value}.",
            model=[("Name", value)],
            data=[("Name", value)],
            training=[("Name", value)],
            versions=[(f"v{value}", value)],
            limits=[f"It is {value}."],
            command=f"unbraid train {value}",
            bibtex=f"@a{{{value}}}",
            evaluation=EVALUATION | {"likelihood": value, "split": value, "given": [value]},
        )

    hostile, harmless = tokens_of(card(text)), tokens_of(card("harmless"))
    assert [kind for kind in hostile[0] if kind != "text_special"] == harmless[0]
    seen = markdown.one_line(text)
    if len(seen) < 100:
        assert seen in hostile[1].replace("\n", " ") or not seen.strip()


@pytest.mark.parametrize("text", ANY)
def test_raw_html_is_nowhere_outside_of_code(text, tmp_path):
    card = write(tmp_path, title=text, remark=f"a {text}", limits=[f"a {text}"])
    lines = [line for line in card.split("---\n", 2)[2].splitlines() if "`" not in line]
    for line in lines:
        assert not re.search(r"(?<!\\)[<\[]", line), line
        assert "://" not in line and "www.e" not in line


def test_unknown_numbers_are_words(tmp_path):
    bad = {"log_likelihood": math.nan, "elbo": math.inf, "bits_per_dimension": None}
    card = write(tmp_path, evaluation=EVALUATION | bad)
    assert "model-index" not in head_of(card)
    assert not re.search(r"\bnan\b|\binf\b", card, re.I) and "not available" in card
    card = write(tmp_path, evaluation=None)
    assert "model-index" not in head_of(card) and "It was not evaluated" in card
    with pytest.raises(ValueError, match="not JSON compliant"):
        markdown.front_matter({"value": math.nan})


def test_what_it_says_of_the_numbers(tmp_path):
    card = write(tmp_path, evaluation=EVALUATION | {"pareto_k_unreliable": 0.4, "widen": 1.5})
    assert "| log p(x), nats | -95.12 ± 0.50 |" in card and "| 1,000 | -95.12 ± 0.50 |" in card
    assert "Pareto k-hat is above 0.7 for 40% of the images" in card
    assert (
        "1.5 times as wide" in head_of(card)["model-index"][0]["results"][0]["metrics"][0]["name"]
    )
    assert "ELBO of the proposal" in card
    grey = write(tmp_path, evaluation=EVALUATION | {"is_likelihood": False})
    metrics = head_of(grey)["model-index"][0]["results"][0]["metrics"]
    assert all("not a likelihood" in metric["name"] for metric in metrics)
    assert "(not a likelihood) |" in grey
    annealed = {"log_likelihood": -90.5, "n": 7, "chains": 4, "temperatures": 9, "seed": 2}
    annealed["given"] = ["label"]
    both = write(tmp_path, evaluation=EVALUATION | {"annealed": annealed, "given": ["label"]})
    metrics = head_of(both)["model-index"][0]["results"][0]["metrics"]
    assert metrics[-1]["value"] == -90.5 and "n = 7, 4 chains of 9 steps" in metrics[-1]["name"]
    assert metrics[0]["name"].startswith("log p(x|c), nats per image")
    assert metrics[-1]["name"].startswith("log p(x|c) by annealing")


def test_why_bounds_between_have_no_error(tmp_path):
    """Of those between the first and the last the means alone are kept; of two, none is."""
    few = {**EVALUATION, "by_samples": {"1": -101.25, "1000": -95.125}}
    assert "the means alone are kept, without an error" in write(tmp_path)
    assert "of those between" not in write(tmp_path, evaluation=few)


def test_what_annealing_alone_is_given_is_said(tmp_path):
    annealed = {"log_likelihood": -90.5, "n": 7, "chains": 4, "temperatures": 9, "seed": 2}
    card = write(tmp_path, evaluation={"annealed": annealed | {"given": ["label"]}})
    metrics = head_of(card)["model-index"][0]["results"][0]["metrics"]
    assert [metric["name"].partition(",")[0] for metric in metrics] == ["log p(x|c) by annealing"]
    assert "| log p(x|c) by annealing, nats" in card.replace("\\|", "|")
    assert "the log-likelihood given the label by annealing is" in card


def test_equal_runs_have_equal_cards(tmp_path):
    assert write(tmp_path / "a") == write(tmp_path / "b")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["model_card.md"]

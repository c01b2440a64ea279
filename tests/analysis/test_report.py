"""The report shows every text as text, holds no script and no address, and prints no NaN."""

import re
from base64 import b64decode
from html.parser import HTMLParser
from importlib import import_module
from math import inf, nan
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from unbraid.analysis import kl_chart, save_figures, write_report

likelihood_rows = import_module("unbraid.analysis.wording").likelihood_rows

TAGS = ["script", "img", "svg", "iframe", "object", "embed", "link", "base", "style", "form"]
HOSTILE = [
    *(f"<{tag} onload=alert({i}) src=http://evil.example/{i}>" for i, tag in enumerate(TAGS)),
    *(f"</{tag}><script>alert({i})</script>" for i, tag in enumerate(TAGS)),
    *(f"{quote} onerror={quote}alert(1)" for quote in ('"', "'", "`", "&quot;", "&#34;")),
    *(f'{quote}><img src=x onerror="alert(1)">' for quote in ('"', "'", "`", "=", ">")),
    "<!--", "-->", "<![CDATA[", "]]>", "<?php", "<%", "</title>", "</textarea>", "</pre>",
    "{{ 7 * 7 }}", "{% raw %}", "{# note #}", "${7*7}", "{{ ''.__class__ }}",
    "javascript:alert(1)", "data:text/html,<script>alert(1)</script>", "//evil.example/x.png",
    "url(http://evil.example/x.png)", "@import 'http://evil.example/x.css';",
    "&lt;script&gt;", "&amp;", "&#x3c;script&#x3e;", "\x00<b>", "\u202e<b>", "<\u200bb>",
    "\uff1cb\uff1e",
    "a\nb<b>", "\ud800<b>", "$\\frac{<b>}$", "../../etc/passwd", "x" * 300 + "<b>", "<b>" * 50,
]  # fmt: skip
assert len(HOSTILE) >= 60

EVALUATION = {
    "log_likelihood": -95.125,
    "log_likelihood_se": 0.5,
    "elbo": -101.25,
    "elbo_se": 0.625,
    "by_samples": {"1": -101.25, "10": -97.5, "1000": -95.125},
    "effective_sample_size": 37.25,
    "pareto_k_unreliable": 0.0625,
    "pareto_k_max": 1.5,
    "bits_per_dimension": 0.175,
    "non_finite": 0,
    "n": 2000,
    "samples": 1000,
    "seed": 3,
    "split": "test",
    "likelihood": "bernoulli",
    "is_likelihood": True,
}
HISTORY = [{"step": step, "loss": 200.0 - step, "elbo": step - 200.0} for step in (0, 10, 20)]


class Page(HTMLParser):
    """What a browser would make of a page: elements with their attributes, and the text."""

    def __init__(self, page: str):
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.comments = 0
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_comment(self, data):
        self.comments += 1

    def handle_data(self, data):
        self.text += data

    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(tag, tuple(attributes)) for tag, attributes in self.elements]


def figures(name: str = "kl"):
    return {name: kl_chart({"z": torch.tensor([2.0, 1.0])})}


def write(folder: Path, **changes) -> str:
    arguments = {
        "title": "a title",
        "config": {"method": "vae", "seed": 0, "versions": {"torch": "2"}},
        "evaluation": EVALUATION,
        "history": HISTORY,
        "figures": {},
    }
    path = write_report(folder, **(arguments | changes))
    assert path == folder / "report.html"
    return path.read_text("utf-8")


def assert_harmless(page: Page) -> None:
    for tag, attributes in page.elements:
        assert tag not in ("script", "iframe", "object", "embed", "base", "form", "svg"), tag
        for name, value in attributes.items():
            assert not name.startswith("on"), name
            if name in ("src", "href"):
                assert (value or "").startswith("data:"), value
    assert not page.comments


def settle(text: str) -> str:
    """Text as it is once written: lone surrogates cannot be, and line ends are the page's own."""
    return text.encode("utf-8", errors="replace").decode()


FIELDS = ["title", "config", "key", "command", "bibtex", "split", "likelihood"]


def page_with(folder: Path, field: str, text: str) -> Page:
    if field in ("split", "likelihood"):
        changes = {"evaluation": {"n": 5, "log_likelihood": -1.0, field: text}}
    elif field in ("config", "key"):
        changes = {"config": {"a": [text]} if field == "config" else {text: {"b": 1}}}
    else:
        changes = {field: text}
    return Page(write(folder, **({"evaluation": None, "history": []} | changes)))


@pytest.mark.parametrize("field", FIELDS)
def test_hostile_text_stays_text(tmp_path, field):
    harmless = page_with(tmp_path, field, "harmless").shape()
    for text in HOSTILE:
        page = page_with(tmp_path, field, text)
        assert_harmless(page)
        assert page.shape() == harmless, text
        assert settle(text) in page.text, text


def test_hostile_figure_names_stay_in_their_folder_and_in_text(tmp_path):
    figure = Figure(figsize=(0.1, 0.1))
    folder = tmp_path / "run"
    page = Page(write(folder, figures=dict.fromkeys(HOSTILE, figure), history=[], evaluation=None))
    assert_harmless(page)
    assert len([tag for tag, _ in page.elements if tag == "img"]) == len(HOSTILE)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    files = list((folder / "figures").iterdir())
    assert len(files) == len(HOSTILE)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,90}\.png", path.name) for path in files)
    for text in HOSTILE:
        assert settle(text) in page.text, text


@pytest.mark.parametrize("name", ["page_head", "report", "comparison"])
def test_every_attribute_of_the_templates_is_quoted(name):
    template = (Path(__file__).parents[2] / "analysis" / f"{name}.html").read_text("utf-8")
    body = re.sub(r"<style>.*</style>", "", template, flags=re.DOTALL)
    assert "{{" in body
    assert not re.search(r"=\s*\{\{", body)
    assert "|safe" not in body.replace(" ", "")
    assert "autoescape" not in body


def test_policy_forbids_everything_but_embedded_images_and_styles(tmp_path):
    page = write(tmp_path, figures=figures())
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    metas = [attributes for tag, attributes in Page(page).elements if tag == "meta"]
    assert {"http-equiv": "Content-Security-Policy", "content": policy} in metas
    assert "http" not in re.sub(r"data:image/png;base64,[\w+/=]+|http-equiv", "", page)
    assert "url(" not in page
    assert "@import" not in page


def test_the_likelihood_comes_first(tmp_path):
    text = Page(write(tmp_path, figures=figures())).text
    sections = ["Likelihood", "Latent sites", "Pictures", "Training", "Settings"]
    places = [text.rindex(f"\n{section}\n") for section in sections]
    assert places == sorted(places)
    for number in (
        "-95.12 ± 0.50",
        "-101.25 ± 0.62",
        "37.2 of 1,000",
        "6.2 %",
        "0.1750",
        "2,000 (test)",
        "bernoulli",
    ):
        assert places[0] < text.index(number, places[0]) < places[1], number
    assert "log-likelihood is -95.12 ± 0.50 nats per image (K = 1,000" in text[: places[0]]
    assert "not a likelihood" not in text


def test_no_likelihood_is_said_beside_every_number(tmp_path):
    evaluation = EVALUATION | {"is_likelihood": False, "likelihood": "bernoulli-grey"}
    text = Page(write(tmp_path, evaluation=evaluation)).text
    # log p, the bound, bits per dimension and three rows along K; and the sentence on top.
    assert text.count("not a likelihood") == 7
    for number in ("-95.12 ± 0.50", "-101.25 ± 0.62", "0.1750"):
        for place in re.finditer(re.escape(number), text):
            assert "not a likelihood" in text[place.end() : place.end() + 60], number


def test_what_is_missing_is_said(tmp_path):
    text = Page(write(tmp_path, evaluation=None, history=[], config={})).text
    assert "No likelihood is known: this model has not been evaluated." in text
    assert "There is no evaluation yet." in text
    assert "No divergences were measured." in text
    assert "No pictures were drawn." in text
    assert "No training history was kept." in text
    assert "No settings were recorded." in text
    assert not (tmp_path / "figures").exists()


@pytest.mark.parametrize("bad", [nan, inf, -inf, None])
def test_no_nan_is_printed(tmp_path, bad):
    numbers = [name for name, value in EVALUATION.items() if isinstance(value, float)]
    evaluation = EVALUATION | dict.fromkeys(numbers, bad) | {"by_samples": {"1": bad}}
    history = [{"step": 0, "loss": bad, "elbo": bad}]
    config = {"options": {"rate": bad, "rates": [bad, 0.5]}}
    text = Page(write(tmp_path, evaluation=evaluation, history=history, config=config)).text
    assert not re.search(r"\b(nan|inf)\b", text, re.IGNORECASE)
    assert "None" not in text
    assert "not available" in text


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.0, "no image here"),
        (0.02, "few images"),
        (0.5, "Here these are many"),
        (None, "not measured"),
    ],
)
def test_heavy_tails_are_explained(tmp_path, share, words):
    text = Page(write(tmp_path, evaluation=EVALUATION | {"pareto_k_unreliable": share})).text
    assert words in " ".join(text.split())


def test_pages_of_the_printed_report_do_not_cut_figures(tmp_path):
    # Text columns that break over pages print figures over each other in Chromium.
    style = write(tmp_path).partition("<style>")[2].partition("</style>")[0]
    screen, _, printed = style.partition("@media print")
    assert "break-inside: avoid" in screen.partition("\nfigure {")[2].partition("}")[0]
    pictures = re.search(r"\.pictures \{([^}]*)\}", printed)
    assert pictures is not None
    assert "columns: auto" in pictures[1]


def test_too_few_samples_for_a_tail_are_said(tmp_path):
    evaluation = EVALUATION | {"pareto_k_unreliable": 0.0, "pareto_k_max": None}
    text = Page(write(tmp_path, evaluation=evaluation)).text
    assert "tails was not measured" in text
    assert "0.7not available" in text


def test_why_bounds_between_have_no_error(tmp_path):
    """Of those between the first and the last the means alone are kept; of two, none is."""
    few = {**EVALUATION, "by_samples": {"1": -101.25, "1000": -95.125}}
    assert "the means alone are kept, without an error" in write(tmp_path)
    assert "the means alone" not in write(tmp_path, evaluation=few)


def test_data_without_an_estimate_are_counted(tmp_path):
    text = Page(write(tmp_path, evaluation=EVALUATION | {"non_finite": 3})).text
    assert "Images without a finite estimate3" in text
    assert "without a finite" not in Page(write(tmp_path)).text


def test_settings_are_shown_with_dotted_names(tmp_path):
    config = {"options": {"hidden": [512, 256], "beta": 4.0}, "seed": 7}
    text = Page(write(tmp_path, config=config, command="unbraid train vae", bibtex="@a{b}")).text
    for words in ("options.hidden512, 256", "options.beta4.0", "seed7", "unbraid train", "@a{b}"):
        assert words in text


@pytest.mark.parametrize("datum", ["image", "sequence"])
def test_captions_say_what_a_datum_is(tmp_path, datum):
    text = Page(write(tmp_path, datum=datum, figures=figures())).text
    assert f"How many nats about the {datum} each latent dimension carries." in text
    assert f"Per {datum}, by step." in text
    assert "{datum" not in text


def test_figures_are_embedded_as_they_are_saved(tmp_path):
    page = Page(write(tmp_path, figures=figures() | figures("samples")))
    images = [attributes for tag, attributes in page.elements if tag == "img"]
    embedded = [b64decode((image["src"] or "").split(",")[1]) for image in images]
    saved = {path.stem: path.read_bytes() for path in (tmp_path / "figures").iterdir()}
    assert set(saved) == {"bounds", "kl", "samples", "training"}
    assert sorted(embedded) == sorted(saved.values())
    assert all(image["alt"] for image in images)


def test_equal_figures_are_equal_files_and_colliding_names_are_kept_apart(tmp_path):
    drawn = figures("a/b") | figures("a?b") | figures("A-B")
    paths = save_figures(tmp_path, drawn)
    assert [path.name for path in paths.values()] == ["a-b.png", "a-b-2.png", "A-B-3.png"]
    assert len({path.read_bytes() for path in paths.values()}) == 1
    with Image.open(paths["a/b"]) as image:
        assert image.width > 500


def test_no_figure_stays_open(tmp_path):
    write(tmp_path, figures=figures())
    assert plt.get_fignums() == []


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    old = write(tmp_path, title="old", evaluation=None, history=[])

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path, title="new", evaluation=None, history=[])
    assert (tmp_path / "report.html").read_text("utf-8") == old
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_condition_told_from_codes_is_held_against_what_is_told_without_them():
    angle = {"score": {"logistic": 0.25}, "standard_error": None, "chance": 0.0}
    digit = {"score": {"logistic": 0.5, "knn": 0.75}, "standard_error": 0.1, "chance": 0.125}
    told = {"angle": {"of_means": angle}, "digit": {"of_samples": digit}}
    rows = {name: value for name, value, _ in likelihood_rows({"condition_from_codes": told})}
    # Earlier versions called the ridge regression of real values logistic.
    assert rows["Angle told from means of codes"] == "ridge 0.25 of the variance"
    value = rows["Digit told from samples of codes"]
    assert value.startswith("logistic 50.0") and value.endswith("12.5 % without codes")

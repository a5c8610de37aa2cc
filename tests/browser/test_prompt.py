"""The prompt explorer in a page: it cuts as the tokenizer does, and says what it can't know."""

import base64
import json
import random
import re
from importlib import import_module
from itertools import pairwise

import pytest
import torch
from torch.nn.functional import normalize

import sdlearn as sd
from sdlearn.stages.text import tokenize
from sdlearn.views.widgets import prompt
from sdlearn.views.widgets import widget as base
from tests import tiny
from tests.browsing import open_alive, write_pages

TEXT, OTHER = "a red cat on the grass", "a cat on the beach"
HOSTILE = "a <b onclick=alert(1)>red</b> cat, <script>document.title='broken'</script>"


@pytest.fixture(scope="module")
def model():
    return sd.wrap(tiny.pipeline("sd1"))


@pytest.fixture(scope="module")
def pocket():
    return sd.load("pocket-sd15", device="cpu")


@pytest.fixture(scope="module")
def made(model, pocket):
    """The widgets of the pages, by name."""
    return {
        "one": prompt(model, TEXT, [OTHER, "a cat"]),
        "alone": prompt(model, TEXT),
        "hostile": prompt(model, HOSTILE, HOSTILE),
        "long": prompt(model, TEXT + " ," * 100 + " the end", "a red dog, " * 40),
        "pocket": prompt(pocket, TEXT),
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory, made):
    return write_pages(tmp_path_factory.mktemp("site"), made)


@pytest.fixture
def page(opened, site):
    return lambda name, **options: open_alive(opened, site, name, **options)


def write(page, text, field="Prompt"):
    page.get_by_label(field, exact=True).fill(text)


SECOND = "Second prompt, to compare"


# -- cutting ------------------------------------------------------------------------------------

POOLS = (
    "abcdefgh KLMNOP",
    "0123456789 ½²Ⅳ",
    "'’\"!?.,;:-()<|>/_",
    ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'LL", "can't", "CAT'S", "o'clock"),
    " \t\n\v\f\x1c\x85\xa0\u2003\u3000\ufeff\u200b",
    "éèüñßÅİıΣσςẞÀÈǅ",
    ("e\u0301", "a\u0308\u0323", "o\u0327", "\u0301", " \u0302", "q\u0307", "ÅÅ"),
    ("猫", "犬と", "日本語", "한국어", "ᄒ\u1161\u11ab", "क्षि", "ক", "שלום", "مرحبا", "ไทย"),
    ("🙂", "👩\u200d👩\u200d👧", "🇩🇪", "👍🏽", "❤\ufe0f", "🙂🏽", "☕", "🇩", "1\ufe0f\u20e3"),
    ("<|endoftext|>", "<|startoftext|>", "<|ENDOFTEXT|>", "x<|endoftext|>y", "</w>", "w</w>"),
    ("a red cat on the grass ", "snowman", "dreambeach, ", "Wearing", " crown", "grasses "),
)


def strings():
    """Prompts of all kinds, the same every time."""
    drawn = random.Random(6)
    made = ["", " ", "\n", "!", "a red cat " * 200, "grass" * 60, "x" * 3000, "é" * 75, "🙂" * 40]
    made += ["a " * n for n in (73, 74, 75, 76)]
    for number in range(420):
        few = drawn.sample(POOLS, 1 + number % 4)
        length = drawn.choice((3, 12, 30, 90))
        made.append("".join(drawn.choice(drawn.choice(few)) for _ in range(length)))
    return made


READ = """texts => texts.map(text => {
    const field = document.querySelector('textarea');
    field.value = text;
    field.dispatchEvent(new Event('input'));
    const tokens = [...document.querySelectorAll('.sd-chip:not([data-kind=padding])')];
    return {
        ids: tokens.map(one => Number(one.dataset.id)),
        words: tokens.map(one => Number(one.dataset.word)),
        kinds: tokens.map(one => one.dataset.kind),
        cut: document.querySelector('.sd-cut s')?.textContent ?? '',
    };
})"""


def bare(cut):
    """What was cut off, but for what melts into the letter before it: the end of one that was read.

    The tokenizer says of a melted letter that it covers only the first of its parts.
    """
    return re.sub("^[\u0300-\u036f\u1161-\u11c2]+", "", cut)


@pytest.mark.parametrize("name", ["one", "pocket"])
def test_it_cuts_as_the_tokenizer_does(page, request, name):
    model = request.getfixturevalue({"one": "model", "pocket": "pocket"}[name])
    texts = strings()
    read = page(name).evaluate(READ, texts)
    assert len(texts) > 400
    for text, seen in zip(texts, read, strict=True):
        typed = text.replace("\r\n", "\n")
        tokens = tokenize(model.parts.tokenizer, [typed])[0][0]
        kept = [token for token in tokens if token.kind != "padding"]
        told = {
            "ids": [token.id for token in kept],
            "words": [-1 if token.word is None else token.word for token in kept],
            "kinds": [token.kind for token in kept],
            "cut": bare(tokens.cut if len(tokens.cut) <= 600 else tokens.cut[:600] + "…"),
        }
        assert {**seen, "cut": bare(seen["cut"])} == told, repr(text)


def test_a_new_word_is_one_token(opened, tmp_path):
    """As textual inversion adds it."""
    pipe = tiny.pipeline("sd1")
    pipe.tokenizer.add_tokens("<My-toy>")
    pipe.text_encoder.resize_token_embeddings(len(pipe.tokenizer))
    site = write_pages(tmp_path, {"new": prompt(sd.wrap(pipe), "a cat")})
    for text in ("a <My-toy> cat", "a<my-TOY>'s, my-toy", "<|endoftext|> <my-toy>"):
        (read,) = open_alive(opened, site, "new").evaluate(READ, [text])
        assert read["ids"] == pipe.tokenizer(text).input_ids
        assert len(pipe.tokenizer) - 1 in read["ids"]


def test_what_is_typed_shows_at_once(page, model):
    shown = page("one")
    assert "8 of 77 places: start, 6 tokens of 6 words, end; and 69" in shown.inner_text("main")
    write(shown, "a red catfish")
    pieces = model.parts.tokenizer.tokenize("a red catfish")
    names = shown.locator(".sd-chip b").all_inner_texts()
    assert names == ["start", *pieces, "end", "padding"]
    groups = shown.locator(".sd-word")
    fish = len(pieces) - 2  # side by side
    assert groups.nth(3).locator(".sd-chip").count() == fish > 1
    padding = groups.last.locator("button").get_attribute("title")
    assert padding.startswith(f"padding, position {len(pieces) + 2}–76")
    # The token at the caret is the chosen one.
    chosen = shown.locator(".sd-chip[aria-pressed=true]")
    assert chosen.get_attribute("data-position") == str(len(pieces))
    assert f"One of {fish} pieces of “catfish”" in shown.inner_text(".sd-fact")


def test_what_has_no_room_is_struck_through(page):
    shown = page("long")
    assert "77 of 77 places" in shown.inner_text(".sd-filled")
    assert shown.inner_text(".sd-cut s").endswith("the end")
    assert shown.locator(".sd-chip").count() == 77
    beyond = shown.locator(".sd-places .sd-beyond")
    assert beyond.count() == 24  # drawn so far, and told in words
    assert "35 tokens more" in shown.inner_text(".sd-filled")
    write(shown, "a cat")
    assert beyond.count() == 0 and shown.locator(".sd-cut").count() == 0


def test_chips_are_chosen_by_a_click_and_walked_by_arrows(page):
    shown = page("one")
    chips = shown.locator(".sd-chip")
    chips.nth(3).click()
    assert chips.nth(3).get_attribute("aria-pressed") == "true"
    assert "The whole of “cat”" in shown.inner_text(".sd-fact")
    shown.keyboard.press("ArrowRight")
    shown.keyboard.press("Enter")
    assert "The whole of “on”" in shown.inner_text(".sd-fact")
    assert shown.locator(".sd-chip[aria-pressed=true]").count() == 1
    chips.last.click()
    assert "Padding" in shown.inner_text(".sd-fact")


# -- the table of vectors -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["one", "pocket"])
def test_near_words_are_those_of_the_models_table(page, made, name):
    shown, widget = page(name), made[name]
    for number in range(shown.locator(".sd-chip").count()):
        chip = shown.locator(".sd-chip").nth(number)
        chip.click()
        expected = widget.near(int(chip.get_attribute("data-id")))
        values = [float(text) for text in shown.locator(".sd-near output").all_inner_texts()]
        assert values == pytest.approx([cosine for _, cosine in expected], abs=0.011)
        words = shown.locator(".sd-near li > :first-child").all_text_contents()
        pieces = widget._model.parts.tokenizer.convert_ids_to_tokens([int(i) for i, _ in expected])
        clear = [a - b > 0.008 for (_, a), (_, b) in pairwise(expected)]
        for place, word in enumerate(words[:-1]):
            if clear[place] and (place == 0 or clear[place - 1]):
                assert word + "</w>" == pieces[place]


def test_a_near_word_takes_the_tokens_place_in_the_second_prompt(page):
    shown = page("alone")
    shown.locator(".sd-chip").nth(3).click()  # cat
    near = shown.locator(".sd-near button").first
    word = near.inner_text()
    near.click()
    assert shown.get_by_label(SECOND).input_value() == f"a red {word} on the grass"
    shown.locator(".sd-chip").last.click()  # padding has no word to exchange
    assert shown.locator(".sd-near button").count() == 0
    assert shown.locator(".sd-near li").count() == 8


def pair(page, row, column):
    """What the view of pairs says at a place."""
    cell = page.locator(".sd-pairs tbody tr").nth(row).locator("td").nth(column)
    return cell.get_attribute("data-says")


def test_before_the_transformer_no_kernel_is_needed(page, model):
    shown = page("alone")
    assert "Type a second prompt" in shown.inner_text(".sd-note")
    write(shown, "grass on a beach", SECOND)
    rows = model.parts.text_encoder.get_input_embeddings().weight
    first, second = (
        normalize(rows[model.encode(text).encoders[0].ids[0]], dim=-1)
        for text in (TEXT, "grass on a beach")
    )
    for row, column in ((3, 1), (6, 1), (1, 5), (0, 0)):
        cosine = (first[row] @ second[column]).item()
        told = float(pair(shown, row, column).rsplit(" ", 1)[1])
        assert told == pytest.approx(cosine, abs=0.016)
    before = shown.get_by_role("button", name="before the transformer")
    assert before.get_attribute("aria-pressed") == "true"


# -- the text encoder ---------------------------------------------------------------------------


def cosines(model, first, second):
    """Of the vectors that the U-Net would get, and of the pooled ones."""
    read = model.encode([first, second])
    one, two = normalize(read.embeddings, dim=-1)
    return one @ two.T, torch.cosine_similarity(*read.pooled, dim=0).item()


def test_what_was_compared_when_the_notebook_ran_is_in_the_page(page, model):
    shown = page("one")
    expected, pooled = cosines(model, TEXT, OTHER)
    assert f"{pooled:.2f}" in shown.inner_text(".sd-sums")
    for row, column in ((2, 2), (7, 6)):
        told = float(pair(shown, row, column).rsplit(" ", 1)[1])
        assert told == pytest.approx(expected[row, column].item(), abs=0.0051)
    write(shown, "something else", SECOND)
    assert "needs a kernel" in shown.inner_text(".sd-note")
    assert shown.locator(".sd-pairs").count() == 0 and shown.inner_text(".sd-sums") == ""
    shown.get_by_role("button", name="a cat", exact=True).click()
    _, pooled = cosines(model, TEXT, "a cat")
    assert f"{pooled:.2f}" in shown.inner_text(".sd-sums")


def test_arrow_keys_read_the_pairs(page):
    shown = page("one")
    shown.locator(".sd-scroll").focus()
    shown.keyboard.press("ArrowRight")
    shown.keyboard.press("ArrowDown")
    assert shown.inner_text(".sd-pair").startswith("“a” (1) and “(start)” (0)")


KERNEL = """
window.heard = new Set();
window.start = (state, html) => {
    for (const [name, value] of Object.entries(state)) {
        if (value?.base64 === undefined) continue;
        const bytes = Uint8Array.from(atob(value.base64), letter => letter.charCodeAt(0));
        state[name] = new DataView(bytes.buffer);
    }
    const model = {
        get: name => state[name],
        set: (name, value) => { state[name] = value; },
        on: (name, call) => heard.add(call),
        off: (name, call) => heard.delete(call),
        save_changes() {},
        async send(message) {
            const [told, data] = await kernel(message);
            const views = data.map(text => Uint8Array.from(atob(text), one => one.charCodeAt(0)));
            for (const call of heard) call(told, views.map(one => new DataView(one.buffer)));
        },
    };
    window.stop = widget.render({ model, el: document.querySelector('main') });
};
"""


@pytest.fixture
def live(opened, tmp_path):
    """A widget in a page whose questions reach Python, as in a notebook."""

    def start(widget, answer=None):
        module = base.source("prompt", "js").replace("export default", "window.widget =")
        page = tmp_path / "live.html"
        page.write_text(
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>P</title><main></main>'
            f'<style>{base.source("prompt", "css")}</style><script type="module">{module}</script>'
            f"<script>{KERNEL}</script></html>",
            encoding="utf-8",
        )
        asked = []

        def kernel(message):
            asked.append(message)
            told, data = (answer or widget.answer)(message["what"], **message["given"])
            packed = [base64.b64encode(one).decode("ascii") for one in data]
            return [{**told, "answer": message["ask"]}, packed]

        names = ("text", "other", "vocabulary", "table", "known")
        state = {name: getattr(widget, name) for name in names}
        state["blob"] = {"base64": base64.b64encode(widget.blob).decode("ascii")}
        shown = opened(page.as_uri())
        shown.expose_function("kernel", kernel)
        shown.clock.install(time=0)
        shown.clock.pause_at(1000)
        shown.evaluate("state => start(state)", json.loads(json.dumps(state)))
        shown.asked = asked
        return shown

    return start


def wait_for(page, what, text):
    """Let the page's time go by until it says something."""
    for _ in range(100):
        page.clock.run_for(100)
        if text in page.inner_text(what):
            return
    pytest.fail(f"{text!r} is not in {page.inner_text(what)!r}")


def test_with_a_kernel_it_compares_as_one_types(live, model, made):
    shown = live(made["alone"])
    for end in range(1, len(OTHER) + 1):
        write(shown, OTHER[:end], SECOND)  # twenty keys, faster than anyone types
    expected, pooled = cosines(model, TEXT, OTHER)
    wait_for(shown, ".sd-sums", f"{pooled:.2f}")
    told = float(pair(shown, 7, 6).rsplit(" ", 1)[1])
    assert told == pytest.approx(expected[7, 6].item(), abs=0.0051)
    assert [message["given"]["second"] for message in shown.asked][-1] == OTHER
    assert len(shown.asked) < 5  # not once for each key


def test_a_late_answer_to_an_older_question_is_dropped(live, made):
    def answer(what, first, second):
        told, data = made["alone"].answer(what, first=first, second=second)
        return {**told, "pooled": 0.25 if second == "a cat" else 0.75}, data

    shown = live(made["alone"], answer)
    write(shown, "a dog", SECOND)
    shown.clock.run_for(160)  # the question is on its way
    write(shown, "a cat", SECOND)
    wait_for(shown, ".sd-sums", "0.25")
    assert "0.75" not in shown.inner_text("main")


def test_a_kernel_that_fails_or_is_silent_is_told_kindly(live, made):
    def fails(what, **given):
        return {"error": "out of <b>memory</b>"}, []

    shown = live(made["alone"], fails)
    write(shown, "a cat", SECOND)
    wait_for(shown, ".sd-note", "out of <b>memory</b>")
    assert shown.locator(".sd-chip").count() == 9  # the rest goes on


def test_a_silent_kernel_is_waited_for_a_while(live, made):
    shown = live(made["alone"], lambda what, **given: ({"ask": "nothing"}, []))
    shown.evaluate("heard.clear()")  # whatever it says, nobody hears it
    write(shown, "a cat", SECOND)
    wait_for(shown, ".sd-note", "The kernel has not answered yet")
    write(shown, "a red cat")
    assert shown.locator(".sd-chip").count() == 6


def test_a_table_too_large_for_the_page_stays_with_the_kernel(live, opened, model, monkeypatch):
    monkeypatch.setattr(import_module("sdlearn.views.widgets.prompt"), "PAGE", 1000)
    widget = prompt(model, TEXT, OTHER)
    shown = live(widget)
    chip = shown.locator(".sd-chip").nth(3)
    chip.click()
    best = widget.near(int(chip.get_attribute("data-id")))
    wait_for(shown, "main", f"{best[0][1]:.2f}")
    assert shown.locator(".sd-near li").count() == 8
    assert shown.get_by_role("button", name="before the transformer").is_disabled()
    asked = [one["what"] for one in shown.asked].count("near")
    place = shown.locator(".sd-near button").nth(2)
    place.focus()
    shown.keyboard.press("Enter")
    shown.clock.run_for(1000)
    assert [one["what"] for one in shown.asked].count("near") == asked  # the token is the same
    assert place.evaluate("one => one === one.getRootNode().activeElement")
    chip.click()
    shown.locator(".sd-chip").nth(2).click()
    shown.clock.run_for(1000)
    assert [one["what"] for one in shown.asked].count("near") == asked + 1


def test_closing_it_leaves_nothing_behind(live, made):
    shown = live(made["alone"])
    write(shown, "a cat", SECOND)
    shown.evaluate("stop()")
    shown.clock.run_for(20_000)
    assert shown.asked == [] and shown.evaluate("heard.size") == 0


# -- the page -----------------------------------------------------------------------------------


def test_prompts_with_html_in_them_are_text(page):
    shown = page("hostile")
    assert shown.title() == "A page"
    assert shown.locator("main script:not([type])").count() == 0
    assert shown.locator("main [onclick]").count() == 0
    write(shown, "<img src=x onerror=alert(1)> " * 30)
    assert shown.locator("main img").count() == 0
    assert "<img src=x" in shown.inner_text(".sd-cut s")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["one", "long"])
def test_nothing_sticks_out(page, name, width):
    shown = page(name, width=width, scheme="dark")
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    write(shown, "w" * 300)
    assert shown.evaluate("document.documentElement.scrollWidth") <= width


def test_two_on_a_page_do_not_disturb_each_other(opened, site):
    one, two = ((site / f"{name}.html").read_text("utf-8") for name in ("one", "alone"))
    body = two[two.index('<div class="sd-widget"') : two.index("</main>")]
    (site / "both.html").write_text(one.replace("</main>", body + "</main>"), encoding="utf-8")
    shown = open_alive(opened, site, "both")
    shown.wait_for_function("document.querySelectorAll('[data-alive=yes]').length === 2")
    shown.get_by_label("Prompt", exact=True).nth(1).fill("the beach")
    counts = shown.locator(".sd-filled").all_inner_texts()
    assert counts[0].startswith("8 of 77") and counts[1].startswith("4 of 77")

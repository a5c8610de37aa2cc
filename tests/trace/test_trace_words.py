import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_runs import tokens

from sdlearn.trace import Tokens, WordNotFound
from sdlearn.training.recipes import POCKET_SD15
from sdlearn.training.tokenizer import train_tokenizer


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """A tokenizer of CLIP's kind, and what it makes of a prompt."""
    recipe = dataclasses.replace(POCKET_SD15, vocabulary=700, pictures=200)
    tokenizer = train_tokenizer(recipe, ["a dream on the beach"] * 9, tmp_path_factory.mktemp("t"))

    def of(text):
        answer = tokenizer(
            text,
            return_offsets_mapping=True,
            padding="max_length",
            max_length=77,
            truncation=True,
        )
        pieces = tokenizer.convert_ids_to_tokens(answer.input_ids)
        return Tokens.build(text, answer.input_ids, pieces, answer.offset_mapping)

    return of


HOSTILE = [
    "a red cat",
    "",
    "   ",
    "dreambeach",
    "don't, won’t; the cat's 3.5 hats",
    "é E\u0301 naïve ÀÉ İx ﬁ",
    "🙂🙂 a 👩‍🎨 waves ❤️ 👍🏽 🇩🇪",
    "日本語 text हिन्दी",
    "a <|endoftext|> b <|startoftext|>",
    "rock-n-roll... !!! (wow)",
    "<script>alert(1)</script> & \"quotes\" 'too'",
    " ".join(f"word{i}" for i in range(200)),
    "x" * 3000,
    "\ttabs\nand  spaces ",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_every_token_is_one_thing_and_every_word_is_read_or_cut_off(read, text):
    got = read(text)
    assert len(got) == 77
    parts = [*got.start, *got.typed, *got.end, *got.padding]
    assert parts == list(range(77))
    assert got.start == (0,) and len(got.end) == 1
    placed = {p for word in got.words.items for p in word.positions}
    assert placed == set(got.typed)  # every token of the text belongs to a word, and none else does
    for word in got.words.items:
        assert text[slice(*word.span)] == word.text
        assert bool(word.positions) or word.text in got.cut
        assert all(got[p].word is not None for p in word.positions)


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_written_to_json_comes_back(read, text):
    got = read(text)
    assert Tokens.from_json(json.loads(json.dumps(got.to_json()))) == got


@given(st.text(max_size=60))
def test_any_text_at_all_is_read(read_any, text):
    got = read_any(text)
    assert {p for word in got.words.items for p in word.positions} <= set(got.typed)
    assert got.cut == "" and "<script" not in got._repr_html_()


@pytest.fixture(scope="module")
def read_any(read):
    return read


def test_a_word_that_falls_into_pieces_has_all_their_positions(read):
    got = read("dreambeach")
    assert len(got.words["dreambeach"]) > 1
    assert got.words["dreambeach"] == got.typed


def test_repeated_words_are_found_together_and_apart():
    words = tokens("a red cat and a Red dog").words
    assert words["red"] == (2, 6) == words["RED"]
    assert words["red", 0] == (2,) and words["red", 1] == (6,) == words["red", -1]
    assert words["red dog"] == (6, 7)
    assert words["a red", 1] == (5, 6)
    assert list(words) == ["a", "red", "cat", "and", "a", "Red", "dog"]
    assert len(words) == 7 and "cat" in words and "red cat" in words and "bird" not in words


@pytest.mark.parametrize(
    ("text", "asked", "size"),
    [
        ("don't stop", "don’t", 1),
        ("a hat for 3.5 dollars", "3.5", 3),
        ("rock-n-roll", "rock-n-roll", 1),
        ("e\u0301clair", "éclair", 1),
        ("two 🙂 smiles", "🙂", 1),
        ("an artist 👩‍🎨 paints", "👩‍🎨", 1),
        ("a red heart ❤️ here", "❤️", 1),
    ],
)
def test_words_that_are_written_in_several_ways(read, text, asked, size):
    found = read(text).words.find(asked)
    assert [len(words) for words in found] == [size]
    assert read(text).words[asked]


def test_signs_that_share_a_token_all_have_it(read):
    got = Tokens.build(
        "wow...", range(4), ["<", "wow", "...", ">"], [(0, 0), (0, 3), (3, 6), (0, 0)]
    )
    assert got.words["...", 0] == (2,) == got.words[".", 2]
    assert got[2].word == 1


def test_what_does_not_fit_is_said(read):
    text = " ".join(f"cat{i}" for i in range(60)) + " unicorn"
    got = read(text)
    assert got.padding == () and got.end == (76,)
    assert got.cut.endswith("unicorn") and text.endswith(got.cut)
    assert "unicorn" in got.words and "cut off" in repr(got.words)
    with pytest.raises(WordNotFound, match="cut off") as error:
        got.words["unicorn"]
    assert "shorten" in str(error.value)
    assert "unicorn" in got._repr_html_() and "unicorn" in str(got)


def test_where_there_is_padding_nothing_was_cut_off():
    """A sign that the tokenizer drops at the end is no text that did not fit."""
    got = Tokens.build("a ¶", range(4), "<a>>", [(0, 0), (0, 1), (0, 0), (0, 0)])
    assert got.cut == "" and got.padding == (3,)
    full = Tokens.build("a b", range(3), "<a>", [(0, 0), (0, 1), (0, 0)])
    assert full.cut == "b"


def test_a_word_that_was_cut_off_once_is_found_where_it_was_read(read):
    got = read("unicorn " + "cat " * 90 + "unicorn")
    assert got.words["unicorn"] == got.words["unicorn", 0]
    with pytest.raises(WordNotFound, match="cut off"):
        got.words["unicorn", 1]


def test_a_wrong_word_is_answered_with_the_right_ones():
    words = tokens("a red cat").words
    with pytest.raises(KeyError) as error:
        words["cta"]
    assert str(error.value).startswith("'cta' is not in the prompt. Did you mean 'cat'?")
    assert "a, red, cat" in str(error.value)
    with pytest.raises(KeyError, match=r"once.*Count from 0"):
        words["cat", 1]
    with pytest.raises(KeyError, match="no words"):
        tokens("").words["cat"]
    with pytest.raises(KeyError):
        words[""]


@pytest.mark.parametrize("asked", [3, None, ("cat", "dog"), ("cat", True), ("cat", 1, 2), b"cat"])
def test_a_question_that_is_no_word_is_refused(asked):
    with pytest.raises(TypeError, match="takes a word"):
        tokens("a cat").words[asked]


def test_ten_thousand_words_are_read_and_shown_in_short(read):
    got = read("cat " * 10_000)
    assert len(got.words) == 10_000 and len(got.typed) == 75
    assert max(len(got._repr_html_()), len(got.words._repr_html_())) < 60_000


def test_tokens_show_themselves(read):
    got = read("<b>cat</b> & (dog) 🙂")
    html = got._repr_html_()
    assert "<b>" not in html and "&lt;" in html and "&amp;" in html and "🙂" in html
    assert "padding" in html and "(start)" in str(got) and "(padding, " in str(got)
    assert "<b>" not in got.words._repr_html_()
    assert repr(got).endswith("of 77 places used)")


@pytest.mark.parametrize(
    "change",
    [
        {"tokens": 3},
        {"tokens": [[1, "a", "strange", None]]},
        {"tokens": [[1, "a", "word", 99]]},
        {"words": [[0, 1, [99]]]},
        {"words": [[0, 1, ["x"]]]},
        {"words": None},
    ],
)
def test_json_that_is_no_prompt_is_refused(change):
    with pytest.raises(ValueError, match="to_json"):
        Tokens.from_json({**tokens("a cat").to_json(), **change})


def test_the_answer_for_a_batch_is_refused():
    with pytest.raises(ValueError, match="equally long"):
        Tokens.build("a", [1, 2], ["a"], [(0, 1)])

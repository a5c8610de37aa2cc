import pytest

from sdlearn.lessons import predict


def test_a_guess_shows_itself_as_text_html_and_widget():
    bundle = predict("How <much>?", ("a", "b"))._repr_mimebundle_()
    assert "How <much>?" in bundle["text/plain"] and "( ) a" in bundle["text/plain"]
    assert "How &lt;much&gt;?" in bundle["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_the_choice_made_in_the_widget_is_the_one_revealed():
    guess = predict("?", ("a", "b"))
    unasked = guess.reveal("a")
    assert unasked.said == "" and "<details" in unasked._repr_html_()
    assert " open>" not in unasked._repr_html_()
    _, buttons = guess._choice.widget().children
    buttons.value = "b"
    assert guess.chosen == "b"
    assert "so it is" in guess.reveal("b").said and " open>" in guess.reveal("b")._repr_html_()
    assert "differently" in guess.reveal("a").said


def test_a_revealed_guess_is_escaped():
    shown = predict("?", ("<b>", "x")).reveal("<b>", "<script>")._repr_html_()
    assert "<script>" not in shown and "&lt;b&gt;" in shown


def test_nearest_takes_the_option_whose_number_is_closest():
    guess = predict("?", ("all", "some", "none"))
    assert guess.nearest(0.53, (1.0, 0.75, 0.5)) == "none"
    assert guess.nearest(0.9, (1.0, 0.75, 0.5)) == "all"


@pytest.mark.parametrize("nothing", [float("nan"), float("inf")])
def test_what_was_not_measured_is_near_to_nothing(nothing):
    with pytest.raises(ValueError, match="a number that there is"):
        predict("?", ("a", "b")).nearest(nothing, (1, 2))


@pytest.mark.parametrize("options", [(), ("a",), ("a", "a")])
def test_options_must_be_different_and_more_than_one(options):
    with pytest.raises(ValueError, match="options"):
        predict("?", options)


def test_a_truth_that_was_no_option_is_refused():
    with pytest.raises(ValueError, match="truth"):
        predict("?", ("a", "b")).reveal("c")
    with pytest.raises(ValueError, match="stands_for"):
        predict("?", ("a", "b")).nearest(1, (1,))

"""Bars: one for each name, in order, with its number; what is no amount is refused."""

import pytest

from sdlearn import views

TOLD = {"xlabel": "share", "alt": "Three bars of different length."}


def axis_of(figure):
    (axis,) = figure.drawing.axes
    return axis


def test_each_name_has_a_bar_of_its_length_and_its_number():
    figure = views.bars({"a": 0.5, "b": 0.25, "c": 0}, form="{:.0%}", **TOLD)
    axis = axis_of(figure)
    assert [bar.get_width() for bar in axis.patches] == [0.5, 0.25, 0]
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["a", "b", "c"]
    assert axis.yaxis_inverted()  # the first one on top
    assert [text.get_text() for text in axis.texts] == ["50%", "25%", "0%"]
    assert figure.alt == TOLD["alt"]


def test_a_level_is_a_line_with_its_name():
    figure = views.bars({"a": 2.0}, level=(1.5, "by chance"), **TOLD)
    assert [line.get_xdata()[0] for line in axis_of(figure).lines] == [1.5]
    (legend,) = figure.drawing.legends
    assert [text.get_text() for text in legend.get_texts()] == ["by chance"]


@pytest.mark.parametrize("values", [{}, {"a": -1.0}, {"a": float("nan")}])
def test_what_is_no_amount_is_refused(values):
    with pytest.raises(ValueError, match="values must"):
        views.bars(values, **TOLD)

"""`views.unets`: drawings of U-Nets, to one scale."""

import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

import sdlearn as sd
from sdlearn.views import style, unets


def bars(figure):
    """Left, bottom, width and height of each layer, with its colour."""
    (axis,) = figure.drawing.axes
    return [
        (*patch.get_xy(), patch.get_width(), patch.get_height(), to_hex(patch.get_facecolor()))
        for patch in axis.patches
        if isinstance(patch, Rectangle)
    ]


def texts(figure):
    (axis,) = figure.drawing.axes
    return [text.get_text() for text in axis.texts]


@pytest.fixture(scope="module")
def anatomies():
    return {name: sd.anatomy(name) for name in ("pocket-sd15", "sd15", "sdxl")}


@pytest.mark.parametrize("name", ["pocket-sd15", "sd15", "sdxl"])
def test_every_layer_is_a_bar(anatomies, name):
    one = anatomies[name]
    drawn = bars(unets(one))
    residual = [bar for bar in drawn if bar[4] == style.BLUE.lower()]
    transformers = [bar for bar in drawn if bar[4] == style.ORANGE.lower()]
    assert len(residual) == sum(block.resnets for block in one.blocks)
    assert len(transformers) == sum(len(block.transformers) for block in one.blocks)
    assert len(drawn) == len(residual) + len(transformers)
    (axis,) = unets(one).drawing.axes
    kept = [patch for patch in axis.patches if patch.get_linestyle() not in ("-", "solid")]
    assert len(kept) == sum(block.resnets for block in one.blocks if block.side == "up")


def test_all_models_of_a_figure_share_a_scale(anatomies):
    first, second = anatomies["sd15"], anatomies["sdxl"]
    drawn = bars(unets(first, second))
    widths = {round(bar[2], 6) for bar in drawn}
    assert len(widths) == len({320, 640, 1280})
    assert sorted(widths)[1] == pytest.approx(2 * sorted(widths)[0])
    deep = max(bar[3] for bar in drawn)
    shallow = min(bar[3] for bar in drawn)
    assert deep > 9 * shallow  # ten layers of SDXL's on one of SD 1.5's
    alone = {round(bar[2], 6) for bar in bars(unets(anatomies["pocket-sd15"], widest=1280))}
    whole = {round(bar[2], 6) for bar in bars(unets(first))}
    assert max(alone) == pytest.approx(max(whole) * 160 / 1280, rel=1e-4)


def test_it_says_where_words_come_in_and_how_large_things_are(anatomies):
    said = texts(unets(anatomies["sdxl"]))
    assert "128 x 128, 320 wide" in said and "no attention" in said and "10 deep" in said
    assert "20 heads of 64" in said and "words: 77 x 2048" in said
    assert any("original size" in text for text in said)
    alt = unets(anatomies["sdxl"]).alt
    assert "down 1, down 2, mid, up 0, up 1" in alt and "up to 10 deep" in alt


@pytest.mark.parametrize("names", [["sdxl"], ["sd15", "sdxl"], ["sd15", "pocket-sd15", "sdxl"]])
def test_nothing_is_drawn_beyond_the_paper_or_over_other_text(anatomies, names):
    figure = unets(*(anatomies[name] for name in names))
    figure.drawing.draw_without_rendering()
    (axis,) = figure.drawing.axes
    paper = figure.drawing.bbox
    boxes = [text.get_window_extent() for text in axis.texts if text.get_text()]
    for box in boxes:
        assert box.x0 >= -1 and box.y0 >= -1
        assert box.x1 <= paper.width + 1 and box.y1 <= paper.height + 1
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])


def test_wrong_calls_are_told_what_is_wrong(anatomies):
    with pytest.raises(ValueError, match="at least one"):
        unets()
    with pytest.raises(TypeError, match=r"sd\.anatomy"):
        unets("sd15")
    with pytest.raises(ValueError, match="at least 1280"):
        unets(anatomies["sd15"], widest=320)

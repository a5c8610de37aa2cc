import io
import itertools
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

from sdlearn import views
from sdlearn.views import style


def drawn(figure: views.Figure) -> np.ndarray:
    """What a reader sees, as an array."""
    return np.asarray(Image.open(io.BytesIO(figure.webp())).convert("RGB"))


FIGURES = {
    "strip": lambda alt="a strip of noise": views.strip([torch.randn(3, 8, 8)] * 3, alt=alt),
    "grid": lambda alt="a grid of noise": views.grid(
        [[torch.randn(8, 8)] * 2] * 2, column_titles=["a", "b"], row_titles=["c", "d"], alt=alt
    ),
    "curves": lambda alt="a curve that rises": views.curves(
        [1, 2, 3], {"a": [1, 2, 4], "b": [1, 3, 9]}, xlabel="x", ylabel="y", alt=alt, logy=True
    ),
    "histograms": lambda alt="two bell curves here": views.histograms(
        {"a": torch.randn(50), "b": torch.randn(50)}, xlabel="x", alt=alt
    ),
    "density_map": lambda alt="a map of density": views.density_map(
        torch.rand(4, 5), range(5), range(4), xlabel="x", ylabel="y", alt=alt
    ),
    "clouds": lambda alt="a cloud of points": views.clouds(
        [torch.randn(9, 2)] * 2, [0, 1, 2] * 3, ["l", "r"], names=["a", "b", "c"], alt=alt
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_shows_itself_with_its_description(name):
    hostile = 'a "quoted" <b>bold</b> description'
    bundle = FIGURES[name](hostile)._repr_mimebundle_()
    assert hostile in bundle["text/plain"]
    assert "<b>" not in bundle["text/html"] and "&lt;b&gt;" in bundle["text/html"]
    assert 'src="data:image/webp;base64,' in bundle["text/html"]


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_without_a_description_is_refused(name):
    for alt in ("", "figure", None):
        with pytest.raises(ValueError, match="alt"):
            FIGURES[name](alt)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_not_blank(name):
    assert drawn(FIGURES[name]()).std() > 5


def test_drawing_leaves_matplotlib_as_it_was():
    before = dict(matplotlib.rcParams)
    for make in FIGURES.values():
        make()
    assert dict(matplotlib.rcParams) == before


def test_views_open_no_windows_and_need_no_pyplot():
    code = (
        "import sys, torch; from sdlearn import views;"
        "views.strip([torch.zeros(3, 4, 4)], alt='one grey picture').webp();"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_picture_keeps_its_colours_in_a_strip():
    red = torch.tensor([1.0, -1.0, -1.0]).reshape(3, 1, 1).expand(3, 16, 16)
    middle = drawn(views.strip([red], alt="one red picture"))[400, 400]
    assert np.abs(middle.astype(int) - [255, 0, 0]).max() < 12


def test_titles_of_rows_stand_beside_pictures_of_any_width():
    for width in (8, 200):
        figure = views.grid(
            [[torch.randn(8, width)]] * 2, row_titles=["start", "the end"], alt="two rows of noise"
        )
        figure.drawing.canvas.draw()
        for axis in figure.drawing.axes:
            (title,) = axis.texts
            box, picture = title.get_window_extent(), axis.get_window_extent()
            assert box.x0 >= 0, "cut off at the left edge"
            assert 0 < picture.x0 - box.x1 < 12


def test_a_long_title_of_a_row_is_broken_and_dollars_are_dollars():
    figure = views.grid(
        [[torch.randn(8, 8)] * 2] * 2,
        row_titles=["“wearing a crown”", "$5, not $10"],
        column_titles=["price $^$ tag", "a"],
        title="from $a_1$ to b",
        alt="two rows of noise",
    )
    assert figure._repr_mimebundle_()
    first, second = (figure.drawing.axes[i].texts[0] for i in (0, 2))
    assert first.get_text() == "“wearing a\ncrown”" and first.get_window_extent().x0 >= 0
    texts = [second, figure.drawing.axes[0].title, figure.drawing._suptitle]
    assert not any(text.get_parse_math() for text in texts)
    prices = {"$5 and $10": 1.0, "$^$": 2.0}
    for table in (
        views.bars(prices, xlabel="amount", alt="two prices, drawn"),
        views.matrix([[0.5, 0.1]], ["$^$"], list(prices), alt="two prices, drawn"),
    ):
        assert table._repr_mimebundle_()


class Elsewhere(torch.Tensor):
    """A tensor as on a GPU: numpy can't read it before it is brought home."""

    def __array__(self, *given, **options):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def numpy(self, *given, **options):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def cpu(self):
        return self.as_subclass(torch.Tensor)


def test_tensors_are_drawn_wherever_they_lie():
    def away(*shape):
        return torch.rand(*shape).as_subclass(Elsewhere)

    with pytest.raises(TypeError, match="cuda"):
        np.asarray(away(3))
    named = {"xlabel": "x", "alt": "some numbers drawn"}
    views.curves(away(5), {"a": away(5), "b": [away(1)[0]] * 5}, ylabel="y", **named)
    views.curves(range(5), {"half": torch.rand(5).bfloat16()}, ylabel="y", **named)
    views.histograms({"a": away(50), "b": away(50).requires_grad_()}, **named)
    views.density_map(away(4, 5), away(5), away(4), ylabel="y", **named)
    views.clouds([away(6, 2)], away(6) > 0.5, names=["a", "b"], alt="some points drawn")
    views.paths([away(2, 3, 2)], behind=away(5, 2), alt="some paths drawn")
    views.matrix(away(2, 2), ["a", "b"], ["c", "d"], alt="a small table")


def test_pillow_pictures_and_tensors_look_the_same():
    picture = Image.new("RGB", (8, 8), (10, 200, 90))
    tensor = torch.tensor(np.array(picture)).permute(2, 0, 1) / 127.5 - 1
    pair = [views.strip([p], alt="one green picture") for p in (picture, tensor)]
    assert np.abs(drawn(pair[0]).astype(int) - drawn(pair[1])).max() <= 2


def test_colours_are_told_apart_by_colour_blind_readers():
    """Simulated after Viénot, Brettel and Mollon (1999): every pair keeps apart."""
    rgb = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in style.CYCLE])
    linear = rgb**2.2
    protan = np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]])
    deutan = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])
    for blindness in (np.eye(3), protan, deutan):
        seen = (linear @ blindness.T).clip(0, 1) ** (1 / 2.2)
        for a, b in itertools.combinations(seen, 2):
            assert np.abs(a - b).max() > 0.15


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda: views.strip([], alt="nothing to see here"), "rows"),
        (lambda: views.strip([torch.zeros(2, 4, 4)], alt="a b c"), "picture"),
        (lambda: views.strip([torch.zeros(3, 4, 4)], ["a", "b"], alt="a b c"), "column_titles"),
        (lambda: views.grid([[torch.zeros(4, 4)], []], alt="a b c"), "rows"),
        (lambda: views.curves([1], {}, xlabel="", ylabel="", alt="a b c"), "lines"),
        (lambda: views.histograms({}, xlabel="", alt="a b c"), "groups"),
        (
            lambda: views.density_map([[1]], [1, 2], [1], xlabel="", ylabel="", alt="a b c"),
            "density",
        ),
    ],
)
def test_wrong_input_is_named(call, names):
    with pytest.raises(ValueError, match=names):
        call()


def test_a_short_logarithmic_axis_counts_in_plain_numbers():
    figure = views.curves(
        [10, 300], {"a": [1, 2]}, xlabel="x", ylabel="y", logx=True, alt="a line that rises"
    )
    (axis,) = figure.drawing.axes
    figure.drawing.canvas.draw()
    shown = [text.get_text() for text in axis.get_xticklabels(which="both")]
    assert {"10", "20", "50", "100", "200"} <= set(shown)
    assert not any("times" in text for text in shown)


TOLD = {"alt": "what is to be seen"}


def test_a_notebooks_own_style_is_not_ours():
    def figure():
        return views.curves([1, 2], {"a": [1, 2], "b": [2, 1]}, xlabel="x", ylabel="y", **TOLD)

    plain = drawn(figure())
    with matplotlib.rc_context():
        matplotlib.style.use("dark_background")
        made = figure()
        assert np.array_equal(drawn(made), plain)
        assert matplotlib.rcParams["axes.facecolor"] == "black"  # theirs stays theirs


def test_a_saved_drawing_is_the_same_each_time(tmp_path):
    figure = views.curves([1, 2], {"a": [1, 2]}, xlabel="x", ylabel="y", **TOLD)
    for name in "ab":
        figure.save(tmp_path / f"{name}.svg", metadata={"Date": None})
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_values_that_are_all_alike_make_a_bar():
    figure = views.histograms({"zeros": torch.zeros(100), "more": [0.0]}, xlabel="x", **TOLD)
    heights = [bar.get_height() for bar in figure.drawing.axes[0].patches]
    assert max(heights) > 0 and np.isfinite(heights).all()


@pytest.mark.parametrize(("values", "said"), [([], "holds none"), ([1.0, np.nan], "holds NaN")])
def test_values_of_which_no_histogram_can_be_made(values, said):
    with pytest.raises(ValueError, match=f"The group 'a' .*{said}"):
        views.histograms({"a": values}, xlabel="x", **TOLD)


def test_dollars_in_names_are_dollars():
    name = r"5$ and $\foo$"
    for figure in (
        views.curves(
            [1, 2],
            {name: [1, 2], "b": [2, 1]},
            xlabel="x",
            ylabel="y",
            **TOLD,
            marks={name: (1, 1)},
            level=(1.5, name),
        ),
        views.histograms({name: [1.0, 2.0]}, xlabel="x", **TOLD),
        views.clouds([np.zeros((4, 2))], np.zeros(4), names=[name], **TOLD),
    ):
        drawn(figure)

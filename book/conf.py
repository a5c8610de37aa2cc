"""The static book: Sphinx and myst-nb over the committed notebooks, with nothing from a network.

It opens from a memory stick (file://) as well as from a server, so every script and style lies
beside the pages. `make book` fetches those that no wheel carries (vendor.py), then builds.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import pages  # noqa: E402
import widgets  # noqa: E402

import sdlearn  # noqa: E402

# Where everybody finds the sources, such as "https://github.com/OWNER/NAME". With it, each lesson
# gets links that open it in Colab (if it is GitHub) and on Binder; without it, there are none.
#
# Neither place knows sdlearn. In Colab, run this in a cell of its own before the first one:
#     %pip install "git+https://github.com/OWNER/NAME"
# Binder installs what a requirements.txt at the top of the sources names. One line is enough, ".";
# a line before it, "--extra-index-url " and PyTorch's index of CPU builds, saves some gigabytes.
REPOSITORY = ""
BRANCH = "main"

pages.bring(HERE.parent, HERE)
widgets.scripts(Path(sdlearn.__file__).parent / "views" / "widgets", HERE / "made")

project = "How Stable Diffusion works"
author = "the sdlearn authors"
copyright = "the sdlearn authors, MIT licence"
language = "en"

extensions = [
    *("myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"),
    # our own, in this folder:
    *("anatomies", "docstrings", "evidence", "front", "launch", "pages", "tasks"),
]
exclude_patterns = ["_build", "vendor", "static", "made", "templates"]
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # types of other libraries have no page here
suppress_warnings = ["toc.empty_glob"]  # a checkout without lessons still has a book

myst_enable_extensions = ["amsmath", "attrs_block", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

nb_execution_mode = "off"  # the notebooks are committed executed; the tests execute them again
nb_merge_streams = True
nb_ipywidgets_js = {}  # the default would load the widgets' scripts from a CDN
mathjax_path = "mathjax-tex-svg.js"  # from vendor/

add_module_names = False
autodoc_default_options = {"no-value": True}
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
default_role = "code"
maximum_signature_line_length = 88
napoleon_attr_annotations = False  # the signature says it
napoleon_use_ivar = True
napoleon_use_rtype = False
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

sd_repository, sd_branch = REPOSITORY, BRANCH

html_theme = "sphinx_book_theme"
html_title = project
templates_path = ["templates"]
html_static_path = ["static", "vendor", "made"]
html_css_files = ["book.css", "sdlearn.css"]
html_js_files = [("sdlearn.js", {"defer": "defer"}), ("book.js", {"defer": "defer"})]
html_copy_source = True
html_show_sourcelink = False
html_context = {"default_mode": "auto"}  # as the reader's system says
html_theme_options = {
    "home_page_in_toc": True,
    "navbar_persistent": [],  # the search field is in the sidebar already
    "show_navbar_depth": 2,
    "show_toc_level": 2,
    "use_download_button": True,
    "use_fullscreen_button": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}

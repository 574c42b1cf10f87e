"""How Sphinx builds the site from these pages; `ci/docs` does all of it."""

import importlib.util
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS / "_ext"))

import gallery  # noqa: E402  it is in _ext

import xdfn  # noqa: E402

project = "xdfn"
author = "the authors of xdfn"
copyright = "the authors of xdfn"
version = release = xdfn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_nb",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "pages",
    "reference",
]
exclude_patterns = ["_*", "gallery/*.ipynb", "gallery/*.py", "gallery/*.zip"]
templates_path = ["_templates"]
default_role = "code"
smartquotes = False  # of g'(z)

# Markdown as GitHub has it
myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 4
myst_dmath_double_inline = True

# notebooks are kept without what they print, and run where they are shown
nb_execution_mode = "cache"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_merge_streams = True

# the reference
autosummary_generate = True
autosummary_filename_map = {"xdfn.sigmoid": "xdfn.sigmoid-function", "xdfn.softmax": "xdfn.softmax-function"}
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the text of a docstring says it with shapes
add_module_names = False
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = False

# MathJax comes with the site: one file, without fonts
_mathjax = importlib.util.find_spec("sphinx-mathjax-offline")
if _mathjax is None or _mathjax.origin is None:
    raise ImportError("the site needs MathJax: pip install sphinx-mathjax-offline, or the extra docs")
mathjax_path = "tex-svg.js"
mathjax3_config = {"svg": {"fontCache": "global"}, "options": {"enableMenu": False}}

html_theme = "pydata_sphinx_theme"
html_title = "xdfn"
html_favicon = "_static/logo.svg"
html_static_path = ["_static", str(Path(_mathjax.origin).parent / "static/mathjax/tex-svg.js")]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "show_prev_next": True,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 6,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "pygments_light_style": "default",
    "pygments_dark_style": "monokai",
    "logo": {"text": "xdfn", "image_light": "_static/logo.svg", "image_dark": "_static/logo.svg"},
}
html_context = {"default_mode": "auto"}
html_sidebars = {page: [] for page in ("index", "installation", "mathematics")}

sphinx_gallery_conf = gallery.settings(DOCS)
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

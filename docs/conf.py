"""Sphinx's configuration. Code blocks are run by the test suite (conftest.py), not by Sphinx."""

from __future__ import annotations

from importlib.metadata import version as installed_version

project = "trioschedule"
author = "The trioschedule authors"
copyright = "2026, The trioschedule authors"
release = version = installed_version("trioschedule")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxcontrib_trio",
    "myst_parser",  # For CONTRIBUTING.md and CHANGELOG.md.
]
source_suffix = {".rst": "restructuredtext"}
exclude_patterns = ["_build"]
default_role = "any"

autodoc_class_signature = "separated"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"
autodoc_typehints_description_target = "documented"
napoleon_numpy_docstring = False
napoleon_use_rtype = False

nitpicky = True


def _any_of(words: str) -> str:
    return f"({'|'.join(words.split())})"


# The build needs no network, so names of other projects are not looked up but taken for granted.
_PACKAGES = _any_of("""
    attr attrs cyclopts hypothesis outcome pendulum pytest rich trio trio_parallel
    collections contextlib contextvars datetime enum functools os pathlib random sqlite3 types typing
    typing_extensions zoneinfo
""")
# The same, as annotations and docstrings name them: by one word.
_WORDS = _any_of(r"""
    bool bytes callable date datetime dict float frozenset int list object optional partial set str timedelta
    tuple type tzinfo async_generator
    Any AsyncGenerator Awaitable Callable Collection Container DateTime Iterable Iterator Literal Mapping
    MemoryReceiveChannel MemorySendChannel None Self Sequence StrEnum TypeVar TypeVarTuple Unpack ZoneInfo
    BaseException Exception (Base)?ExceptionGroup KeyboardInterrupt SystemExit
    (Attribute|Import|Index|Key|Lookup|NotImplemented|OS|Overflow|Runtime|Timeout|Type|Value)Error
""")
nitpick_ignore_regex = [
    (r"py:.*|any", rf"{_PACKAGES}(\..*)?"),
    (r"py:.*|any", _WORDS),
    # Type variables of trioschedule itself.
    (r"py:.*|any", r"(.*\.)?_?([A-Z]|[A-Z]_co|[A-Z]_contra|[A-Z][a-z]*Ts?)"),
]

html_theme = "furo"
html_title = f"trioschedule {release}"
html_static_path = ["_static"]

"""Timelines as pictures: SVG in one file, for light and dark, with titles for those who do not see it.

The same lanes give the same bytes, so that pictures can be committed and compared.
"""

from __future__ import annotations

from ._draw import draw as draw
from ._lanes import Band as Band, Kind as Kind, Lane as Lane, Mark as Mark

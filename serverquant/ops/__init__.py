"""Operators, one family a folder: schema.py, float.py, dnnlowp.py, mobile.py and a native half, as many as it has.

They load on first use, by the index in `_index.py`, which make_index.py writes in every build.
"""

from serverquant.ops._index import MODULES
from serverquant.runtime.registry import add_index

add_index(MODULES)

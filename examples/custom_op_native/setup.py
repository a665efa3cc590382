"""python setup.py build_ext --inplace, with serverquant installed."""

from setuptools import Extension, setup

import serverquant

setup(
    name="leaky-sum",
    version="1.0",
    py_modules=["use"],
    ext_modules=[
        Extension("leaky_sum", ["leaky_sum.c"], include_dirs=[serverquant.get_include()], libraries=["m"])
    ],
)

"""python setup.py build_ext --inplace, with serverquant and Cython installed."""

from Cython.Build import cythonize
from setuptools import Extension, setup

import serverquant

extension = Extension("_softstep", ["_softstep.pyx"], include_dirs=[serverquant.get_include()])
setup(
    name="softstep",
    version="1.0",
    py_modules=["softstep"],
    ext_modules=cythonize([extension], compiler_directives={"language_level": 3}),
)

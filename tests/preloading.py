"""Compiles a library that a test preloads into a program, to break one call of the system."""

import shutil
import subprocess

import pytest


def compiled(source, directory):
    """Return the path of the shared library made of a C file; skip the test without a compiler."""
    if shutil.which("gcc") is None:
        pytest.skip("nothing can be preloaded without gcc")
    library = directory / source.with_suffix(".so").name
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True, timeout=60
    )
    return library

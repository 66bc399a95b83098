"""What can go wrong on the workstation. Each message is one sentence that says what to do next.

::

    EdgeAsrError
    └── ExportError
        ├── RecipeError     a recipe is missing or wrong
        ├── SourceError     the weights cannot be had, or are not what the recipe pins
        ├── SampleError     the project's own speech sample cannot be built
        └── QualityError    the quality gate refuses the bundle
"""

from __future__ import annotations

from edge_asr.errors import EdgeAsrError


class ExportError(EdgeAsrError):
    """Root of the errors of ``python -m export``."""


class RecipeError(ExportError, ValueError):
    """A recipe is missing or wrong."""


class SourceError(ExportError):
    """The weights cannot be had, or are not what the recipe pins."""


class SampleError(ExportError):
    """The project's own speech sample cannot be built."""


class QualityError(ExportError):
    """The quality gate refuses the bundle."""

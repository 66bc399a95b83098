"""The settings described: as JSON Schema, and as plain values."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any

import msgspec

from edge_asr.settings import SECTIONS, Config


def setting_values(config: Config) -> dict[str, Any]:
    """Return a configuration as plain values, by section."""
    values: dict[str, Any] = msgspec.to_builtins(config)
    return values


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema of a configuration file, with a description of every setting."""
    schema = msgspec.json.schema(Config)
    for section in SECTIONS.values():
        properties = schema["$defs"][section.__name__]["properties"]
        for name, description in _field_docs(section).items():
            properties[name]["description"] = description
    return schema


def _field_docs(section: type[msgspec.Struct]) -> dict[str, str]:
    """Return each field's docstring, on one line: Python itself does not keep them."""
    class_body = ast.parse(textwrap.dedent(inspect.getsource(section))).body[0]
    if not isinstance(class_body, ast.ClassDef):  # pragma: no cover (a class's source is a class)
        return {}
    return {
        field.target.id: " ".join(str(docstring.value.value).split())
        for field, docstring in zip(class_body.body, class_body.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(docstring, ast.Expr)
        and isinstance(docstring.value, ast.Constant)
    }

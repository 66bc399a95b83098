"""Has a decoder's texts share the keys and values of one sound.

onnxruntime's ``MultiHeadAttention`` wants a sequence of keys for each of queries. Several texts of
one sound, as beam search follows them, would need a copy of the sound's each: 73 MB for five texts
about 10 s in whisper-base, to be read through at each step. But nothing masks cross-attention, so
that five texts ask like one text of five tokens. Optimum cannot write that: onnxruntime's inference
of shapes loses the names of dimensions in it. So it is done to what Optimum wrote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path

_SOUNDS_AXIS = "n_sounds"
"""The batch of the sound's keys and values: that of the texts, or 1."""
_ATTENTION = "MultiHeadAttention"
_WIDTH = "sounds_width"


def share_sound(path: Path) -> None:
    """Let a decoder graph's inputs for the sound have a batch of 1 beside several texts."""
    model = onnx.load(path)
    graph = model.graph
    inputs = {each.name: each for each in graph.input}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type == _ATTENTION and node.input[1] in inputs:
            for name in node.input[1:3]:
                inputs[name].type.tensor_type.shape.dim[0].dim_param = _SOUNDS_AXIS
            nodes += _as_one_text(node)
        else:
            nodes.append(node)
    # As many tokens as there are, as wide as they are: 0 stands for a dimension as it is.
    graph.initializer.append(numpy_helper.from_array(np.array([-1, 0], np.int64), _WIDTH))
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, path)


def _as_one_text(attention: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Return the nodes that stand for an attention: its queries in as many rows as its keys."""
    query, key, *_ = attention.input
    (attended,) = attention.output
    n_sounds, shape, asked, asked_shape, mixed = (
        f"{attended}/{part}" for part in ("n_sounds", "shape", "asked", "asked_shape", "mixed")
    )
    attention.input[0], attention.output[0] = asked, mixed
    return [
        helper.make_node("Shape", [key], [n_sounds], name=n_sounds, start=0, end=1),
        helper.make_node("Concat", [n_sounds, _WIDTH], [asked_shape], name=asked_shape, axis=0),
        helper.make_node("Reshape", [query, asked_shape], [asked], name=asked),
        attention,
        helper.make_node("Shape", [query], [shape], name=shape),
        helper.make_node("Reshape", [mixed, shape], [attended], name=f"{attended}/as_asked"),
    ]

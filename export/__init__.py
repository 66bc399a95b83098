"""What runs on the workstation: recipe -> weights -> Optimum -> ONNX -> quantize -> gate -> bundle.

It may import ``edge_asr``; ``edge_asr`` never imports it. torch, Transformers and Optimum are
imported by the steps that need them, so that ``--help``, ``--list`` and a run with nothing to do
stay quick.
"""

import os

# Here, too, ONNX Runtime has nothing to tell its maker (see edge_asr/sessions.py).
os.putenv("ORT_DISABLE_TELEMETRY", "1")

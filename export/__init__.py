"""What runs on the workstation: recipe -> weights -> Optimum -> ONNX -> quantize -> gate -> bundle.

It may import ``edge_asr``; ``edge_asr`` never imports it. torch, Transformers and Optimum are
imported by the steps that need them, so that ``--help``, ``--list`` and a run with nothing to do
stay quick.
"""

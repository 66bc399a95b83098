"""``python -m edge_asr.cli`` is ``edge-asr``."""

from edge_asr.cli import main

main()

"""edge-asr: microphone to durable transcript, offline, on small computers.

Read :mod:`edge_asr.records` first: it names everything that flows through the appliance.
"""

import os

__version__ = "0.1.0"

# NumPy's OpenBLAS takes every core for the smallest product and lets its threads spin afterwards,
# which doubled the cost of an utterance. It reads this when it is loaded, so before all else.
os.putenv("OPENBLAS_NUM_THREADS", "1")

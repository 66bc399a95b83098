"""edge-asr: microphone to durable transcript, offline, on small computers.

Read :mod:`edge_asr.records` first: it names everything that flows through the appliance.
"""

__version__ = "0.1.0"

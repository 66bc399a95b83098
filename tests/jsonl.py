"""JSON lines, as manifests and the log's export have them."""

import json


def read_jsonl(path):
    """Return the objects of a JSON lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

"""``python -m benchmarks.granite_worker``: one system in a process of its own.

A job comes in on stdin, an answer goes out on stdout, both JSON. A system alone in a process has
its memory to itself, and nothing that another one left behind.
"""

from __future__ import annotations

import sys

import msgspec

from benchmarks.granite_job import read_job


def main() -> None:
    """Do one job."""
    job = read_job(sys.stdin.buffer.read())
    if job.kind == "edge-asr":
        from benchmarks.granite_ours import run
    elif job.kind == "transformers":
        from benchmarks.granite_transformers import run
    else:
        from benchmarks.granite_llama import run
    answer = run(job)
    sys.stdout.buffer.write(msgspec.json.encode(answer))


if __name__ == "__main__":
    main()

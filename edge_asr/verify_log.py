"""Verify an exported log without edge-asr: this one file and a Python are enough.

::

    python verify_log.py chain.jsonl [--head SEQ:HASH] [--snapshot FILE] [--public-key HEX]

An export (``edge-asr log export --format chain``) is JSON, one object a line: a ``begin``, the
entries in order, an ``end``. The rules, so that anyone may write this again::

    canonical = json.dumps(content, sort_keys, no spaces, only ASCII)
    digest    = SHA-256(salt canonical)       joined as text, without a space
    head      = SHA-256("edge-asr-chain-1 SEQ RECORDED_UTC_NS TABLE ID DIGEST PREVIOUS_HEAD")

Hashes are lower-case hexadecimal; before the first entry the head is 64 zeros. The salt keeps a
redacted text from being guessed by its digest: it goes with the text. An entry whose content is
gone is in order if a later entry of the table ``events`` says why (``redacted``, ``removed``, or
``forgotten`` for a beginning that is gone altogether). One that names entries as lost with a
damaged database (``salvaged``) explains them, and does not excuse them. An event ``signed`` has an
Ed25519 signature of the head before it. What a chain cannot show is in docs/integrity.md; above
all, a cut-off end shows only against a head, or a snapshot (some heads of one log), that was kept
elsewhere.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FORMAT = "edge-asr-chain-1"
SNAPSHOT_FORMAT = "edge-asr-snapshot-1"
FIRST_HEAD = "0" * 64
EVENTS = "events"
REASONS = ("redacted", "removed")
SIGNED = "signed"


def digest_of(content: object, salt: str) -> str:
    """Return the digest of an entry's content; ``salt`` is lower-case hexadecimal."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256((salt + canonical).encode()).hexdigest()


def head_of(entry: dict[str, Any], previous: str) -> str:
    """Return the head after an entry that follows the head ``previous``."""
    fields = [entry[name] for name in ("seq", "recorded_utc_ns", "table", "id", "digest")]
    return hashlib.sha256(" ".join(map(str, [FORMAT, *fields, previous])).encode()).hexdigest()


def signed_statement(seq: int, head: str, signed_utc_ns: int) -> bytes:
    """Return what a signature of a head signs."""
    return f"edge-asr-head-1 {seq} {head} {signed_utc_ns}".encode("ascii")


def ranges_of(text: str) -> list[tuple[int, int]]:
    """Return ``"1-5,9"`` as ``[(1, 5), (9, 9)]``."""
    pairs = [part.partition("-") for part in text.split(",") if part]
    return [(int(first), int(last or first)) for first, _, last in pairs]


class Checker:
    """Takes the entries in order, and says what is wrong: one sentence for each finding."""

    def __init__(self, kept: str = "", log: str = "") -> None:
        """Take what was kept elsewhere: ``SEQ:HASH`` or ``HASH``, several with spaces; whose it is.

        Raises:
            ValueError: that is no head.
        """
        pairs = [head.rpartition(":") for head in kept.split()]
        self._kept = {head: int(seq) if seq else None for seq, _, head in pairs}
        self._as_kept_to = 0
        self._kept_of = log
        self.signed: list[dict[str, Any]] = []
        """What the events ``signed`` say, as far as the head that they sign is there."""
        self.seq = 0
        self.head = FIRST_HEAD
        self.n_entries = 0
        self.n_excused = 0
        self._holes: list[tuple[int, int]] = []
        self._missing: list[tuple[int, str]] = []
        self._lost: list[tuple[int, int]] = []
        self._excused: list[tuple[int, int]] = []
        self._forgotten: set[tuple[int, str]] = set()
        self._started_after: tuple[int, str] | None = None

    def begin(self, seq: int, previous: str) -> None:
        """Begin with the entry ``seq``: what came before was forgotten."""
        if seq > 1:
            self.seq, self.head = seq - 1, previous
            self._started_after = (self.seq, previous)
            self._look_for_kept()

    def check(self, entry: dict[str, Any]) -> Iterator[str]:
        """Take the next entry; yield what is wrong with it."""
        seq, name = entry["seq"], f"entry {entry['seq']} ({entry['table']} {entry['id']})"
        if seq <= self.seq:
            yield f"{name}: out of order, it comes after entry {self.seq}"
        elif seq > self.seq + 1:
            self._holes.append((self.seq + 1, seq - 1))
        elif head_of(entry, self.head) != entry["head"]:
            yield f"{name}: does not follow from entry {self.seq}: one of them was changed"
        self.seq, self.head = seq, entry["head"]
        self.n_entries += 1
        self._look_for_kept()
        if entry["content"] is None:
            self._missing.append((seq, name))
        elif entry["salt"] is None or digest_of(entry["content"], entry["salt"]) != entry["digest"]:
            yield f"{name}: its content was changed after it was recorded"
        elif entry["table"] == EVENTS:
            try:
                yield from self._learn(name, entry)
            except (ValueError, KeyError, TypeError, AttributeError):
                yield f"{name}: says nothing that can be understood"

    def end(self) -> Iterator[str]:
        """Yield what shows only at the end."""
        for first, last in self._holes:
            if _within(first, last, self._lost):
                yield f"entries {first} to {last} were lost with a damaged database"
            else:
                yield f"entries {first} to {last} were removed"
        for seq, name in self._missing:
            if _within(seq, seq, self._excused):
                self.n_excused += 1
            elif _within(seq, seq, self._lost):
                yield f"{name}: its content was lost with a damaged database"
            else:
                yield f"{name}: its content was removed, and no entry says why"
        if self._started_after and self._started_after not in self._forgotten:
            yield f"entries 1 to {self._started_after[0]} were removed, and no entry says why"
        if self._kept:
            yield (
                "the head that was kept elsewhere is not in this log: its end was cut off, or the "
                f"log was rewritten, after entry {self._as_kept_to}"
            )

    def _look_for_kept(self) -> None:
        if self.head in self._kept and self._kept[self.head] in {None, self.seq}:
            del self._kept[self.head]
            self._as_kept_to = self.seq

    def _learn(self, name: str, entry: dict[str, Any]) -> Iterator[str]:
        event = entry["content"]
        detail = json.loads(event.get("detail", "{}"))
        if event["kind"] in REASONS:
            self._excused += ranges_of(detail["entries"])
        elif event["kind"] == "salvaged":
            self._lost += ranges_of(detail["entries"])
        elif event["kind"] == "begun" and self._kept_of not in {"", detail["log"]}:
            yield f"what was kept elsewhere is of another log: {self._kept_of}"
        elif event["kind"] == SIGNED and _follows(entry, detail["seq"], detail["head"]):
            self.signed.append(detail)
        elif event["kind"] == SIGNED:
            yield f"{name}: signs another head than that of the entry before it"
        elif event["kind"] == "forgotten":
            self._forgotten.add((detail["last"], detail["head"]))


def _follows(entry: dict[str, Any], seq: int, head: str) -> bool:
    return bool(entry["seq"] == seq + 1 and head_of(entry, head) == entry["head"])


def _within(first: int, last: int, ranges: list[tuple[int, int]]) -> bool:
    return any(a <= first and last <= b for a, b in ranges)


class Snapshot:
    """Some heads of a log, kept elsewhere.

    Raises:
        ValueError: the text is no snapshot.
    """

    def __init__(self, text: str) -> None:
        content = json.loads(text)
        if not isinstance(content, dict) or content.get("format") != SNAPSHOT_FORMAT:
            raise ValueError(f"no {SNAPSHOT_FORMAT}")
        try:
            self.log = str(content["log"])
            self.heads = " ".join(f"{seq}:{head}" for seq, head in content["heads"])
            self.signed = content if "signature" in content else {}
            last_seq, last_head = content["heads"][-1]
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"it has no {error}") from error
        if self.signed and (content["seq"], content["head"]) != (last_seq, last_head):
            raise ValueError("it has a signature of another head")


def check_export(
    lines: Iterable[str], kept: str, public_key: str, snapshot: Snapshot | None = None
) -> Iterator[str]:
    """Yield what is wrong with an export, and at last lines about it that start with ``ok``."""
    checker, end = Checker(kept), None
    if snapshot is not None:
        checker = Checker(f"{kept} {snapshot.heads}", snapshot.log)
        yield from check_signature(snapshot.signed, public_key, "the snapshot")
    for number, line in enumerate(lines, 1):
        try:
            item = json.loads(line)
            if "begin" in item:
                checker.begin(item["begin"]["seq"], item["begin"]["previous"])
            elif "end" in item:
                end = item["end"]
            else:
                yield from checker.check(item)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            yield f"line {number} is no entry of a log ({error!r})"
    yield from checker.end()
    if end is None or (end["seq"], end["head"]) != (checker.seq, checker.head):
        yield "the export was cut off: its last line is not the end of the log"
    yield from check_signature(end or {}, public_key)
    yield from check_signatures(checker.signed)
    yield f"ok {checker.n_entries} entries, {checker.n_excused} of them redacted or removed"
    yield f"ok head {checker.seq}:{checker.head}"


def check_signature(
    signed: dict[str, Any], public_key: str, what: str = "the export"
) -> Iterator[str]:
    """Yield what is wrong with the signature of a head, or a line that starts with ``ok``.

    Args:
        signed: the last line's object, or a snapshot.
        public_key: hexadecimal, as ``edge-asr log key`` prints it; empty: any.
        what: is signed, in words.
    """
    if not signed.get("signature"):
        yield f"{what} is not signed" if public_key else f"ok {what} is not signed"
        return
    if public_key and signed["public_key"] != public_key:
        yield f"{what} is signed with another key"
        return
    yield _problem_of(signed, what) or (
        f"ok {what} is signed with the key {signed['public_key']}"
        + ("" if public_key else " (not compared)")
    )


def check_signatures(signed: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield what is wrong with :attr:`Checker.signed`, and how far each key vouches for the log."""
    last: dict[str, tuple[int, int]] = {}
    for each in signed:
        problem = _problem_of(each, f"the signature of entry {each['seq']}")
        if problem:
            yield problem
            if "install" in problem:  # once is enough
                return
        else:
            number = last.get(each["public_key"], (0, 0))[0]
            last[each["public_key"]] = (number + 1, each["seq"])
    for key, (number, seq) in last.items():
        yield f"ok {number} times signed within, up to entry {seq}, with the key {key}"


def _problem_of(signed: dict[str, Any], what: str) -> str:
    try:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 (only if signed)
        from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
            Ed25519PublicKey,
        )
    except ImportError:
        return f"{what} was not checked: install the library cryptography"
    try:
        statement = signed_statement(signed["seq"], signed["head"], signed["signed_utc_ns"])
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signed["public_key"]))
        key.verify(bytes.fromhex(signed["signature"]), statement)
    except (InvalidSignature, ValueError, TypeError, KeyError):
        return f"{what}: the signature does not match"
    return ""


def main() -> int:
    """Print the findings; the exit status is 1 if there are any."""
    parser = argparse.ArgumentParser(description="Verify an export of an edge-asr log.")
    parser.add_argument("export", help="of edge-asr log export --format chain; - for stdin")
    parser.add_argument("--head", default="", help="SEQ:HASH that was kept elsewhere")
    parser.add_argument("--snapshot", help="of edge-asr log snapshot, kept elsewhere")
    parser.add_argument("--public-key", default="", help="hexadecimal; of edge-asr log key")
    options = parser.parse_args()
    snapshot = None
    if options.snapshot:
        with open(options.snapshot, encoding="utf-8") as source:  # noqa: PTH123
            snapshot = Snapshot(source.read())
    failed = False
    with open(0 if options.export == "-" else options.export, encoding="utf-8") as source:  # noqa: PTH123
        for finding in check_export(source, options.head, options.public_key, snapshot):
            failed |= not finding.startswith("ok ")
            sys.stdout.write(finding + "\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

"""Ed25519 signatures of the chain's head, where the extra ``signing`` is installed.

The key lies in the state directory, for its owner only. A signature says that whoever had this key
vouched for the log up to this head; it is worth as much as the key is safe.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from edge_asr.errors import StoreError
from edge_asr.store.files import OWNER_ONLY, file_errors, sync
from edge_asr.verify_log import signed_statement

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from edge_asr.store.chain import Head

KEY = "signing.key"
"""The secret key: 64 hexadecimal digits."""


def make_key(state_dir: Path) -> str:
    """Make the key if there is none; return the public one, hexadecimal.

    Raises:
        StoreError: the extra is not installed, or the disk refuses.
    """
    path = state_dir / KEY
    key_type = _key_type()
    if not path.exists():
        secret = key_type.generate().private_bytes_raw().hex()
        with file_errors(path):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with os.fdopen(os.open(path, flags, OWNER_ONLY), "w", encoding="ascii") as file:
                file.write(secret + "\n")
            sync(path)
            sync(state_dir)
    return public_key(state_dir)


def public_key(state_dir: Path) -> str:
    """Return the public key, hexadecimal.

    Raises:
        StoreError: there is no key, or it cannot be used.
    """
    return str(_load(state_dir / KEY).public_key().public_bytes_raw().hex())


def has_key(state_dir: Path) -> bool:
    """Say whether there is a key."""
    return (state_dir / KEY).exists()


def sign(state_dir: Path, head: Head) -> dict[str, str | int]:
    """Return the signature of a head as exports and events have it; empty if there is no key.

    Raises:
        StoreError: the key cannot be used.
    """
    if not has_key(state_dir):
        return {}
    path = state_dir / KEY
    key, signed_utc_ns = _load(path), time.time_ns()
    signature = key.sign(signed_statement(head.seq, head.sha256, signed_utc_ns))
    return {
        "signed_utc_ns": signed_utc_ns,
        "signature": signature.hex(),
        "public_key": key.public_key().public_bytes_raw().hex(),
    }


def _load(path: Path) -> Ed25519PrivateKey:
    with file_errors(path):
        content = path.read_bytes()
    try:
        return _key_type().from_private_bytes(bytes.fromhex(content.decode("ascii")))
    except ValueError as error:
        raise StoreError(f"{path}: no key; move it aside and run edge-asr log key") from error


def _key_type() -> Any:  # noqa: ANN401 (mypy does not read the library)
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415 (an extra)
            Ed25519PrivateKey,
        )
    except ImportError as error:
        raise StoreError(
            "signatures need the library cryptography; install edge-asr[signing]"
        ) from error
    return Ed25519PrivateKey

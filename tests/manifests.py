"""A bundle's manifest for tests that need no bundle."""

from edge_asr.manifest import Capabilities, Manifest

NOTHING = Capabilities()


def manifest_of(capabilities=NOTHING, *, name="small", family="whisper", files=None):
    """Return the manifest of a bundle that can do this, and has nothing behind it."""
    return Manifest(
        format=1,
        name=name,
        family=family,
        created_utc="2026-11-24T00:00:00Z",
        licence="MIT",
        files=files or {},
        source={"origin": "nowhere"},
        export={},
        model={},
        capabilities=capabilities,
        quality={},
    )

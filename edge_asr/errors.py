"""The exception tree.

::

    EdgeAsrError                    one sentence that says what to do next
    ├── ConfigError (ValueError)    the configuration is wrong: exit status 78
    ├── BundleError                 a model bundle cannot be used
    │   ├── BundleNotFoundError (FileNotFoundError)
    │   └── BundleDamagedError      a file does not match its checksum
    ├── RequestError (ValueError)   a task, language or option that the bundle lacks
    ├── AudioFileError              a sound file cannot be read
    ├── EvaluationError             nothing to evaluate, or a library for it is missing
    ├── MicrophoneError             no such microphone, or it cannot be opened
    └── StoreError                  the store cannot be opened, read or written
        ├── DatabaseDamagedError    SQLite says that the database is malformed, or none at all
        ├── DiskRefusesError        for now: the disk is full, read-only or failing
        └── CorrectionError         a correction of something else than what stands

The command line prints the message of an :class:`EdgeAsrError` as it is; anything else is a defect.
"""

from __future__ import annotations


class EdgeAsrError(Exception):
    """Root of all errors this package raises on purpose."""

    exit_status = 1


class ConfigError(EdgeAsrError, ValueError):
    """The configuration is wrong."""

    exit_status = 78  # EX_CONFIG of sysexits.h, which systemd shows by name


class BundleError(EdgeAsrError):
    """A model bundle cannot be used."""


class BundleNotFoundError(BundleError, FileNotFoundError):
    """No bundle of that name."""


class BundleDamagedError(BundleError):
    """A file of a bundle is missing, altered or not listed."""


class RequestError(EdgeAsrError, ValueError):
    """A task, language or option that the bundle cannot do."""


class AudioFileError(EdgeAsrError):
    """A sound file cannot be read."""


class EvaluationError(EdgeAsrError):
    """There is nothing to evaluate, or a library for it is not installed."""


class MicrophoneError(EdgeAsrError):
    """No such microphone, or it cannot be opened."""


class StoreError(EdgeAsrError):
    """The store cannot be opened, read or written."""


class DatabaseDamagedError(StoreError):
    """The database is malformed, or no database."""


class DiskRefusesError(StoreError):
    """The disk does not take or give something at this time; later it may."""


class CorrectionError(StoreError):
    """A person's correction cannot be added to what stands in the log."""

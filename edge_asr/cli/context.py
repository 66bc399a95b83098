"""What every command needs: the global options, and where things are.

The environment is read here and nowhere below.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_asr.bundle import Bundle
    from edge_asr.config import Config
    from edge_asr.recognizers import Recognizer
    from edge_asr.systemd import Notifier

SYSTEM_CONFIG = Path("/etc/edge-asr/config.yaml")
SYSTEM_BUNDLES = Path("/var/lib/edge-asr/bundles")


@dataclass
class Context:
    """The global options of one call."""

    config_path: Path | None
    given_state_dir: Path | None
    bundle_name: str | None
    debug: bool
    environ: Mapping[str, str]

    @cached_property
    def config(self) -> Config:
        """The configuration: the given file, else the system's, else the defaults.

        Raises:
            ConfigError: the file is missing or wrong.
        """
        from edge_asr.config import Config, load_config

        if self.config_path is not None:
            return load_config(self.config_path)
        return load_config(SYSTEM_CONFIG) if SYSTEM_CONFIG.exists() else Config()

    @property
    def config_file(self) -> str | None:
        """Where the configuration is read from; None: nowhere, these are the defaults."""
        if self.config_path is not None:
            return str(self.config_path)
        return str(SYSTEM_CONFIG) if SYSTEM_CONFIG.exists() else None

    @cached_property
    def state_dir(self) -> Path:
        """``--state``, else systemd's state directory, else the user's (XDG)."""
        if self.given_state_dir is not None:
            return self.given_state_dir
        if systemd_dirs := self.environ.get("STATE_DIRECTORY"):
            return Path(systemd_dirs.split(":")[0])
        home = Path(self.environ.get("HOME", "/root"))
        return Path(self.environ.get("XDG_STATE_HOME") or home / ".local/state") / "edge-asr"

    @property
    def bundle_dirs(self) -> tuple[Path, ...]:
        """Where bundles are looked up, in order."""
        if given := self.environ.get("EDGE_ASR_BUNDLES"):
            return tuple(Path(part) for part in given.split(":") if part)
        return (SYSTEM_BUNDLES, Path("bundles"))

    @property
    def speech_bundle_name(self) -> str:
        """``--bundle``, else the configured one."""
        return self.bundle_name or self.config.recognition.bundle

    def open_vad_bundle(self) -> Bundle:
        """Verify and return the bundle that tells speech from silence."""
        from edge_asr.bundle import find_bundle, open_bundle

        path = find_bundle(self.config.vad.bundle, self.bundle_dirs)
        return open_bundle(path, family="silero-vad")

    def open_speech_bundle(self) -> Bundle:
        """Verify and return the bundle that recognizes: ``--bundle``, else the configured one."""
        from edge_asr.bundle import find_bundle, open_bundle

        return open_bundle(find_bundle(self.speech_bundle_name, self.bundle_dirs))

    def open_fallback_bundle(self) -> Bundle:
        """Verify and return the bundle that recognizes while the backlog is long.

        Raises:
            BundleError: there is none, or it is damaged.
        """
        from edge_asr.bundle import find_bundle, open_bundle

        name = self.config.backlog.fallback_bundle or ""
        return open_bundle(find_bundle(name, self.bundle_dirs))

    def open_recognizer(self, bundle: Bundle | None = None) -> Recognizer:
        """Load the recognizer of a bundle: the given one, else the one that recognizes."""
        from edge_asr.recognizers import open_recognizer

        bundle = bundle or self.open_speech_bundle()
        return open_recognizer(bundle, n_threads=self.threads_for(bundle))

    def threads_for(self, bundle: Bundle) -> int:
        """Return the number of threads that is set, else the one that was measured to be best."""
        from edge_asr.prepared import measured_pace
        from edge_asr.sessions import default_threads

        pace = measured_pace(bundle.directory, bundle.sha256)
        return self.config.recognition.threads or default_threads(pace.n_threads if pace else 0)

    def notifier(self) -> Notifier:
        """Return the way to tell systemd how we are; it does nothing where nobody asked."""
        from edge_asr.systemd import Notifier

        return Notifier(
            address=self.environ.get("NOTIFY_SOCKET"),
            watchdog_usec=self.environ.get("WATCHDOG_USEC"),
        )

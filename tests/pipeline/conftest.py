"""The virtual microphone, for the pipeline too."""

from tests.virtual_microphone import sound_directory, virtual_microphone

__all__ = ["sound_directory", "virtual_microphone"]

"""Whisper on this project beside Whisper on others."""

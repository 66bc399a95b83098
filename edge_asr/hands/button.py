"""What a button is: something that can be waited for, and is pressed or not."""

from __future__ import annotations

from typing import Protocol


class Button(Protocol):
    """A key or a GPIO line that is open. Whoever opens it closes it."""

    @property
    def title(self) -> str:
        """What to call it to a person."""

    @property
    def is_pressed(self) -> bool:
        """Whether it is pressed now, for all that was read."""

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when it is pressed or let go."""

    def changes(self) -> list[bool]:
        """Return each change since the last call: True it was pressed, False it was let go.

        Raises:
            OSError: it is gone.
        """

    def close(self) -> None:
        """Let go of the device."""

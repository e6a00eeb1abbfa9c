"""Version numbers of skills."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

_FORM = re.compile(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})")


@dataclass(frozen=True, order=True)
class Version:
    """A semantic version of three numbers (https://semver.org), ordered as such.

    Attributes:
        major: Raised for calls that no longer work.
        minor: Raised for calls that now work.
        patch: Raised for calls that work better.
    """

    major: int = 1
    minor: int = 0
    patch: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of ``str``.

        Raises:
            ValueError: It is no such version.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no version such as 1.0.2")
        return cls(*map(int, found.groups()))

    def after(self, *, new_calls: bool) -> Version:
        """The next one: a minor step if there are calls that are new, a patch otherwise."""
        if new_calls:
            return Version(self.major, self.minor + 1, 0)
        return Version(self.major, self.minor, self.patch + 1)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

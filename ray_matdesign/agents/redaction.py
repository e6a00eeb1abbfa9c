"""Takes secrets out of texts before they are remembered.

Known forms of keys and tokens, values that are called a password or a token, and long strings that
look drawn at random. Formulas, SMILES, InChI keys, checksums and paths are left alone. A filter of
patterns finds most secrets, not all: do not put any into a conversation.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass

_KNOWN = (
    (
        "private key",
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    ),
    ("cloud key", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    ("access token", r"\b(?:gh[pousr]_|github_pat_|glpat-|hf_|npm_|pypi-)[A-Za-z0-9_-]{16,}"),
    ("access token", r"\bxox[abeprs]-[A-Za-z0-9-]{10,}"),
    ("API key", r"\b(?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,}"),
    ("API key", r"\bAIza[0-9A-Za-z_-]{30,}"),
    ("web token", r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    ("credentials", r"(?i)\b(?:bearer|basic)\s+[A-Za-z0-9+/_.=~-]{12,}"),
    ("credentials", r"(?<=://)[^\s/:@]+:[^\s/@]+(?=@)"),
)
_ASSIGNED = re.compile(
    r"(?i)(\b[\w-]*(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|apikey|"
    r"access[_-]?key|private[_-]?key|credential)s?[\"']?\s*(?:[:=]|\bis\b)\s*)"
    r"(\"[^\"\n]+\"|'[^'\n]+'|[^\s,;\"']+)"
)
_LONG = re.compile(r"(?<![\w/+=.-])[A-Za-z0-9+/_-]{24,}={0,2}(?![\w/+=.])")
_HEXADECIMAL = re.compile(r"[0-9a-f]+|[0-9A-F]+")
_LEAST_BITS = 4.0
_LEAST_DIGITS = 3
_PLAIN = re.compile(
    r"(?i)(?:none|null|true|false|str|int|required|missing|\d{1,4}|os\.\S*|\w+\(.*)\W*"
)


@dataclass(frozen=True)
class Redacted:
    """A text that may be kept.

    Attributes:
        text: With ``[redacted: KIND]`` in place of secrets.
        kinds: What was taken out, in order of finding.
    """

    text: str
    kinds: tuple[str, ...]


def redacted(text: str) -> Redacted:
    """The text without secrets; the same text if it has none.

    Applied again, it changes nothing.
    """
    kinds: list[str] = []

    def cover(kind: str) -> str:
        kinds.append(kind)
        return f"[redacted: {kind}]"

    def cover_value(found: re.Match[str]) -> str:
        return found[0] if _harmless(found[2]) else found[1] + cover("named secret")

    def cover_random(found: re.Match[str]) -> str:
        return cover("random text") if _random(found[0]) else found[0]

    for kind, pattern in _KNOWN:
        parts = re.split(pattern, text, flags=re.DOTALL)
        text = parts[0] + "".join(cover(kind) + part for part in parts[1:])
    text = _LONG.sub(cover_random, _ASSIGNED.sub(cover_value, text))
    return Redacted(text, tuple(kinds))


def _harmless(value: str) -> bool:
    bare = value.strip("\"'")
    return bare.startswith("[redacted") or _PLAIN.fullmatch(bare) is not None or len(bare) < 4


def _random(text: str) -> bool:
    """Whether a long string has all kinds of characters, spread as chance would."""
    if _HEXADECIMAL.fullmatch(text) or text.count("/") > 2:
        return False
    digits = sum(c.isdigit() for c in text)
    mixed = any(c.islower() for c in text) and any(c.isupper() for c in text)
    if not mixed or digits < _LEAST_DIGITS:
        return False
    # Words joined by underscores and formulas change between letters and digits seldom or evenly.
    if re.fullmatch(r"(?:[A-Z][a-z]?\d*)+", text):
        return False
    counts = Counter(text)
    bits = -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values())
    return bits >= _LEAST_BITS

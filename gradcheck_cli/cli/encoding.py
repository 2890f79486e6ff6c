"""What is written in place of ∂ and Δ where the encoding of a stream does not have them."""

from __future__ import annotations

import codecs
import unicodedata

ERRORS = "gradcheck-ascii"  # the name under which codecs know it
# A sign for a sign wherever tables have it, so that columns stay straight.
ASCII = {
    **{"∂": "d", "δ": "d", "Δ": "D", "ᵀ": "T", "ℓ": "l", "′": "'", "·": ".", "×": "x"},
    **{"−": "-", "–": "-", "…": "~", "─": "-", "╌": "-", "│": "|", "┊": ":", "┤": "+"},
    **{"└": "+", "┬": "+", "░": "-", "▒": "+", "▓": "x", "█": "#", "⊙": "*", "✓": "+"},
    **{"✗": "x", "Σ": "sum", "σ": "sigma", "θ": "theta", "π": "pi", "√": "sqrt"},
    **{"±": "+/-", "≤": "<=", "≥": ">=", "‖": "||", "→": "->", "½": "1/2", "⅓": "1/3"},
    **{"²": "^2", "³": "^3", "∝": "~", "⁻": "-"},
}


def register() -> None:
    """Let streams name ERRORS as what they do with a character that they cannot encode."""
    codecs.register_error(ERRORS, _replace)


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(map(to_ascii, text)), error.end


def to_ascii(character: str) -> str:
    """A character in ASCII; `?` where nothing is like it."""
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return ASCII.get(character) or plain or "?"

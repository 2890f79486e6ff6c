"""Replace characters such as ∂ and Δ where the encoding of a stream does not have them."""

from __future__ import annotations

import codecs
import unicodedata

ERRORS = "gradcheck-ascii"  # the name of this error handler in codecs
# Characters that tables use have a single character in their place, so that columns stay aligned.
ASCII = {
    **{"∂": "d", "δ": "d", "Δ": "D", "ᵀ": "T", "ℓ": "l", "′": "'", "·": ".", "×": "x"},
    **{"−": "-", "–": "-", "…": "~", "─": "-", "╌": "-", "│": "|", "┊": ":", "┤": "+"},
    **{"└": "+", "┬": "+", "░": "-", "▒": "+", "▓": "x", "█": "#", "⊙": "*", "✓": "+"},
    **{"✗": "x", "Σ": "sum", "σ": "sigma", "θ": "theta", "π": "pi", "√": "sqrt"},
    **{"±": "+/-", "≤": "<=", "≥": ">=", "‖": "||", "→": "->", "½": "1/2", "⅓": "1/3"},
    **{"²": "^2", "³": "^3", "∝": "~", "⁻": "-"},
}


def register() -> None:
    """Register ERRORS, the error handler for characters that a stream cannot encode."""
    codecs.register_error(ERRORS, _replace)


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(map(to_ascii, text)), error.end


def to_ascii(character: str) -> str:
    """The replacement of a character in ASCII; `?` if there is none."""
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return ASCII.get(character) or plain or "?"

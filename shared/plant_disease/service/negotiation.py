"""Which of several media types a client would rather have."""

from collections.abc import Sequence


def preferred(accept: str, offered: Sequence[str]) -> str:
    """The offered media type that the Accept header prefers; the first one if it accepts none, or all alike.

    https://www.rfc-editor.org/rfc/rfc9110#name-accept
    """
    best, best_quality = offered[0], 0.0
    ranges = [_parsed(part) for part in accept.split(",")]
    for media_type in offered:
        # The most specific range that covers it decides, the one with the shortest wildcard first.
        patterns = (media_type, media_type.partition("/")[0] + "/*", "*/*")
        quality = next((q for pattern in patterns for name, q in ranges if name == pattern), 0.0)
        if quality > best_quality:
            best, best_quality = media_type, quality
    return best


def _parsed(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return name, float(parameter.removeprefix("q="))
            except ValueError:
                return name, 0.0
    return name, 1.0

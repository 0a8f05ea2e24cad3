"""Word error rate over whole streams, by Whisper's English normaliser."""

import jiwer
from whisper_normalizer.english import EnglishTextNormalizer

normalise = EnglishTextNormalizer()


def error_rates(streams: list, texts: dict[str, str]) -> dict[str, float]:
    """In percent, of all streams with a reference that were written down, and of each source."""
    pairs: dict[str, list[tuple[str, str]]] = {}
    for stream in streams:
        if stream.reference and stream.file in texts:
            pair = normalise(stream.reference), normalise(texts[stream.file])
            pairs.setdefault("all", []).append(pair)
            pairs.setdefault(stream.source, []).append(pair)
    return {name: 100 * jiwer.wer(*map(list, zip(*found))) for name, found in pairs.items()}

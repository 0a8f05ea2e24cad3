"""Words compared: by Whisper's English normaliser, and then digit by digit and letter by letter where something is spelled,
since it is chance whether a recogniser writes "12:33" or "one two three three", "J-A-N" or "J A N"."""

import re
from dataclasses import dataclass

import jiwer
import numpy as np
from whisper_normalizer.english import EnglishTextNormalizer

WHISPER = EnglishTextNormalizer()
# between two single letters
SPELLED = re.compile(r"(?<=\b[a-z])[-.](?=[a-z]\b)", re.IGNORECASE)
DIGIT = re.compile(r"(\d)")
RESAMPLES = 10_000


def normalise(text: str) -> str:
    return " ".join(DIGIT.sub(r" \1 ", WHISPER(SPELLED.sub(" ", text))).split())


@dataclass
class Errors:
    """Of some recordings: words that are wrong in each, and words in each."""

    wrong: list[int]
    words: list[int]

    def percent(self) -> float:
        return 100 * sum(self.wrong) / sum(self.words)


def errors(streams: list, texts: dict[str, str]) -> dict[str, Errors]:
    """Of all streams with a reference that were written down, and of each source."""
    found: dict[str, Errors] = {}
    for stream in streams:
        said = normalise(stream.reference or "")
        if said and stream.file in texts:
            compared = jiwer.process_words(said, normalise(texts[stream.file]))
            wrong = compared.substitutions + compared.deletions + compared.insertions
            for name in ("all", stream.source):
                of = found.setdefault(name, Errors([], []))
                of.wrong.append(wrong)
                of.words.append(len(said.split()))
    return found


def error_rates(streams: list, texts: dict[str, str]) -> dict[str, float]:
    """The same in percent."""
    return {name: of.percent() for name, of in errors(streams, texts).items()}


def apart(one: Errors, other: Errors) -> tuple[float, float, float]:
    """How many percent more of the words are wrong in one than in the other, of the same recordings, and between what 95 of
    100 such differences lie when recordings are drawn again (paired bootstrap)."""
    assert one.words == other.words, "not of the same recordings"
    words, more = np.array(one.words), np.array(one.wrong) - np.array(other.wrong)
    drawn = np.random.default_rng(1).integers(len(words), size=(RESAMPLES, len(words)))
    rates = 100 * more[drawn].sum(1) / words[drawn].sum(1)
    low, high = np.percentile(rates, (2.5, 97.5))
    return float(100 * more.sum() / words.sum()), float(low), float(high)

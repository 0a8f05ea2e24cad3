"""Where utterances begin and end, by the rule that Sotto uses: Silero's voice activity in frames of 32 ms, 0.3 s before
the first frame with a voice, until 0.5 s without one or 10 s in all. Windows are where a partial falls due.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime

RATE, FRAME, CONTEXT = 16_000, 512, 64
VOICE = 0.5
BEFORE, SILENCE, LONGEST = round(0.3 * RATE), round(0.5 * RATE), 10 * RATE
# no window before this much audio is there; this much after the last voice covers it
SHORTEST_WINDOW, GUARD = round(0.4 * RATE), round(0.15 * RATE)


@dataclass
class Utterance:
    """Samples of the stream, from `start` to `end`, and the ends of the windows that grow from `start`."""

    start: int
    end: int
    windows: list[int] = field(default_factory=list)
    # whether the last window had all of the voice in it, so that its text could stand for the whole
    covered: bool = False


class Voice:
    """Silero's graph. Many streams go through it at once, which is the cheapest way to run it."""

    def __init__(self, model: Path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.rate = np.array(RATE, np.int64)

    def start(self, count: int) -> np.ndarray:
        return np.zeros((2, count, 128), np.float32)

    def frame(self, sound: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of [streams, CONTEXT + FRAME] samples: the probability of a voice in each, and the state after."""
        probability, state = self.session.run(None, {"input": sound, "state": state, "sr": self.rate})
        return probability[:, 0], state

    def probabilities(self, sounds: list[np.ndarray]) -> list[np.ndarray]:
        """Of every whole frame of every stream."""
        # the longest first, so that those still running are the first rows
        order = sorted(range(len(sounds)), key=lambda index: -len(sounds[index]))
        frames = [len(sounds[index]) // FRAME for index in order]
        padded = np.zeros((len(order), CONTEXT + frames[0] * FRAME), np.float32)
        for row, index in enumerate(order):
            padded[row, CONTEXT : CONTEXT + frames[row] * FRAME] = sounds[index][: frames[row] * FRAME]
        state, found = self.start(len(order)), np.zeros((len(order), frames[0]), np.float32)
        for at in range(frames[0]):
            running = sum(count > at for count in frames)
            found[:running, at], state = self.frame(
                padded[:running, at * FRAME : at * FRAME + CONTEXT + FRAME], state[:, :running]
            )
        rows = {index: found[row, : frames[row]] for row, index in enumerate(order)}
        return [rows[index] for index in range(len(sounds))]


def utterances(probabilities: np.ndarray, length: int, every: float | None = None) -> list[Utterance]:
    """The utterances of a stream of `length` samples; with windows each `every` seconds on the stream's clock."""
    found: list[Utterance] = []
    speaking: Utterance | None = None
    last_end = voiced = silent = 0
    for frame, probability in enumerate(probabilities):
        now = (frame + 1) * FRAME
        if probability > VOICE:
            if speaking is None:
                speaking = Utterance(max(last_end, now - FRAME - BEFORE), 0)
            silent, voiced = 0, now
        elif speaking:
            silent += FRAME
        if speaking is None:
            continue
        window = speaking.windows[-1] if speaking.windows else 0
        covers = window >= voiced + GUARD
        if silent >= SILENCE or now - speaking.start >= LONGEST:
            speaking.end, speaking.covered = now, covers
            found.append(speaking)
            speaking, last_end = None, now
        elif every and due(now, every) and now - speaking.start > SHORTEST_WINDOW and (silent == 0 or not covers):
            speaking.windows.append(now)
    if speaking:
        speaking.end = length
        found.append(speaking)
    return found


def due(now: int, every: float) -> bool:
    step = every * RATE
    return now // step != (now - FRAME) // step


def speech_seconds(found: list[Utterance]) -> float:
    """What is divided by: utterances with what comes before and after the voice, pauses inside them included."""
    return sum(utterance.end - utterance.start for utterance in found) / RATE

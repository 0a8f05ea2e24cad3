"""Sotto's graphs beside the shipped ones they are rebuilt from: the same weights, the same windows, greedy decoding of one
window at a time. What differs is rounding; this tells how much, in tokens and in words.

Windows are the utterances of a corpus, cut as `cuts.py` says, and the same ones again as a telephone sends them (8 kHz,
mu-law), and spoken quietly (a fifth as loud).
"""

import json
import shlex
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cuts
import jiwer
import numpy as np
import onnxruntime
import report
import soundfile
import streams
import words
from weights import tokens

BEGIN, END, LAYERS, HEADS, HEAD = 1, 2, 6, 8, 36
# of the frames' mask, as the shipped decoder wants it
SAMPLES_A_FRAME = 384
# tokens a second of sound beyond which a hypothesis is cut short, how many more, and how many at least; like what follows,
# the same rule as Sotto's
LIMIT = (6.5, 4, 8)
LONGEST_LOOP = 6
QUIET = 0.2
# differing in more utterances than this is more than rounding does
MOST_DIFFERENT, MOST_TOKENS_APART = 0.3, 0.08


@dataclass
class Window:
    file: str
    clip: str
    source: str
    seconds: float


def looped(found: list[int]) -> int | None:
    """When the last tokens have been said over and over, how many to keep."""
    for length in range(1, LONGEST_LOOP + 1):
        times = 5 if length == 1 else 3
        tail = found[-length * times :]
        if len(tail) == length * times and tail == tail[:length] * times:
            return len(found) - length * (times - 1)
    return None


class Shipped:
    """The published graphs."""

    def __init__(self, models: Path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        session = lambda name: onnxruntime.InferenceSession(models / name, options, providers=["CPUExecutionProvider"])
        self.encoder, self.decoder = session("encoder_model.ort"), session("decoder_model_merged.ort")
        self.outputs = [output.name for output in self.decoder.get_outputs()]
        self.past = [
            f"past_key_values.{layer}.{side}.{part}"
            for layer in range(LAYERS)
            for side in ("decoder", "encoder")
            for part in ("key", "value")
        ]

    def hypothesis(self, sound: np.ndarray) -> list[int]:
        mask = np.ones((1, len(sound)), np.int64)
        hidden = self.encoder.run(None, {"input_values": sound[None], "attention_mask": mask})[0]
        fixed = {
            "encoder_hidden_states": hidden,
            "encoder_attention_mask": np.ones((1, hidden.shape[1] * SAMPLES_A_FRAME), np.int64),
        }
        past = {name: np.zeros((1, HEADS, 0, HEAD), np.float32) for name in self.past}
        rate, more, least = LIMIT
        limit = max(least, int(len(sound) / streams.RATE * rate) + more)
        found: list[int] = []
        while len(found) < limit:
            given = {"input_ids": np.array([[found[-1] if found else BEGIN]]), "use_cache_branch": np.array([bool(found)])}
            made = dict(zip(self.outputs, self.decoder.run(None, given | fixed | past)))
            for name in self.past:
                # keys and values of the frames are made once
                if not found or ".decoder." in name:
                    past[name] = made[name.replace("past_key_values", "present")]
            token = int(made["logits"][0, -1].argmax())
            if token == END:
                break
            found.append(token)
            if (keep := looped(found)) is not None:
                return found[:keep]
        return found


def write_windows(corpus: Path, voice: cuts.Voice, folder: Path) -> tuple[list[Window], dict[str, str]]:
    made, said = [], {}
    for row in streams.manifest(corpus):
        if not row["transcript"]:
            continue
        clean = streams.read(corpus / row["path"])
        for source, sound in (("as recorded", clean), ("telephone", streams.telephone(clean)), ("quiet", QUIET * clean)):
            clip = f"{row['path']} {source}"
            said[clip] = streams.plain(row["transcript"])
            [probabilities] = voice.probabilities([sound])
            for utterance in cuts.utterances(probabilities, len(sound)):
                window = sound[utterance.start : utterance.end]
                if len(window) < streams.RATE // 4:
                    continue
                name = f"{len(made):05}.wav"
                soundfile.write(folder / name, window, streams.RATE, subtype="PCM_16")
                made.append(Window(name, clip, source, len(window) / streams.RATE))
    return made, said


def text(pieces: list[bytes], found: list[int]) -> str:
    joined = b"".join(pieces[token] for token in found if token > END)
    return joined.decode("utf-8", "replace").replace("\u2581", " ").strip()


def apart(a: list[int], b: list[int]) -> int:
    """Insertions, deletions and substitutions between two hypotheses."""
    if not a or not b:
        return max(len(a), len(b))
    measures = jiwer.process_words(" ".join(map(str, a)), " ".join(map(str, b)))
    return measures.insertions + measures.deletions + measures.substitutions


def compare(windows: list[Window], said: dict, pieces: list[bytes], shipped: dict, own: dict) -> dict:
    different = sum(shipped[window.file] != own[window.file] for window in windows)
    count = sum(len(shipped[window.file]) for window in windows)
    edits = sum(apart(shipped[window.file], own[window.file]) for window in windows)
    rates = {}
    for name, found in (("shipped", shipped), ("sotto", own)):
        written: dict[str, list[str]] = {}
        for window in windows:
            written.setdefault(window.clip, []).append(text(pieces, found[window.file]))
        pairs = [(words.normalise(said[clip]), words.normalise(" ".join(parts))) for clip, parts in written.items()]
        pairs = [pair for pair in pairs if pair[0]]
        rates[name] = 100 * jiwer.wer([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    return {
        "utterances": len(windows),
        "seconds": sum(window.seconds for window in windows),
        "different": different,
        "different_percent": 100 * different / len(windows),
        "tokens": count,
        "tokens_apart_percent": 100 * edits / count,
        "word_error_percent": rates,
    }


def main() -> None:
    parser = report.parser(__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="folder with manifest.tsv")
    parser.add_argument("--sotto", default="target/release/sotto-tokens", help="Sotto's side")
    chosen = parser.parse_args()
    pieces = tokens((chosen.models / "tokenizer.bin").read_bytes())
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        windows, said = write_windows(chosen.corpus, cuts.Voice(chosen.models / "silero_vad_16k_op15.onnx"), folder)
        command = f"{chosen.sotto} --windows {folder} --json {folder}/tokens.json"
        subprocess.run(shlex.split(command), check=True)
        own = json.loads((folder / "tokens.json").read_text())
        graphs = Shipped(chosen.models)
        shipped = {window.file: graphs.hypothesis(streams.read(folder / window.file)) for window in windows}
    sources = sorted({window.source for window in windows})
    groups = {source: [window for window in windows if window.source == source] for source in sources} | {"all": windows}
    found = {name: compare(group, said, pieces, shipped, own) for name, group in groups.items()}
    head = ["", "utterances", "of them other tokens", "tokens apart", "word error rate, shipped", "Sotto"]
    rows = [
        [
            name,
            str(group["utterances"]),
            f"{group['different']} ({group['different_percent']:.1f} %)",
            f"{group['tokens_apart_percent']:.2f} %",
            f"{group['word_error_percent']['shipped']:.2f} %",
            f"{group['word_error_percent']['sotto']:.2f} %",
        ]
        for name, group in found.items()
    ]
    print(report.table(head, rows))
    content = {"commit": chosen.commit, "machine": report.machine(), "found": found}
    print(f"written: {report.write(chosen.out, 'shipped', content)}")
    whole = found["all"]
    if whole["different"] > MOST_DIFFERENT * whole["utterances"] or whole["tokens_apart_percent"] > 100 * MOST_TOKENS_APART:
        raise SystemExit("shipped: more differs than rounding explains; the graphs are not those of the shipped weights")


if __name__ == "__main__":
    main()

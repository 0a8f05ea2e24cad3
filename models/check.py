"""python check.py MODELS WHEELS: compares the lean graphs in MODELS with the shipped ones in WHEELS.

Run it through `models/check`, which fetches what it needs. Ends with 1 when a check fails.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from build_graphs.__main__ import ASSETS, VAD
from build_graphs.graph import FLOAT, Graph
from build_graphs.weights import Quantised
from build_graphs.wheels import Wheel
from reference import audio, lean, shipped

CALL = Path(__file__).parent.parent / "tests" / "audio" / "sample_call"
# the shipped graphs round activations by one scale a tensor, the lean ones by one a row: some words may differ
TOKENS_APART = 0.04
PROBABILITY_APART = 1e-5
VAD_ROWS = range(1, 34)
DECODER_ROWS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 16)


class Report:
    def __init__(self):
        self.failed = 0

    def line(self, what: str, value: str, passed: bool | None) -> None:
        """`passed` is None for what is only told."""
        self.failed += passed is False
        verdict = {True: "ok", False: "FAILED", None: "-"}[passed]
        print(f"{what:<58} {value:<26} {verdict}", flush=True)


def clips(moonshine: Wheel) -> Iterator[tuple[str, np.ndarray]]:
    """Read speech, cut at pauses, and the turns of the sample call."""
    for name in ("beckett", "two_cities"):
        speech = audio.read_wav(moonshine.read(f"moonshine_voice/assets/{name}.wav"))
        for index, clip in enumerate(audio.cut_at_pauses(speech, 4, 9)):
            yield f"{name} {index + 1}", clip
    sound, rate = soundfile.read(CALL.with_suffix(".flac"), dtype="float32")
    for index, turn in enumerate(json.loads(CALL.with_suffix(".json").read_text())):
        side = sound[:, 0 if turn["channel"] == "left" else 1]
        yield f"sample call {index + 1}", side[int(turn["start"] * rate) : int(turn["end"] * rate)]


def distance(a: list[int], b: list[int]) -> int:
    """Insertions, deletions and replacements that make one list the other."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]


def same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return all(np.array_equal(x.view(np.uint32), y.view(np.uint32)) for x, y in zip(a, b, strict=True))


def check_products(report: Report) -> None:
    """Bytes times bytes at their extremes: some processors' fast kernels overflow half way, and then words go wrong."""
    g = Graph()
    g.input("x", FLOAT, ["n", 64])
    matrix = np.concatenate([np.full((64, 32), 255, np.uint8), np.zeros((64, 32), np.uint8)], 1)
    one, zero = np.array(1, np.float32), np.array(128, np.uint8)
    g.node("Identity", [g.linear("x", Quantised(matrix, one, zero, None), "w")], "y")
    g.output("y", ["n", 64])
    graph = g.model("products").SerializeToString()
    for name, widened in (("as the product runs them", None), ("fast kernels", False), ("widened kernels", True)):
        session = lean.session(graph, widened)
        worst = 0.0
        for rows in (1, 2, 7, 16):
            found = session.run(None, {"x": np.ones((rows, 64), np.float32)})[0]
            exact = np.concatenate([np.full((rows, 32), 64 * 127.0), np.full((rows, 32), 64 * -128.0)], 1)
            worst = max(worst, float(np.abs(found - exact).max()))
        report.line(f"integer products, {name}", f"largest error {worst:.3g}", worst < 1 if widened is None else None)


def check_widened(report: Report, models: Path) -> None:
    """Machines with and without the fast instructions must write the same words."""
    feed = decoder_feed(np.random.default_rng(3), 4, 1, 32, 96)
    rows = list(range(4))
    fast, wide = (
        run_rows(lean.session(str(models / "decoder.onnx"), widened), feed, rows, rows) for widened in (False, True)
    )
    equal = all(same(a, b) for a, b in zip(fast, wide, strict=True))
    # where the fast kernels overflow the product does not use them
    passed = None if lean.products_saturate() else equal
    report.line("decoder, fast against widened kernels", "equal" if equal else "differs", passed)


def check_vad(report: Report, ours: lean.Vad, theirs: shipped.Vad, sounds: list[np.ndarray]) -> None:
    worst = max(float(np.abs(ours.probabilities(s) - theirs.probabilities(s)).max()) for s in sounds)
    report.line("VAD against the shipped one", f"largest difference {worst:.1e}", worst < PROBABILITY_APART)


def check_vad_rows(report: Report, vad: lean.Vad, sound: np.ndarray) -> None:
    """A channel's probability must not depend on how many others are judged with it."""
    random = np.random.default_rng(1)
    frames = lean.vad_frames(sound)
    apart = []
    for n in VAD_ROWS:
        different = 0
        for _ in range(20):
            rows = frames[random.integers(0, len(frames), n)]
            # neighbours far louder and far quieter
            rows = rows * random.choice(np.array([0.01, 1, 5], np.float32), (n, 1))
            hidden = np.tanh(random.standard_normal((n, 128))).astype(np.float32)
            cell = random.standard_normal((n, 128)).astype(np.float32)
            together = vad.run(rows, hidden, cell)
            row = int(random.integers(0, n))
            pair = [np.stack([a[row], a[row]]) for a in (rows, hidden, cell)]
            different += not same([a[row] for a in together], [a[0] for a in vad.run(*pair)])
        if different:
            apart.append(n)
    others = [n for n in apart if n != 1]
    report.line("VAD, 2 to 33 channels, row by row against 2", f"differing counts: {others or 'none'}", not others)
    # the product judges a lone channel as two
    report.line("VAD, 1 channel against 2 (told only)", "differs" if 1 in apart else "equal", None)


def decoder_feed(random: np.random.Generator, rows: int, fed: int, cache: int, frames: int) -> dict[str, np.ndarray]:
    """Rows of different lengths, each with the places it has filled; values of a plausible size."""

    def normal(*shape: int) -> np.ndarray:
        # some rows far larger than others, as real keys are
        return (random.standard_normal(shape) * random.choice([0.3, 1, 4], (shape[0], 1, 1, 1))).astype(np.float32)

    past = random.integers(0, cache - fed, rows)
    feed = {"ids": random.integers(3, 32_000, (rows, fed)), "pos": past[:, None] + np.arange(fed)}
    mask = np.full((rows, 1, fed, cache + fed), lean.MASKED)
    cross_mask = np.full((rows, 1, 1, frames), lean.MASKED)
    for row in range(rows):
        mask[row, :, :, : past[row]] = 0
        mask[row, 0, :, cache:] = np.where(np.tri(fed, dtype=bool), np.float32(0), lean.MASKED)
        cross_mask[row, ..., : random.integers(frames - 15, frames + 1)] = 0
    feed |= {"smask": mask, "cmask": cross_mask}
    for layer in range(lean.LAYERS):
        feed |= {f"p{kind}{layer}": normal(rows, lean.HEADS, cache, lean.HEAD) for kind in "kv"}
        feed[f"ck{layer}"] = normal(rows, lean.HEADS, lean.HEAD, frames)
        feed[f"cv{layer}"] = normal(rows, lean.HEADS, frames, lean.HEAD)
    return feed


def run_rows(session, feed: dict[str, np.ndarray], rows: list[int], wanted: list[int]) -> list[list[np.ndarray]]:
    """Decodes some rows together; for each wanted one its logits, new keys and new values."""
    fed = feed["ids"].shape[1]
    part = {name: np.ascontiguousarray(values[rows]) for name, values in feed.items()}
    part["sel"] = np.concatenate([rows.index(row) * fed + np.arange(fed) for row in wanted])
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(names, part), strict=True))
    logits = found.pop("logits").reshape(len(wanted), fed, -1)
    caches = list(found.values())
    return [[logits[i], *(cache[rows.index(row)] for cache in caches)] for i, row in enumerate(wanted)]


def check_decoder_rows(report: Report, session) -> None:
    """A row must come out the same, bit by bit, whatever is beside it and wherever it stands."""
    random = np.random.default_rng(2)
    for fed, cache, frames in ((1, 16, 48), (1, 32, 176), (1, 80, 400), (5, 32, 96), (9, 48, 240)):
        feed = decoder_feed(random, max(DECODER_ROWS), fed, cache, frames)
        alone = [run_rows(session, feed, [row], [row])[0] for row in range(max(DECODER_ROWS))]
        pairs = [run_rows(session, feed, [row, (row + 1) % 16], [row])[0] for row in range(max(DECODER_ROWS))]
        apart_alone, apart_pairs = set(), set()
        for rows in DECODER_ROWS:
            for _ in range(4):
                chosen = random.permutation(max(DECODER_ROWS))[:rows].tolist()
                # finished rows reach no logits
                wanted = chosen if random.random() < 0.5 else chosen[: 1 + rows // 2]
                for row, found in zip(wanted, run_rows(session, feed, chosen, wanted), strict=True):
                    if not same(found, alone[row]):
                        apart_alone.add(rows)
                    if rows > 1 and not same(found, pairs[row]):
                        apart_pairs.add(rows)
        shape = f"{fed} fed, {cache} places, {frames} frames"
        told = f"differing counts: {sorted(apart_pairs) or 'none'}"
        report.line(f"decoder, 2 to 16 rows against 2 ({shape})", told, not apart_pairs)
        told = f"differing counts: {sorted(apart_alone) or 'none'}"
        report.line(f"decoder, 1 to 16 rows against 1 ({shape})", told, not apart_alone)


def check_tokens(report: Report, ours: lean.Recogniser, theirs: shipped.Recogniser, sounds: list) -> None:
    edits = total = 0
    for name, sound in sounds:
        want, found = theirs.greedy(sound), ours.greedy(sound)
        apart = distance(want, found)
        edits, total = edits + apart, total + len(want)
        report.line(f"tokens, {name} ({len(sound) / audio.RATE:.1f} s)", f"{apart} of {len(want)} differ", None)
        if apart:
            print(f"    shipped: {ours.tokenizer.text(want)}\n    lean:    {ours.tokenizer.text(found)}")
    report.line("tokens, all clips", f"{edits} of {total} differ", edits <= TOKENS_APART * total)


def main(models: Path, wheels: Path) -> int:
    moonshine, silero = (Wheel(wheels, package) for package in ("moonshine_voice", "silero_vad"))
    sounds = list(clips(moonshine))
    ours = lean.Recogniser(models)
    halves = [moonshine.read(f"{ASSETS}{name}.ort") for name in ("encoder_model", "decoder_model_merged")]
    theirs = shipped.Recogniser(*halves)
    vad = lean.Vad(str(models / "vad.onnx"))
    report = Report()
    check_products(report)
    check_widened(report, models)
    check_vad(report, vad, shipped.Vad(silero.read(VAD)), [sound for _, sound in sounds])
    check_vad_rows(report, vad, sounds[0][1])
    check_decoder_rows(report, ours.decoder)
    check_tokens(report, ours, theirs, sounds)
    print(f"{report.failed} failed" if report.failed else "all passed")
    return 1 if report.failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))

"""sherpa-onnx with Silero before it, one thread.

With partials: the window since the start of the utterance is decoded whenever a partial falls due, and the utterance
once more when it has ended, as sherpa-onnx's own simulated streaming does. Nothing is decoded anew while nobody speaks.
Off: each utterance once. Voice activity runs over all streams at once and is counted. Streams come one after another;
sherpa-onnx decodes Moonshine's streams one by one even when it is given several.
"""

import side  # first: one thread
import cuts
import sherpa_onnx

RATE = 16_000


def recogniser(models, threads: int = 1) -> sherpa_onnx.OfflineRecognizer:
    return sherpa_onnx.OfflineRecognizer.from_moonshine_v2(
        encoder=str(models / "encoder_model.ort"),
        decoder=str(models / "decoder_model_merged.ort"),
        tokens=str(models / "tokens.txt"),
        num_threads=threads,
    )


def decode(with_, window) -> str:
    stream = with_.create_stream()
    stream.accept_waveform(RATE, window)
    with_.decode_stream(stream)
    return stream.result.text.strip()


def main() -> None:
    chosen = side.parser(__doc__).parse_args()
    streams = side.sounds(chosen)
    voice, model = cuts.Voice(chosen.models / "silero_vad_16k_op15.onnx"), recogniser(chosen.models)
    first = next(iter(streams.values()))[:RATE]
    voice.probabilities([first])
    decode(model, first)
    cost, texts, windows = side.Cost(), {}, 0
    with cost.of("vad"):
        probabilities = voice.probabilities(list(streams.values()))
    for (file, sound), probability in zip(streams.items(), probabilities):
        with cost.of("vad"):
            found = cuts.utterances(probability, len(sound), chosen.partials)
        finals = []
        for utterance in found:
            for end in utterance.windows:
                with cost.of("partials"):
                    decode(model, sound[utterance.start : end])
            # a final that need not be decoded where the last window may stand for it
            with cost.of("finals_covered" if utterance.covered else "finals"):
                finals.append(decode(model, sound[utterance.start : utterance.end]))
            windows += len(utterance.windows)
        texts[file] = " ".join(finals)
    side.answer(chosen, cost, texts, windows=windows)


if __name__ == "__main__":
    main()

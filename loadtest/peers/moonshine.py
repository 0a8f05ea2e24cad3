"""moonshine-voice as it is meant to be used: its own streams, its own voice activity, one thread.

Chunks of 0.125 s are fed as fast as they are taken: what is decoded when goes by the time of the audio, not the clock,
as long as no pass takes longer than the interval between two (the library stretches its interval then, which would make
it look cheaper; `stretched` counts those passes). Without partials, lines are decoded when they are complete.

As it comes, the Python package hands over the audio of every line so far with every answer, as a list of Python
numbers, which costs more the longer a stream lasts; and ONNX Runtime's threads, one a core, wait for work by spinning,
which nearly doubles what two cores use and makes nothing faster. Here both are off unless asked for: `--copies` has
one thread and the copies, `--as-it-comes` has both.
"""

import os

import side  # first: one thread
from moonshine_voice import ModelArch, Transcriber

# 0.125 s has no rounding, so that passes are exactly one interval apart
RATE, CHUNK = 16_000, 2_000
INTERVAL = 0.5


def transcriber(models, every: float | None, copies: bool = False) -> Transcriber:
    options = {} if copies else {"return_audio_data": "false", "identify_speakers": "false"}
    if every is None:
        options["decode_incomplete_lines"] = "false"
    return Transcriber(models, ModelArch.TINY, update_interval=every or INTERVAL, options=options)


def chunks(sound) -> list[list[float]]:
    """As the library takes them, made beforehand."""
    return [sound[at : at + CHUNK].tolist() for at in range(0, len(sound), CHUNK)]


def passed(stream) -> bool:
    """Whether the last chunk has made it decode; the private fields are the only place that says so."""
    return stream._last_update_time == stream._stream_time


def main() -> None:
    parser = side.parser(__doc__)
    parser.add_argument("--copies", action="store_true", help="leave every option as it is, but have one thread")
    parser.add_argument("--as-it-comes", action="store_true", help="leave every option and the threads as they are")
    chosen = parser.parse_args()
    if chosen.as_it_comes:
        # read when the model is loaded
        del os.environ["MOONSHINE_ORT_SINGLE_THREAD"]
    streams = {file: chunks(sound) for file, sound in side.sounds(chosen).items()}
    model = transcriber(chosen.models, chosen.partials, chosen.copies or chosen.as_it_comes)
    model.transcribe_without_streaming(sum(next(iter(streams.values()))[:16], []), RATE)
    cost, texts, passes, stretched = side.Cost(), {}, 0, 0
    for file, parts in streams.items():
        stream = model.create_stream()
        with cost.of("all"):
            stream.start()
            for part in parts:
                stream.add_audio(part, RATE)
                if passed(stream):
                    passes += 1
                    stretched += stream._last_pass > INTERVAL
            transcript = stream.stop()
        texts[file] = " ".join(line.text.strip() for line in transcript.lines)
        stream.close()
    side.answer(chosen, cost, texts, passes=passes, stretched=stretched)


if __name__ == "__main__":
    main()

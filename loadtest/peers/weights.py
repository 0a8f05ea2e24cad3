"""python weights.py WHEELS FOLDER: takes the peers' weights out of wheels and writes sherpa-onnx's tokens."""

import base64
import sys
import zipfile
from pathlib import Path

TINY = "moonshine_voice/assets/tiny-en/"
PARTS = {
    "moonshine_voice": [TINY + "encoder_model.ort", TINY + "decoder_model_merged.ort", TINY + "tokenizer.bin"],
    "silero_vad": ["silero_vad/data/silero_vad_16k_op15.onnx"],
}


def tokens(tokenizer: bytes) -> list[bytes]:
    """Each has its length before it: one byte, or two from 128 on."""
    found, at = [], 0
    while at < len(tokenizer):
        length, at = tokenizer[at], at + 1
        if length >= 128:
            length, at = tokenizer[at] * 128 + length - 128, at + 1
        found.append(tokenizer[at : at + length])
        at += length
    return found


def main() -> None:
    wheels, folder = map(Path, sys.argv[1:])
    folder.mkdir(parents=True, exist_ok=True)
    for name, files in PARTS.items():
        with zipfile.ZipFile(next(wheels.glob(f"{name}*.whl"))) as wheel:
            for file in files:
                (folder / Path(file).name).write_bytes(wheel.read(file))
    found = tokens((folder / "tokenizer.bin").read_bytes())
    lines = (f"{base64.b64encode(token).decode()} {index}\n" for index, token in enumerate(found))
    (folder / "tokens.txt").write_text("".join(lines))


if __name__ == "__main__":
    main()

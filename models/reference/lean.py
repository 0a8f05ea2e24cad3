"""The lean graphs, run the way the product runs them: padded to buckets, caches kept outside."""

import platform
import re
from pathlib import Path

import numpy as np
import onnxruntime

LAYERS, HEADS, HEAD = 6, 8, 36
BEGIN, END = 1, 2
BUCKET = 16
MASKED = np.float32(-1e9)


def products_saturate() -> bool:
    """Whether ONNX Runtime's products of unsigned by signed bytes overflow here: x86 without the VNNI instructions."""
    if platform.machine() != "x86_64":
        return False
    flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return flags is None or not {"avx512_vnni", "avx_vnni"} & set(flags[1].split())


def session(graph: str | bytes, widened: bool | None = None) -> onnxruntime.InferenceSession:
    """`widened` asks for products that cannot overflow, by default where they otherwise would. They are slower."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if products_saturate() if widened is None else widened:
        options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def token_limit(samples: int) -> int:
    """What a person can say in that time, and some."""
    return max(8, int(samples / 16_000 * 6.5) + 4)


def bucket(length: int) -> int:
    return max(1, -(-length // BUCKET)) * BUCKET


class Tokenizer:
    """For each token a length of one byte or two, and its bytes."""

    def __init__(self, data: bytes):
        self.pieces, at = [], 0
        while at < len(data):
            length = data[at]
            at += 1
            if length >= 128:
                length += data[at] * 128 - 128
                at += 1
            self.pieces.append(data[at : at + length])
            at += length

    def text(self, tokens: list[int]) -> str:
        joined = b"".join(self.pieces[t] for t in tokens if t > END)
        return joined.decode("utf8", "replace").replace("\u2581", " ").strip()


def frames(samples: int) -> tuple[int, int, int]:
    first = (samples - 127) // 64 + 1
    second = (first - 7) // 3 + 1
    return first, second, (second - 3) // 2 + 1


class Recogniser:
    def __init__(self, folder: Path):
        self.encoder = session(str(folder / "encoder.onnx"))
        self.decoder = session(str(folder / "decoder.onnx"))
        self.tokenizer = Tokenizer((folder / "tokenizer.bin").read_bytes())

    def encode(self, audio: np.ndarray) -> dict[str, np.ndarray]:
        """Cross keys and values by the decoder's input name."""
        n1, n2, n3 = frames(len(audio))
        feed = {"x": audio[None], "n1": np.array([n1]), "n2": np.array([n2]), "n3": np.array([n3])}
        feed["pos"] = np.arange(n3)[None]
        names = [output.name for output in self.encoder.get_outputs()]
        return dict(zip(names, self.encoder.run(names, feed), strict=True))

    def pad(self, cross: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """To whole buckets of frames, with the mask that hides the padding."""
        length = cross["cv0"].shape[2]
        missing = bucket(length) - length
        padded = {}
        for name, values in cross.items():
            frame_axis = 3 if name.startswith("ck") else 2
            padded[name] = np.pad(values, [(0, missing if axis == frame_axis else 0) for axis in range(4)])
        padded["cmask"] = np.zeros((1, 1, 1, length + missing), np.float32)
        padded["cmask"][..., length:] = MASKED
        return padded

    def greedy(self, audio: np.ndarray) -> list[int]:
        """One token at a time, as for a final."""
        limit = token_limit(len(audio))
        feed = self.pad(self.encode(audio))
        length = bucket(limit + 2)
        places = [f"{kind}{layer}" for kind in "kv" for layer in range(LAYERS)]
        caches = {place: np.zeros((1, HEADS, length, HEAD), np.float32) for place in places}
        tokens = [BEGIN]
        names = ["logits", *(f"n{name}" for name in caches)]
        while tokens[-1] != END and len(tokens) <= limit:
            past = len(tokens) - 1
            mask = np.full((1, 1, 1, length + 1), MASKED)
            mask[..., :past] = 0
            mask[..., length] = 0
            feed |= {"ids": np.array([tokens[-1:]]), "pos": np.array([[past]]), "sel": np.array([0]), "smask": mask}
            feed |= {f"p{name}": cache for name, cache in caches.items()}
            logits, *new = self.decoder.run(names, feed)
            for cache, added in zip(caches.values(), new, strict=True):
                cache[:, :, past : past + 1] = added
            tokens.append(int(logits[0].argmax()))
        return [t for t in tokens[1:] if t != END]

    def text(self, audio: np.ndarray) -> str:
        return self.tokenizer.text(self.greedy(audio))


class Vad:
    """One probability for every 512 samples."""

    def __init__(self, graph: str | bytes):
        self.session = session(graph)

    def run(self, frames: np.ndarray, hidden: np.ndarray, cell: np.ndarray) -> list[np.ndarray]:
        return self.session.run(["p", "h2", "c2"], {"input": frames, "h": hidden, "c": cell})

    def probabilities(self, audio: np.ndarray) -> np.ndarray:
        # two rows, as in the product: one row alone is rounded by another kernel
        hidden = cell = np.zeros((2, 128), np.float32)
        found = []
        for frame in vad_frames(audio):
            p, hidden, cell = self.run(np.stack([frame, frame]), hidden, cell)
            found.append(p[0, 0])
        return np.array(found)


def vad_frames(audio: np.ndarray) -> np.ndarray:
    """Frames of 512 samples with the 64 before them."""
    padded = np.concatenate([np.zeros(64, np.float32), audio])
    count = len(audio) // 512
    return np.stack([padded[i * 512 : i * 512 + 576] for i in range(count)])

"""Sound files as mono or stereo samples at 16 kHz."""

import io
import wave

import numpy as np

RATE = 16_000


def read_wav(data: bytes) -> np.ndarray:
    """A 16 bit mono file of 16 or 48 kHz."""
    with wave.open(io.BytesIO(data)) as file:
        if file.getsampwidth() != 2 or file.getnchannels() != 1:
            raise ValueError("only 16 bit mono files are read here")
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
    return resample(samples, rate)


def resample(samples: np.ndarray, rate: int) -> np.ndarray:
    """To 16 kHz, through the spectrum of the whole clip: slow, exact enough and without further packages."""
    if rate == RATE:
        return samples.astype(np.float32)
    length = round(len(samples) * RATE / rate)
    spectrum = np.fft.rfft(samples)
    kept = np.zeros(length // 2 + 1, np.complex128)
    common = min(len(kept), len(spectrum))
    kept[:common] = spectrum[:common]
    return (np.fft.irfft(kept, length) * (length / len(samples))).astype(np.float32)


def cut_at_pauses(samples: np.ndarray, shortest: float, longest: float) -> list[np.ndarray]:
    """Clips of so many seconds, cut at the quietest tenth of a second."""
    step = RATE // 10
    clips = []
    while len(samples) > longest * RATE:
        first, last = int(shortest * 10), int(longest * 10)
        loudness = [np.square(samples[i * step : (i + 1) * step]).mean() for i in range(first, last)]
        end = (first + int(np.argmin(loudness))) * step + step // 2
        clips.append(samples[:end])
        samples = samples[end:]
    return [*clips, samples]

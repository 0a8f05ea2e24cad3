// Runs in the audio thread: cuts what the microphones give into frames of 20 ms, interleaved 16-bit samples.

/** What the page gets of each frame: the samples, and how loud each channel was, 0 to 1. */
export interface Frame {
  samples: Int16Array<ArrayBuffer>;
  peaks: number[];
}

declare const sampleRate: number;
declare function registerProcessor(name: string, processor: new (options: AudioWorkletNodeOptions) => AudioWorkletProcessor): void;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}

const FRAMES_A_SECOND = 50;

class Capture extends AudioWorkletProcessor {
  private readonly channels: number;
  private readonly length = Math.round(sampleRate / FRAMES_A_SECOND);
  private samples: Int16Array<ArrayBuffer>;
  private peaks: number[];
  private filled = 0;

  constructor({ channelCount = 1 }: AudioWorkletNodeOptions) {
    super();
    this.channels = channelCount;
    this.samples = new Int16Array(this.length * this.channels);
    this.peaks = new Array<number>(this.channels).fill(0);
  }

  /** Called for every 128 samples; nothing comes from an input that nobody is connected to. */
  process([input = []]: Float32Array[][]): boolean {
    const length = input[0]?.length ?? 128;
    for (let at = 0; at < length; at += 1) {
      for (let channel = 0; channel < this.channels; channel += 1) {
        const value = Math.max(-1, Math.min(1, input[channel]?.[at] ?? 0));
        this.samples[this.filled * this.channels + channel] = Math.round(value * 32767);
        this.peaks[channel] = Math.max(this.peaks[channel] ?? 0, Math.abs(value));
      }
      this.filled += 1;
      if (this.filled === this.length) this.send();
    }
    return true;
  }

  private send(): void {
    const frame: Frame = { samples: this.samples, peaks: this.peaks };
    this.port.postMessage(frame, [frame.samples.buffer]);
    this.samples = new Int16Array(this.length * this.channels);
    this.peaks = new Array<number>(this.channels).fill(0);
    this.filled = 0;
  }
}

registerProcessor('sotto-capture', Capture);

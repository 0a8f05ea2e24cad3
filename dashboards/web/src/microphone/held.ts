/**
 * The audio that the server has not acknowledged, a ring of bounded length. Positions are samples of one channel from the
 * start of the call, as the protocol counts them.
 */
export class Held {
  /** Position after the last sample. */
  end = 0;
  private readonly ring: Int16Array<ArrayBuffer>;
  private acknowledged = 0;

  constructor(
    readonly channels: number,
    private readonly capacity: number,
  ) {
    this.ring = new Int16Array(capacity * channels);
  }

  /** The first position that is still here. */
  get start(): number {
    return Math.max(this.acknowledged, this.end - this.capacity);
  }

  push(samples: Int16Array): void {
    for (let from = 0; from < samples.length; ) {
      const at = (this.end % this.capacity) * this.channels;
      const part = samples.subarray(from, from + this.ring.length - at);
      this.ring.set(part, at);
      this.end += part.length / this.channels;
      from += part.length;
    }
  }

  acknowledge(position: number): void {
    this.acknowledged = Math.max(this.acknowledged, Math.min(position, this.end));
  }

  /** Up to `most` samples a channel from `position` on. What had to be let go comes as silence, so that times stay right. */
  from(position: number, most: number): Int16Array<ArrayBuffer> {
    const length = Math.max(0, Math.min(most, this.end - position));
    const samples = new Int16Array(length * this.channels);
    for (let done = Math.min(length, Math.max(0, this.start - position)); done < length; ) {
      const at = (position + done) % this.capacity;
      const part = Math.min(length - done, this.capacity - at);
      samples.set(this.ring.subarray(at * this.channels, (at + part) * this.channels), done * this.channels);
      done += part;
    }
    return samples;
  }
}

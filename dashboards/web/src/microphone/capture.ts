import { audioContext } from './devices';
import type { Frame } from './worklet';

/** Who speaks into what. A device without an id is the default one. */
export type Source =
  | { people: 'one'; device: string }
  | { people: 'two'; agent: string; customer: string }
  /** The agent on the left, the customer on the right. */
  | { people: 'stereo'; device: string };

export interface Capture {
  rate: number;
  channels: string[];
  mute(muted: boolean): void;
  close(): void;
}

export interface CaptureListener {
  frame(frame: Frame): void;
  /** A device was unplugged: its channel is silent from here on. */
  lost(): void;
}

export async function capture(source: Source, listener: CaptureListener): Promise<Capture> {
  const streams: MediaStream[] = [];
  let context: AudioContext | null = null;
  const close = () => {
    for (const track of streams.flatMap((stream) => stream.getTracks())) track.stop();
    if (context?.state !== 'closed') void context?.close();
  };
  try {
    for (const audio of wanted(source)) streams.push(await navigator.mediaDevices.getUserMedia({ audio }));
    context = await audioContext();
    await context.audioWorklet.addModule('/assets/microphone-worklet.js');
    await context.resume();
    const volume = connect(context, source, streams, listener);
    for (const track of streams.flatMap((stream) => stream.getTracks())) track.addEventListener('ended', () => listener.lost());
    return {
      rate: context.sampleRate,
      channels: roles(source),
      mute: (muted) => void (volume.gain.value = muted ? 0 : 1),
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

function roles({ people }: Source): string[] {
  return people === 'one' ? ['agent'] : ['agent', 'customer'];
}

function wanted(source: Source): MediaTrackConstraints[] {
  const device = (id: string) => (id === '' ? {} : { deviceId: { exact: id } });
  switch (source.people) {
    case 'one':
      return [device(source.device)];
    case 'two':
      return [device(source.agent), device(source.customer)];
    case 'stereo':
      // what cleans up a voice makes one channel of two
      return [{ ...device(source.device), channelCount: 2, echoCancellation: false, noiseSuppression: false, autoGainControl: false }];
  }
}

function connect(context: AudioContext, source: Source, streams: MediaStream[], listener: CaptureListener): GainNode {
  const channelCount = roles(source).length;
  const merger = context.createChannelMerger(channelCount);
  for (const [channel, stream] of streams.entries()) {
    const node = context.createMediaStreamSource(stream);
    if (source.people === 'stereo') {
      if (stream.getAudioTracks()[0]?.getSettings().channelCount === 1) throw new Error('This device has one channel only. Choose one with two.');
      const splitter = context.createChannelSplitter(2);
      node.connect(splitter).connect(merger, 0, 0);
      splitter.connect(merger, 1, 1);
    } else {
      // an input of the merger takes one channel and mixes down what has more
      node.connect(merger, 0, channel);
    }
  }
  const volume = context.createGain();
  const worklet = new AudioWorkletNode(context, 'sotto-capture', {
    numberOfOutputs: 0,
    channelCount,
    channelCountMode: 'explicit',
    channelInterpretation: 'discrete',
  });
  worklet.port.onmessage = ({ data }: MessageEvent<Frame>) => listener.frame(data);
  merger.connect(volume).connect(worklet);
  return volume;
}

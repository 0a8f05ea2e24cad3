/** Rates that the server takes. */
const RATES = [8000, 16000, 22050, 24000, 44100, 48000];

/** What keeps this browser from being a microphone; none when nothing does. */
export function obstacle(): string | null {
  if (!window.isSecureContext) return 'A browser gives the microphone to https pages only. Open this page by its https address.';
  if (navigator.mediaDevices === undefined) return 'This browser has no access to microphones.';
  if (typeof AudioWorkletNode === 'undefined') return 'This browser cannot process sound (it has no AudioWorklet). Use a current one.';
  return null;
}

/** Microphones with their names, which a browser tells only once it may use one of them. */
export async function microphones(): Promise<MediaDeviceInfo[]> {
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.filter(({ kind, label }) => kind === 'audioinput' && label !== '');
}

export async function askPermission(): Promise<void> {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  for (const track of stream.getTracks()) track.stop();
}

/** In the device's own rate where the server takes it. */
export async function audioContext(): Promise<AudioContext> {
  const context = new AudioContext({ latencyHint: 'interactive' });
  if (RATES.includes(context.sampleRate)) return context;
  await context.close();
  return new AudioContext({ latencyHint: 'interactive', sampleRate: 16000 });
}

export function explain(error: unknown): string {
  const name = error instanceof DOMException ? error.name : '';
  switch (name) {
    case 'NotAllowedError':
      return 'The microphone was not allowed. Allow it for this page, by the sign in the address bar, and try again.';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'No such microphone was found. Plug one in and try again.';
    case 'NotReadableError':
      return 'The microphone is in use by another program, or broken.';
    default:
      return error instanceof Error ? error.message : String(error);
  }
}

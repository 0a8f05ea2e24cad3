import { useEffect, useState } from 'preact/hooks';
import type { Source } from './capture';
import { askPermission, explain, microphones } from './devices';

type People = Source['people'];

const CHOICES: [people: People, title: string, text: string][] = [
  ['one', 'Only me', 'One microphone; you are the agent.'],
  ['two', 'Two microphones', 'One for the agent, one for the customer.'],
  ['stereo', 'One device with two channels', 'The agent on the left, the customer on the right.'],
];

export interface SetupProps {
  name: string;
  begin: (source: Source, metadata: Record<string, string>) => Promise<void>;
}

export function Setup({ name, begin }: SetupProps) {
  const [people, setPeople] = useState<People>('one');
  const [devices, setDevices] = useState<MediaDeviceInfo[]>([]);
  const [chosen, setChosen] = useState({ agent: '', customer: '' });
  const [queue, setQueue] = useState('');
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);

  useEffect(() => {
    const list = () => void microphones().then(setDevices);
    list();
    navigator.mediaDevices.addEventListener('devicechange', list);
    return () => navigator.mediaDevices.removeEventListener('devicechange', list);
  }, []);

  const attempt = async (what: () => Promise<void>) => {
    setBusy(true);
    setFailure(null);
    await what().catch((error: unknown) => setFailure(explain(error)));
    setBusy(false);
  };

  const nameDevices = () =>
    attempt(async () => {
      await askPermission();
      setDevices(await microphones());
    });

  const submit = (event: Event) => {
    event.preventDefault();
    const { agent, customer } = chosen;
    const source: Source = people === 'two' ? { people, agent, customer } : { people, device: agent };
    const metadata: Record<string, string> = queue.trim() === '' ? {} : { queue: queue.trim() };
    void attempt(() => begin(source, metadata));
  };

  const same = people === 'two' && devices.length > 0 && chosen.agent === chosen.customer;
  return (
    <form class="panel setup" onSubmit={submit}>
      <h2>Speak into this browser</h2>
      <p class="muted">{name}, what you say is written down as a call of yours.</p>
      <fieldset>
        <legend>Who speaks</legend>
        {CHOICES.map(([value, title, text]) => (
          <label key={value} class="choice">
            <input type="radio" name="people" checked={people === value} onChange={() => setPeople(value)} />
            <span>
              {title} <span class="muted">{text}</span>
            </span>
          </label>
        ))}
      </fieldset>
      <Device label={people === 'two' ? "Agent's microphone" : 'Microphone'} devices={devices} value={chosen.agent} choose={(agent) => setChosen({ ...chosen, agent })} />
      {people === 'two' && (
        <Device label="Customer's microphone" devices={devices} value={chosen.customer} choose={(customer) => setChosen({ ...chosen, customer })} />
      )}
      {devices.length === 0 && (
        <button class="button" type="button" disabled={busy} onClick={nameDevices}>
          Show my microphones
        </button>
      )}
      <label class="label">
        Queue (optional)
        <input class="field" value={queue} maxLength={100} autocomplete="off" onInput={(event) => setQueue(event.currentTarget.value)} />
      </label>
      <div class="begin">
        <div role="alert">
          {failure !== null && <p class="failure">{failure}</p>}
          {same && <p class="failure">Choose a different microphone for each.</p>}
        </div>
        <button class="button primary" disabled={busy || same || (people === 'two' && devices.length === 0)}>
          {busy ? 'Starting' : 'Begin the call'}
        </button>
      </div>
    </form>
  );
}

function Device({ label, devices, value, choose }: { label: string; devices: MediaDeviceInfo[]; value: string; choose: (id: string) => void }) {
  return (
    <label class="label">
      {label}
      <select class="field" value={value} onChange={(event) => choose(event.currentTarget.value)}>
        <option value="">Default microphone</option>
        {devices
          .filter(({ deviceId }) => deviceId !== 'default')
          .map(({ deviceId, label: name }) => (
            <option key={deviceId} value={deviceId}>
              {name}
            </option>
          ))}
      </select>
    </label>
  );
}

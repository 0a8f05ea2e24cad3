import type { ComponentChildren } from 'preact';
import type { Measures } from '../wire';
import { span } from '../shared/time';
import { EvidenceButton, EvidenceTimes, type OnShow } from './evidence';
import { Sentiment } from './sentiment';
import type { Transcript } from './transcript-model';
import { NONE, percent, whole } from './words';

type Channel = Measures['channels'][number];

export function MeasureTable({ transcript, channels, onShow }: { transcript: Transcript; channels: string[]; onShow: OnShow }) {
  const { measures, scores, pace } = transcript;
  if (!measures) return null;
  const row = (title: string, cell: (channel: Channel, index: number) => ComponentChildren) => (
    <tr>
      <th scope="row">{title}</th>
      {measures.channels.map((channel, index) => (
        <td key={index} class="figures">
          {cell(channel, index)}
        </td>
      ))}
    </tr>
  );
  return (
    <section class="side-part" aria-label="Measures">
      <h2 class="side-title" title={`Measures ${measures.version}`}>
        Measures
      </h2>
      <table class="measures">
        <thead>
          <tr>
            <th>
              <span class="visually-hidden">Measure</span>
            </th>
            {measures.channels.map((_, index) => (
              <th key={index} scope="col">
                {channels[index] ?? `channel ${index}`}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {row('Sentiment', (_, index) => {
            const of = scores?.sentiment[index] ?? null;
            return (
              <EvidenceButton at={of?.lowest} onShow={onShow}>
                <Sentiment of={of} />
              </EvidenceButton>
            );
          })}
          {row('Talk', (channel) => percent(channel.talk_share))}
          {row('Words a minute', (channel) => (channel.words > 0 ? whole(channel.words_per_minute) : NONE))}
          {pace.length > 0 && row('Words a minute, now', (_, index) => whole(pace[index]?.words_per_minute ?? null))}
          {row('Longest monologue', ({ longest_monologue: of }) => (of ? span(of.end - of.start) : NONE))}
          {row('Interruptions', (channel) => (
            <>
              {channel.interruptions} <EvidenceTimes places={channel.interrupted_at.slice(0, 3)} onShow={onShow} />
            </>
          ))}
        </tbody>
      </table>
      <dl class="pairs figures">
        <div>
          <dt>Both at once</dt>
          <dd>{span(measures.overlap)}</dd>
        </div>
        <div>
          <dt>Dead air</dt>
          <dd>{span(measures.dead_air)}</dd>
        </div>
      </dl>
    </section>
  );
}

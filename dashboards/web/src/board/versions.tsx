import type { Transcript } from './transcript-model';

/** What the numbers were made with, for who wants to know why two calls differ. */
export function Versions({ transcript: { scores, measures, model } }: { transcript: Transcript }) {
  const known: [string, string | undefined | null][] = [
    ['Scorecard', scores?.scorecard && `${scores.scorecard.name} ${scores.scorecard.version}`],
    ['Scores', scores?.version],
    ['Measures', measures?.version],
    ['Words', model],
  ];
  return (
    <details class="side-part versions">
      <summary>Versions</summary>
      <dl>
        {known.map(
          ([name, version]) =>
            version && (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{version}</dd>
              </div>
            ),
        )}
      </dl>
    </details>
  );
}

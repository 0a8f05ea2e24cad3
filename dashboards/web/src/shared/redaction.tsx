import type { ComponentChildren } from 'preact';

const LABELS: Record<string, string> = {
  card: 'card number',
  'national-id': 'national id',
  account: 'account number',
  phone: 'phone number',
  'date-of-birth': 'date of birth',
  email: 'e-mail address',
  name: 'name',
  digits: 'digits',
};

export type Part = { text: string } | { marker: string; label: string };

const MARKER = new RegExp(`\\[(${Object.keys(LABELS).join('|')})\\]`, 'g');

/** Cuts text at what was hidden: `[card]` becomes a marker labelled "card number". */
export function parts(text: string): Part[] {
  const found: Part[] = [];
  let from = 0;
  for (const match of text.matchAll(MARKER)) {
    const marker = match[1] ?? '';
    if (match.index > from) found.push({ text: text.slice(from, match.index) });
    found.push({ marker, label: LABELS[marker] ?? marker });
    from = match.index + match[0].length;
  }
  if (from < text.length) found.push({ text: text.slice(from) });
  return found;
}

/** Text with what was hidden as chips; `render` may treat the text between them. */
export function Redacted({ text, render = (plain) => plain }: { text: string; render?: (plain: string) => ComponentChildren }) {
  return (
    <>
      {parts(text).map((part) =>
        'text' in part ? (
          render(part.text)
        ) : (
          <span class="redacted" title={`Hidden before it was kept: ${part.label}`}>
            {part.label}
          </span>
        ),
      )}
    </>
  );
}

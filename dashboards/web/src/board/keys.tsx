import { useLayoutEffect, useRef } from 'preact/hooks';
import { Store, useStore } from '../shared/store';

export const showKeys = new Store(false);

const KEYS: [string, string][] = [
  ['\u2191 \u2193', 'walk the list'],
  ['Home End', 'first and last call'],
  ['Enter', 'open the call'],
  ['Esc', 'close the call, leave the wall'],
  ['a', 'acknowledge the newest alert of the call'],
  ['/', 'search'],
  ['m', 'sound of alerts on or off'],
  ['w', 'wall'],
  ['n', 'next page of the wall'],
  ['?', 'these keys'],
];

export function Keys() {
  const shown = useStore(showKeys);
  const dialog = useRef<HTMLDialogElement>(null);
  // before the next key: an Esc right after `?` is the dialog's
  useLayoutEffect(() => {
    if (shown) dialog.current?.showModal();
    else dialog.current?.close();
  }, [shown]);
  return (
    <dialog ref={dialog} class="panel keys" aria-labelledby="keys-title" onCancel={() => showKeys.set(false)} onClose={(event) => showKeys.set(event.currentTarget.open)}>
      <h2 id="keys-title">Keys</h2>
      <dl>
        {KEYS.map(([key, meaning]) => (
          <div key={key}>
            <dt>
              {key.split(' ').map((one) => (
                <kbd key={one}>{one}</kbd>
              ))}
            </dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
      <form method="dialog">
        <button class="button">Close</button>
      </form>
    </dialog>
  );
}

/** Whether a key pressed here is meant for the page, not for a field, a dialog or the browser. */
export function isForPage(event: KeyboardEvent): boolean {
  const { target } = event;
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return false;
  return !(target instanceof HTMLElement && target.matches('input, select, textarea'));
}

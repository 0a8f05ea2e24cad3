import { useEffect } from 'preact/hooks';

/** Tells whether the pointer or the focus is among the rows. */
export function useHold(list: { current: HTMLElement | null }, onHeld: (held: boolean) => void) {
  useEffect(() => {
    const element = list.current?.querySelector('.rows');
    if (!element) return;
    let pointed = false;
    // a finger does not rest on a row as a pointer does
    const isPointer = (event: Event) => (event as PointerEvent).pointerType !== 'touch';
    const tell = () => onHeld(pointed || element.contains(document.activeElement));
    const listeners: [string, (event: Event) => void][] = [
      ['pointerenter', (event) => ((pointed = isPointer(event)), tell())],
      ['pointerleave', () => ((pointed = false), tell())],
      ['focusin', tell],
      ['focusout', () => queueMicrotask(tell)],
    ];
    for (const [name, listener] of listeners) element.addEventListener(name, listener);
    return () => {
      for (const [name, listener] of listeners) element.removeEventListener(name, listener);
      onHeld(false);
    };
  }, []);
}

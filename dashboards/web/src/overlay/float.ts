interface PictureInPicture {
  requestWindow(options: { width: number; height: number }): Promise<Window & typeof globalThis>;
}

declare global {
  interface Window {
    documentPictureInPicture?: PictureInPicture;
  }
}

export function canFloat(): boolean {
  return window.documentPictureInPicture !== undefined;
}

/** A small window that stays on top, with an empty element in it for the view; `closed` when it is closed. */
export async function openFloat(title: string, closed: () => void): Promise<{ window: Window & typeof globalThis; host: HTMLElement }> {
  if (window.documentPictureInPicture === undefined) throw new Error('this browser has no floating windows');
  const opened = await window.documentPictureInPicture.requestWindow({ width: 336, height: 560 });
  const { document } = opened;
  document.title = title;
  document.documentElement.lang = 'en';
  document.body.style.margin = '0';
  const host = document.createElement('div');
  host.style.inlineSize = '100%';
  document.body.append(host);
  opened.addEventListener('pagehide', closed, { once: true });
  return { window: opened, host };
}

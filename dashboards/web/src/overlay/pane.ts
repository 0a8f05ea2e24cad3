import tokens from '../style/tokens.css' with { type: 'text' };
import style from './overlay.shadow.css' with { type: 'text' };

/** A shadow root that the view can be in, and the window it is in. */
export interface Pane {
  window: Window & typeof globalThis;
  root: ShadowRoot;
}

export function dress(window: Pane['window'], root: ShadowRoot): Pane {
  // a sheet belongs to the document of the window that made it
  const sheet = new window.CSSStyleSheet();
  sheet.replaceSync(tokens + style);
  root.adoptedStyleSheets = [sheet];
  return { window, root };
}

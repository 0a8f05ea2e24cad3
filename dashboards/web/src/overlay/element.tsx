import { render } from 'preact';
import { Connection } from './connection';
import { canFloat, openFloat } from './float';
import { Model } from './model';
import { Painter } from './painter';
import { dress, type Pane } from './pane';
import { type Actions, Floating, View } from './view';

/**
 * `<sotto-overlay server="https://sotto.example" token="st_…" theme="light|dark|system">`: help for an agent during a call.
 * Without a token the session cookie is used.
 *
 * Events, with ids only: `sotto-call`, `sotto-moment`, `sotto-ended`; `sotto-token-needed` when the token has run out
 * and there is no `tokenProvider`.
 */
export class SottoOverlay extends HTMLElement {
  static readonly observedAttributes = ['server', 'token', 'theme'];

  /** Asked for a fresh token on every connect. A page may have set it before this script came. */
  tokenProvider: (() => Promise<string>) | null = (this as Partial<Pick<SottoOverlay, 'tokenProvider'>>).tokenProvider ?? null;

  private readonly home: Pane = dress(window, this.attachShadow({ mode: 'open' }));
  /** Where the view is: here, or in a floating window. */
  private pane = this.home;
  private readonly painter = new Painter(
    () => this.pane.window,
    () => this.paint(),
  );
  private model = this.newModel();
  private connection: Connection | null = null;
  private timer = 0;
  private stepsShown = false;

  private readonly actions: Actions = {
    dismiss: () => this.change(() => this.model.dismiss()),
    hold: (held) => this.change(() => this.model.hold(held)),
    toggleSteps: () => this.change(() => (this.stepsShown = !this.stepsShown)),
    retry: () => this.connection?.retry(),
    float: canFloat() ? () => void this.float() : null,
  };

  connectedCallback(): void {
    this.connection = new Connection(
      { url: () => `${this.server}/v1/overlay/live`, token: () => this.token(), renews: () => this.tokenProvider !== null },
      {
        link: (link) => {
          this.change(() => this.model.link(link));
          if (link.state === 'refused' && link.status === 401 && this.tokenProvider === null) this.tell('sotto-token-needed');
        },
        event: (name, data) => this.change(() => this.model.event(name, data)),
      },
    );
    document.addEventListener('visibilitychange', this.woken);
    window.addEventListener('online', this.woken);
    this.painter.ask();
  }

  disconnectedCallback(): void {
    this.connection?.stop();
    this.connection = null;
    document.removeEventListener('visibilitychange', this.woken);
    window.removeEventListener('online', this.woken);
    // nothing of a call is left in an element that a page keeps for later
    this.model = this.newModel();
    this.change(() => {});
    if (this.pane !== this.home) this.pane.window.close();
  }

  attributeChangedCallback(name: string): void {
    if (name === 'theme') this.applyTheme();
    else this.connection?.retry();
  }

  private get server(): string {
    return (this.getAttribute('server') ?? new URL(import.meta.url).origin).replace(/\/+$/, '');
  }

  private async token(): Promise<string | null> {
    return this.tokenProvider === null ? this.getAttribute('token') : this.tokenProvider();
  }

  private newModel(): Model {
    return new Model(({ type, ...detail }) => this.tell(type, detail));
  }

  private tell(type: string, detail: object = {}): void {
    this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true }));
  }

  private change(how: () => void): void {
    how();
    this.painter.ask();
    const { window } = this.pane;
    window.clearTimeout(this.timer);
    const due = this.model.due();
    if (due !== null) this.timer = window.setTimeout(() => this.change(() => this.model.settle()), Math.max(0, due - Date.now()));
  }

  /** The tab may have slept, and the agent may have logged in elsewhere. */
  private readonly woken = (): void => {
    this.change(() => this.model.settle());
    if (document.visibilityState === 'visible') this.connection?.retry();
  };

  private async float(): Promise<void> {
    if (this.pane !== this.home) return;
    const { window, host } = await openFloat('Sotto', () => this.moveTo(this.home));
    this.moveTo(dress(window, host.attachShadow({ mode: 'open' })));
  }

  private moveTo(pane: Pane): void {
    if (this.pane !== this.home) render(null, this.pane.root);
    this.pane.window.clearTimeout(this.timer);
    this.pane = pane;
    this.applyTheme();
    this.painter.moved();
    this.change(() => {});
  }

  private applyTheme(): void {
    const theme = this.getAttribute('theme');
    for (const { host } of new Set([this.home.root, this.pane.root])) {
      if (theme === 'light' || theme === 'dark') host.setAttribute('data-theme', theme);
      else host.removeAttribute('data-theme');
    }
  }

  private paint(): void {
    const { screen } = this.model;
    const login = this.hasAttribute('token') || this.tokenProvider !== null ? null : `${this.server}/login`;
    const floating = this.pane !== this.home;
    const actions = floating ? { ...this.actions, float: null } : this.actions;
    render(<View screen={screen} actions={actions} stepsShown={this.stepsShown} login={login} />, this.pane.root);
    if (floating) render(<Floating back={() => this.pane.window.close()} />, this.home.root);
  }
}

customElements.define('sotto-overlay', SottoOverlay);

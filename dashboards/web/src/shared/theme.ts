import { Store } from './store';

export type Theme = 'system' | 'light' | 'dark';

const THEMES: readonly Theme[] = ['system', 'light', 'dark'];

export const theme = new Store<Theme>(stored());

function stored(): Theme {
  const value = localStorage.getItem('theme');
  return THEMES.find((known) => known === value) ?? 'system';
}

/** Puts the theme on the page, and does so again whenever it is changed. */
export function followTheme(): void {
  const apply = () => {
    if (theme.value === 'system') delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = theme.value;
  };
  apply();
  theme.subscribe(apply);
}

export function nextTheme(): void {
  const next = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? 'system';
  localStorage.setItem('theme', next);
  theme.set(next);
}

import { render } from 'preact';
import { followTheme } from '../shared/theme';
import { App } from './app';
import './board.css';
import { loadSession } from './session';
import { allowSoundAfterGesture } from './sound';

followTheme();
allowSoundAfterGesture();
void loadSession();

const root = document.getElementById('app');
if (root) render(<App />, root);

import { render } from 'preact';
import { followTheme } from '../shared/theme';
import { App } from './app';
import './microphone.css';

followTheme();

const root = document.getElementById('app');
if (root) render(<App />, root);

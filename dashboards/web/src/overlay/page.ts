import { followTheme, theme } from '../shared/theme';
import './page.css';

followTheme();
document.querySelector('sotto-overlay')?.setAttribute('theme', theme.value);

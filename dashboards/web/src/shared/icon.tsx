// 16 px glyphs, drawn with the colour of the text. Levels differ by shape: circle, triangle, octagon.
const PATHS = {
  notice: 'M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11M8 7.5v3.5M8 5v.1',
  warning: 'M8 2.5L14.5 13.5H1.5ZM8 6.5v3.5M8 11.8v.1',
  urgent: 'M5.4 1.5H10.6L14.5 5.4V10.6L10.6 14.5H5.4L1.5 10.6V5.4ZM8 4.5v4.5M8 11.4v.1',
  rising: 'M4 12L12 4M6 4h6v6',
  falling: 'M4 4l8 8M12 6v6H6',
  check: 'M3 8.5L6.5 12L13 4.5',
  cross: 'M4 4l8 8M12 4l-8 8',
  open: 'M6 3.5L10.5 8L6 12.5',
  back: 'M10 3.5L5.5 8L10 12.5',
  down: 'M8 3v10M4 9l4 4l4-4',
  search: 'M7 2.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9M10.5 10.5L14 14',
  sound: 'M2.5 6v4H5l3.5 3V3L5 6ZM11 6a3 3 0 0 1 0 4M12.8 4a6 6 0 0 1 0 8',
  muted: 'M2.5 6v4H5l3.5 3V3L5 6ZM11 6.2l3.6 3.6M14.6 6.2l-3.6 3.6',
  system: 'M2 3h12v8H2ZM6 13.5h4',
  light: 'M8 5a3 3 0 1 0 0 6a3 3 0 1 0 0-6M8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1',
  dark: 'M13.5 9.5A6 6 0 1 1 6.5 2.5A5 5 0 0 0 13.5 9.5Z',
  wall: 'M2 3h12v10H2ZM2 8h12M8 3v10',
  keys: 'M1.5 4h13v8h-13ZM4 6.5h.1M7 6.5h.1M10 6.5h.1M12.5 6.5h.1M5 9.5h6',
  ring: 'M8 3a5 5 0 1 0 0 10a5 5 0 1 0 0-10',
  clock: 'M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11M8 5v3l2 2',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  );
}

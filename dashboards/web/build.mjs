// Builds the pages into dist/, which the binary embeds; with --tests the unit tests into build/tests/.
import { build } from 'esbuild';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';

const shared = { bundle: true, format: 'esm', target: 'es2022', jsx: 'automatic', jsxImportSource: 'preact', logLevel: 'warning' };

if (process.argv.includes('--tests')) {
  const files = await readdir('src', { recursive: true });
  const entryPoints = files.filter((file) => /\.test\.tsx?$/.test(file)).map((file) => `src/${file}`);
  await rm('build/tests', { recursive: true, force: true });
  await build({ ...shared, entryPoints, outdir: 'build/tests', platform: 'node', packages: 'external', sourcemap: 'inline' });
} else {
  await rm('dist', { recursive: true, force: true });
  await mkdir('dist/assets', { recursive: true });
  const pages = { ...shared, minify: true, legalComments: 'none', loader: { '.css': 'css', '.svg': 'file' }, outdir: 'dist/assets' };
  // charts are fetched when they are looked at
  await build({ ...pages, entryPoints: { board: 'src/board/main.tsx' }, splitting: true, chunkNames: 'board-[name]-[hash]' });
  await build({
    ...pages,
    // the overlay is one file that other pages embed: its style goes into the script as text
    entryPoints: {
      overlay: 'src/overlay/element.tsx',
      'overlay-page': 'src/overlay/page.ts',
      microphone: 'src/microphone/main.tsx',
      'microphone-worklet': 'src/microphone/worklet.ts',
    },
  });
  for (const page of ['index', 'overlay', 'microphone']) await cp(`src/pages/${page}.html`, `dist/${page}.html`);
  await cp('src/pages/icon.svg', 'dist/assets/icon.svg');
  for (const file of await readdir('dist', { recursive: true })) {
    if (/\.(html|js|css|svg)$/.test(file)) await writeFile(`dist/${file}.gz`, gzipSync(await readFile(`dist/${file}`), { level: 9 }));
  }
}

// Bundles the extension into dist/extension.js, and takes along the schema of the configuration. With --tests it bundles
// the tests into dist/test instead.
import { build } from 'esbuild';
import { copyFileSync, mkdirSync, readdirSync } from 'node:fs';

const tests = process.argv.includes('--tests');
if (tests) {
  await build({
    entryPoints: readdirSync('test').filter((name) => name.endsWith('.test.ts')).map((name) => `test/${name}`),
    outdir: 'dist/test', bundle: true, platform: 'node', target: 'node20', format: 'cjs', sourcemap: 'inline', logLevel: 'warning',
  });
  process.exit();
}

mkdirSync('schemas', { recursive: true });
copyFileSync('../../schemas/config.schema.json', 'schemas/config.schema.json');
copyFileSync('../../LICENSE', 'LICENSE');
await build({
  entryPoints: ['src/extension.ts'],
  outfile: 'dist/extension.js',
  bundle: true,
  platform: 'node',
  target: 'node18',
  format: 'cjs',
  external: ['vscode'],
  minify: process.argv.includes('--minify'),
  sourcemap: !process.argv.includes('--minify'),
  logLevel: 'warning',
});

// Bundles the extension into dist/extension.js, and takes along the schema of the configuration.
import { build } from 'esbuild';
import { copyFileSync, mkdirSync } from 'node:fs';

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

// The tests inside the extension host: makes their world, lends them the person before the window, and prints what they
// wrote, a line of JSON each.

import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { open, PATIENCE } from './person.mjs';
import { PROGRAM, World } from './world.mjs';

const world = new World();

/** Thirty lines, two of which can be louder. */
function text(name) {
  return `${Array.from({ length: 30 }, (_, line) => (line === 5 ? 'echo "quiet A"' : line === 20 ? 'echo "quiet B"' : `# ${name} ${line}`)).join('\n')}\n`;
}

// What the agent does for each task: in which files, and which of the two lines.
const wanted = {
  closed: [['closed.sh'], 'AB'], open: [['open.sh'], 'AB'], many: [['many-1.sh', 'many-2.sh', 'many-3.sh'], 'AB'],
  keep: [['keep.sh'], 'AB'], drop: [['drop.sh'], 'AB'], talk: [['talk.sh'], 'A'], rebase: [['rebase.sh'], 'A'],
};
const files = Object.fromEntries(Object.values(wanted).flatMap(([paths]) => paths).map((path) => [path, text(path)]));
const finished = { report: { type: 'finished', summary: 'louder' } };
const gate = join(world.folder, 'gate');
const tasks = Object.fromEntries(Object.entries(wanted).map(([name, [paths, letters]]) => [`${name}-5e1f0a`, {
  1: [{ run: { command: 'echo "I make it louder."' } }, ...paths.flatMap((path) => [...letters].map((letter) => ({ replace: { path, find: `quiet ${letter}`, with: `loud ${letter}` } }))), finished],
  // After a rebase the file has another word.
  '*': [{ replace: { path: paths[0], find: 'silent A', with: 'loud A' } }, finished],
}]));
// One that only begins when the tests start it, and waits for them.
tasks['last-5e1f0a'] = { '*': [{ run: { command: `n=0; until [ -e '${gate}' ] || [ $n -gt 3000 ]; do sleep 0.1; n=$((n + 1)); done` } }, { replace: { path: 'last.sh', find: 'quiet A', with: 'loud A' } }, finished] };
files['last.sh'] = text('last.sh');

const plan = Object.entries({ ...wanted, last: [['last.sh'], 'A'] }).map(([name, [paths]]) => ({
  id: `${name}-5e1f0a`, title: name[0].toUpperCase() + name.slice(1), acceptance: ['it is loud'], verify: [`grep -q "loud A" ${paths[0]}`],
}));

const pause = () => new Promise((resolve) => setTimeout(resolve, 100));

let person;
let bridge;
try {
  const root = world.repository('host', files, { planner: [{ report: { type: 'submit_plan', plan: { tasks: plan } } }], tasks });
  const ids = Object.keys(wanted).map((name) => `${name}-5e1f0a`);
  for (const args of [['trust', '--yes'], ['plan', 'Say it louder'], ['approve', ...ids, '--yes'], ['trust', '--yes'], ['run'], ['approve', 'last-5e1f0a', '--yes'], ['trust', '--yes']]) {
    world.ralph(root, ...args);
  }
  const results = join(world.folder, 'results.jsonl');
  writeFileSync(results, '');
  bridge = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const { method, args } = JSON.parse(body);
    const answer = await person[method](...args).then((result) => ({ result: result ?? null }), (error) => ({ error: error.message }));
    response.end(JSON.stringify(answer));
  });
  await new Promise((resolve) => bridge.listen(0, '127.0.0.1', resolve));
  world.env.TEST_HOST_SUITE = JSON.stringify({
    results, root, folder: world.folder, program: PROGRAM, patience: PATIENCE, parts: process.env.TEST_HOST_PARTS?.split(','), bridge: `http://127.0.0.1:${bridge.address().port}/`,
  });
  person = await open(await world.start({ helper: true }), root);
  const lines = () => readFileSync(results, 'utf8').split('\n').filter((line) => line !== '').map((line) => JSON.parse(line));
  // Each test gives up by itself; only where none ends for long nothing is to be expected any more.
  let told = 0;
  const tell = (line) => console.log(`TEST ${JSON.stringify(line)}`);
  for (let quiet = Date.now(); !lines().some(({ done }) => done); await pause()) {
    const all = lines();
    all.slice(told).forEach(tell);
    quiet = all.length > told ? Date.now() : quiet;
    told = all.length;
    if (Date.now() - quiet > 3 * PATIENCE) throw new Error('no test ended for long');
  }
  lines().slice(told).filter(({ done }) => !done).forEach(tell);
  // The last one is about the end of the window.
  const before = world.running('lsp');
  await person.close();
  for (const start = Date.now(); world.running('lsp').length > 0 && Date.now() - start < PATIENCE; ) await pause();
  const after = world.running('lsp');
  tell({ name: 'a window that closes ends its program', passed: before.length === 1 && after.length === 0, why: `before: ${before.join()}; after: ${after.join()}` });
} catch (error) {
  console.error(error);
  await person?.keep('failure').catch(() => undefined);
  process.exitCode = 1;
} finally {
  bridge?.close();
  await person?.close();
  await world.end();
}

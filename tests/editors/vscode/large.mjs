// A proposal of 2,000 hunks in 300 files, one of 50,000 lines: the review begins, goes on and accepts as quickly as ever.
// The milliseconds are printed; they depend on the machine, so nothing but the outcome is checked.

import { open } from './person.mjs';
import { World } from './world.mjs';

const [FILES, PER_FILE, LONG, IN_LONG] = [300, 6, 50_000, 206];
const id = 'say-it-louder-5e1f0a';
const files = {};
for (let number = 0; number < FILES - 1; number++) {
  files[`part/${String(number).padStart(3, '0')}.sh`] = Array.from({ length: PER_FILE * 12 }, (_, line) => (line % 12 === 6 ? `echo "quiet ${line}"` : `# ${number} ${line}`)).join('\n') + '\n';
}
files['part/long.sh'] = Array.from({ length: LONG }, (_, line) => (line % 240 === 100 && line / 240 < IN_LONG ? `echo "quiet ${line}"` : `echo ${line}`)).join('\n') + '\n';

const world = new World();
let person;
const spent = [];
async function timed(what, work) {
  const start = performance.now();
  await work();
  spent.push(`${what}: ${Math.round(performance.now() - start)} ms`);
  console.log(spent.at(-1));
}

try {
  const root = world.repository('loud', files, {
    planner: [{ report: { type: 'submit_plan', plan: { tasks: [{ id, title: 'Say it louder', acceptance: ['it is loud'], verify: ['grep -q loud part/000.sh'] }] } } }],
    tasks: { '*': { '*': [{ run: { command: "sed -i 's/quiet/loud/' part/*.sh" } }, { report: { type: 'finished', summary: 'louder' } }] } },
  });
  for (const args of [['trust', '--yes'], ['plan', 'Say it louder'], ['approve', '--all', '--yes'], ['trust', '--yes'], ['run']]) {
    world.ralph(root, ...args);
  }
  const all = (FILES - 1) * PER_FILE + IN_LONG;
  await timed('the workbench opens', async () => { person = await open(await world.start(), root); });
  const { page } = person;
  await timed('the hunks are counted', () => person.sees(`${all} hunks to review`));
  await person.command('View: Show Ralph');
  await person.sees('Say it louder');
  const verdicts = () => page.evaluate(() => [...document.querySelectorAll('.editor-instance .view-lines span[class*="ced-"]')]
    .filter((span) => /accepted/.test(getComputedStyle(span, '::after').content)).map((span) => span.closest('.view-line')?.textContent).join());
  const shows = (name) => person.until(name, async () => (await page.locator('.tab.active').getAttribute('data-resource-name', { timeout: 1000 })) === name && (await page.locator('.editor-instance .view-lines').first().innerText()).includes('loud'));
  await timed('the first hunk', async () => { await person.key('Control+k'); await person.key('h'); await shows('000.sh'); });
  await person.keep('large');
  for (const which of ['first', 'second', 'third']) {
    const before = await verdicts();
    await timed(`accept the ${which}`, async () => { await person.key('a'); await person.until('the verdict', async () => (await verdicts()) !== before); });
  }
  await timed('go on through the file to the next', async () => {
    for (let left = PER_FILE - 3; left > 0; left--) await person.key('n');
    await shows('001.sh');
  });
  await timed('three accepts on disk', () => person.until('it', () => world.read(root, 'part/000.sh').split('loud').length > 3));
  // The long one: by its place in the view.
  await person.key('Control+Shift+P');
  await person.key('Escape');
  await timed('the task opens in the view', async () => {
    await page.locator('.pane-body .monaco-list-row', { hasText: 'Say it louder' }).first().locator('.monaco-tl-twistie').click();
    await person.until('its files', async () => (await page.locator('.pane-body .monaco-list-row').count()) > 10);
  });
  await person.keep('large-view');
  const long = page.locator('.pane-body .monaco-list-row', { hasText: 'long.sh' });
  await person.until('the long file in the view', async () => {
    if ((await long.count()) > 0) return true;
    await page.locator('.pane-body .monaco-list').last().hover();
    await page.mouse.wheel(0, 2000);
    return false;
  });
  await timed('the file of 50,000 lines', async () => { await long.first().click(); await shows('long.sh'); });
  await person.keep('large-long');
  for (const which of ['first', 'second', 'third']) {
    const lines = page.locator('.editor-instance .view-lines').first();
    const before = await lines.innerText();
    await timed(`accept the ${which} of the long file, and see the next`, async () => {
      await person.key('a');
      await person.until('the next', async () => {
        const now = await lines.innerText();
        return now !== before && now.includes('loud');
      });
    });
  }
  await person.keep('large-accepted');
  await timed('all the rest at once', async () => {
    await person.command('Ralph: Accept All of the Task');
    await person.until('the task to be done', () => world.status(root).tasks[0].state === 'done');
  });
  await person.until('no dirty tab', async () => (await page.locator('.tab.dirty').count()) === 0);
  console.log('passed');
} catch (error) {
  console.error(error);
  await person?.keep('failure').catch(() => undefined);
  process.exitCode = 1;
} finally {
  await person?.close();
  await world.end();
}

// What becomes of a proposal of which not all was accepted.

const TASKS = { keep: 'keep-5e1f0a', drop: 'drop-5e1f0a', rebase: 'rebase-5e1f0a' };

exports['keep the accepted part: what was rejected is left out, and the task is done'] = async (bench) => {
  const [first] = bench.hunks(TASKS.keep);
  await bench.command('ralph.accept', bench.target(TASKS.keep, { hunks: [first] }));
  await bench.marked(TASKS.keep, 0, 'accepted');
  await bench.review(TASKS.keep, 'keep.sh');
  void bench.command('ralph.reject', bench.target(TASKS.keep, { hunks: [bench.hunks(TASKS.keep)[1]] }));
  await bench.marked(TASKS.keep, 1, 'rejected');
  await bench.command('ralph.keepAccepted', bench.target(TASKS.keep));
  await bench.until('the task to be done', () => bench.task(TASKS.keep).state === 'done');
  const text = bench.disk('keep.sh');
  bench.assert.ok(text.includes('loud A') && text.includes('quiet B'), text);
  await bench.until('the tab of the review to close', () => !bench.tabs().some((label) => label.includes('keep.sh')));
};

exports['drop the rest: nothing waits any more, and what was accepted stays'] = async (bench) => {
  const [first] = bench.hunks(TASKS.drop);
  await bench.command('ralph.accept', bench.target(TASKS.drop, { hunks: [first] }));
  await bench.marked(TASKS.drop, 0, 'accepted');
  await bench.command('ralph.dropRest', bench.target(TASKS.drop));
  await bench.until('nothing to wait', () => bench.task(TASKS.drop).state !== 'review');
  const text = bench.disk('drop.sh');
  bench.assert.ok(text.includes('loud A') && text.includes('quiet B'), text);
};

exports['a hunk that does not fit any more says so, and the agent is asked to rebase'] = async (bench) => {
  const { vscode, assert } = bench;
  const mine = await vscode.window.showTextDocument(bench.uri('rebase.sh'));
  const line = mine.document.lineAt(5).range;
  await mine.edit((edit) => edit.replace(line, 'echo "silent A"'));
  await mine.document.save();
  const { document } = await bench.review(TASKS.rebase, 'rebase.sh');
  await bench.until('the conflict', async () => {
    const lenses = await vscode.commands.executeCommand('vscode.executeCodeLensProvider', document.uri);
    const titles = lenses.map((lens) => lens.command.title.replaceAll('\u00a0', ' '));
    return titles.some((title) => title.includes('does not fit the text as it is now')) && titles.includes('$(sync) Ask the agent to rebase');
  });
  await bench.person('keep', 'conflict');
  await bench.command('ralph.rebase', bench.target(TASKS.rebase));
  await bench.until('the task to be ready', () => bench.task(TASKS.rebase).state === 'ready');
  await bench.command('ralph.start', { root: bench.rootUri.toString() });
  await bench.until('the second round', () => bench.task(TASKS.rebase).state === 'review' && bench.proposal(TASKS.rebase).round === 2);
  const editor = await bench.review(TASKS.rebase, 'rebase.sh');
  await bench.until('both lines', () => editor.document.getText().includes('silent A') && editor.document.getText().includes('loud A'));
  assert.match(editor.document.uri.path, /round 2/);
  await bench.command('ralph.accept');
  await bench.until('the accept on disk', () => bench.disk('rebase.sh').includes('loud A'));
  await bench.until('the task to be done', () => bench.task(TASKS.rebase).state === 'done');
  await bench.closeAll();
};

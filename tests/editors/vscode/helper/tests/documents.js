// The virtual documents: what stands in them, what stands above and beside their lines.

const lines = (text) => text.split('\n');

exports['a review document holds old and new lines together, and cannot be edited'] = async (bench) => {
  const { vscode, assert } = bench;
  const editor = await bench.review('keep-5e1f0a', 'keep.sh');
  const text = editor.document.getText();
  const base = lines(bench.disk('keep.sh'));
  const expected = base.flatMap((line) => (line.includes('quiet') ? [line, line.replace('quiet', 'loud')] : [line]));
  assert.deepEqual(lines(text), expected);
  assert.equal(editor.selection.active.line, expected.findIndex((line) => line.includes('loud A')));
  await bench.command('type', { text: 'x' });
  assert.equal(editor.document.getText(), text);
  assert.equal(editor.document.isDirty, false);
};

exports['lenses name each hunk, what can be done, and how far the review is'] = async (bench) => {
  const { vscode, assert } = bench;
  const { document } = await bench.review('keep-5e1f0a', 'keep.sh');
  const titles = async () => (await vscode.commands.executeCommand('vscode.executeCodeLensProvider', document.uri)).map((lens) => lens.command.title.replaceAll('\u00a0', ' '));
  const all = await titles();
  assert.match(all[0], /^Keep · 2 of 2 waiting · .*1 check failed before and passes now$/);
  for (const wanted of ['$(check) Accept', '$(close) Reject', '$(comment) Comment', 'Side by side']) {
    assert.equal(all.filter((title) => title === wanted).length, 2, `${wanted} in ${all.join(' | ')}`);
  }
  assert.deepEqual(all.filter((title) => /^hunk/.test(title)), ['hunk 1 of 2', 'hunk 2 of 2']);
};

exports['both sides of a comparison are the base and the proposal'] = async (bench) => {
  const { vscode, assert } = bench;
  await bench.review('keep-5e1f0a', 'keep.sh');
  await bench.command('ralph.sideBySide');
  const input = await bench.until('the comparison', () => {
    const { input } = vscode.window.tabGroups.activeTabGroup.activeTab;
    return input instanceof vscode.TabInputTextDiff && input;
  });
  const text = async (uri) => (await vscode.workspace.openTextDocument(uri)).getText();
  assert.equal(await text(input.original), bench.disk('keep.sh'));
  assert.equal(await text(input.modified), bench.disk('keep.sh').replaceAll('quiet', 'loud'));
  assert.equal(input.original.path, input.modified.path, 'one file, not a moved one');
  await bench.closeAll();
};

exports['the log of an attempt is a document'] = async (bench) => {
  await bench.command('ralph.showLog', { root: bench.rootUri.toString(), task: 'keep-5e1f0a' });
  const { document } = bench.vscode.window.activeTextEditor;
  bench.assert.equal(document.uri.scheme, 'ralph');
  await bench.until('its text', () => document.getText().includes('I make it louder.'));
  await bench.closeAll();
};

exports['a comment stands beside its line and can be taken back'] = async (bench) => {
  const { assert } = bench;
  await bench.review('talk-5e1f0a', 'talk.sh');
  await bench.command('ralph.comment', bench.target('talk-5e1f0a', { hunks: [bench.hunks('talk-5e1f0a')[0]], text: 'shorter, please' }));
  await bench.person('sees', 'shorter, please');
  const [comment] = bench.task('talk-5e1f0a').comments;
  assert.equal(comment.text, 'shorter, please');
  await bench.command('ralph.dropComment', { of: bench.target('talk-5e1f0a', { drop: comment.id }) });
  await bench.until('no comment', () => bench.task('talk-5e1f0a').comments.length === 0);
  await bench.until('no thread', async () => !(await bench.person('text')).includes('shorter, please'));
};

exports['the plus beside a hunk takes a comment of several lines'] = async (bench) => {
  await bench.review('talk-5e1f0a', 'talk.sh');
  await bench.person('plus', 'first line', 'second line');
  const comment = await bench.until('the comment', () => bench.task('talk-5e1f0a').comments.find(({ text }) => text.includes('second line')));
  bench.assert.equal(comment.text, 'first line\nsecond line');
  bench.assert.equal(comment.path, 'talk.sh');
  await bench.person('sees', 'goes with the next send back');
  await bench.person('keep', 'comment-lines');
  await bench.command('ralph.dropComment', { of: bench.target('talk-5e1f0a', { drop: comment.id }) });
  await bench.until('no comment', () => bench.task('talk-5e1f0a').comments.length === 0);
  await bench.closeAll();
};

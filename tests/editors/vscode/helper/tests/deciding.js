// Decisions: what they write, what they open, and what takes them back.

// The first hunk of each of three files that have two.
const FIRST = [0, 2, 4];

const loud = (text, letter) => text.replace(`quiet ${letter}`, `loud ${letter}`);

exports['an accept in a file that is not open writes it and opens no tab'] = async (bench) => {
  const { assert } = bench;
  await bench.closeAll();
  const before = bench.disk('closed.sh');
  const result = await bench.command('ralph.accept', bench.target('closed-5e1f0a', { hunks: bench.hunks('closed-5e1f0a').slice(0, 1) }));
  assert.equal(result.hunks.length, 1);
  assert.equal(bench.disk('closed.sh'), loud(before, 'A'));
  assert.deepEqual(bench.tabs(), []);
  assert.deepEqual(bench.vscode.workspace.textDocuments.filter(({ isDirty }) => isDirty).map(({ uri }) => uri.path), []);
  await bench.marked('closed-5e1f0a', 0, 'accepted');
};

exports['an undo takes that back'] = async (bench) => {
  await bench.command('ralph.undo');
  await bench.until('the file as before', () => bench.disk('closed.sh').includes('quiet A'));
  await bench.marked('closed-5e1f0a', 0, 'pending');
};

exports['an accept in an open file with unsaved changes is an edit, and nothing is saved'] = async (bench) => {
  const { vscode, assert } = bench;
  const onDisk = bench.disk('open.sh');
  const editor = await vscode.window.showTextDocument(bench.uri('open.sh'));
  await editor.edit((edit) => edit.insert(new vscode.Position(0, 0), '# mine\n'));
  await bench.command('ralph.accept', bench.target('open-5e1f0a', { hunks: bench.hunks('open-5e1f0a').slice(0, 1) }));
  assert.equal(editor.document.getText(), `# mine\n${loud(onDisk, 'A')}`);
  assert.equal(editor.document.isDirty, true);
  assert.equal(bench.disk('open.sh'), onDisk);
  await bench.marked('open-5e1f0a', 0, 'accepted');
};

exports['an undo takes the edit back and leaves what was typed'] = async (bench) => {
  const { vscode, assert } = bench;
  const { document } = vscode.window.activeTextEditor;
  await bench.command('ralph.undo');
  assert.equal(document.getText(), `# mine\n${bench.disk('open.sh')}`);
  await bench.marked('open-5e1f0a', 0, 'pending');
  assert.equal(document.isDirty, true);
  await bench.closeAll();
};

exports['an accept in an open file without unsaved changes is saved, and so is its undo'] = async (bench) => {
  const { vscode, assert } = bench;
  const onDisk = bench.disk('open.sh');
  const { document } = await vscode.window.showTextDocument(bench.uri('open.sh'));
  await bench.command('ralph.accept', bench.target('open-5e1f0a', { hunks: bench.hunks('open-5e1f0a').slice(0, 1) }));
  assert.equal(document.isDirty, false);
  assert.equal(bench.disk('open.sh'), loud(onDisk, 'A'));
  await bench.marked('open-5e1f0a', 0, 'accepted');
  await bench.command('ralph.undo');
  await bench.marked('open-5e1f0a', 0, 'pending');
  assert.equal(document.isDirty, false);
  assert.equal(bench.disk('open.sh'), onDisk);
};

exports['an undo says what to press where a file was changed since'] = async (bench) => {
  const { vscode, assert } = bench;
  const editor = await vscode.window.showTextDocument(bench.uri('open.sh'));
  await bench.command('ralph.accept', bench.target('open-5e1f0a', { hunks: bench.hunks('open-5e1f0a').slice(0, 1) }));
  await editor.edit((edit) => edit.insert(new vscode.Position(0, 0), '# since\n'));
  const text = editor.document.getText();
  // The command ends when the message is closed.
  void bench.command('ralph.undo');
  await bench.person('sees', 'open.sh was changed since it was accepted in: Undo in that file (Ctrl+Z)');
  assert.equal(editor.document.getText(), text);
  await bench.command('notifications.clearAll');
  await bench.command('undo');
  await bench.command('undo');
  await bench.marked('open-5e1f0a', 0, 'pending');
  await editor.document.save();
  await bench.closeAll();
};

exports['one undo takes back an accept of many files, open and closed'] = async (bench) => {
  const { vscode, assert } = bench;
  const files = ['many-1.sh', 'many-2.sh', 'many-3.sh'];
  const { document } = await vscode.window.showTextDocument(bench.uri(files[0]));
  const hunks = bench.hunks('many-5e1f0a');
  await bench.command('ralph.accept', bench.target('many-5e1f0a', { hunks: FIRST.map((number) => hunks[number]) }));
  await bench.until('all on disk', () => files.every((file) => bench.disk(file).includes('loud A')));
  for (const number of FIRST) {
    await bench.marked('many-5e1f0a', number, 'accepted');
  }
  assert.deepEqual(bench.tabs(), ['many-1.sh']);
  assert.equal(document.isDirty, false);
  await bench.command('ralph.undo');
  await bench.until('all as before', () => files.every((file) => bench.disk(file).includes('quiet A')));
  for (const number of FIRST) {
    await bench.marked('many-5e1f0a', number, 'pending');
  }
  assert.equal(document.isDirty, false);
  await bench.closeAll();
};

exports['a rejection is told with its reason, and taken back'] = async (bench) => {
  const [hunk] = bench.hunks('talk-5e1f0a');
  await bench.command('ralph.reject', bench.target('talk-5e1f0a', { hunks: [hunk], why: 'too loud' }));
  await bench.until('the rejection', () => bench.proposal('talk-5e1f0a').hunks[0].why === 'too loud');
  await bench.command('ralph.undo');
  await bench.marked('talk-5e1f0a', 0, 'pending');
};

exports['a decision in a review goes on to the next hunk at once'] = async (bench) => {
  const { assert } = bench;
  const editor = await bench.review('keep-5e1f0a', 'keep.sh');
  const at = () => editor.document.lineAt(editor.selection.active.line).text;
  assert.equal(at(), 'echo "loud A"');
  await bench.command('ralph.accept');
  assert.equal(at(), 'echo "loud B"');
  await bench.marked('keep-5e1f0a', 0, 'accepted');
  await bench.command('ralph.undo');
  await bench.marked('keep-5e1f0a', 0, 'pending');
};

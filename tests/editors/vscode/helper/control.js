// The control for the times of a review: the least an extension can do on a key. One key paints one mark and moves
// the cursor, the other shows a document that is open already and colours a line of it. What these take, the workbench
// takes, whoever asks.

const DOCUMENTS = 5;
const LINES = 40;

exports.register = (vscode) => {
  const uriOf = (number) => vscode.Uri.from({ scheme: 'helper', path: `/control-${number}.sh` });
  const text = (uri) => `${Array.from({ length: LINES }, (_, line) => `echo "${uri.path.slice(1)} ${line}"`).join('\n')}\n`;
  const mark = vscode.window.createTextEditorDecorationType({ after: { contentText: '✓ control', margin: '0 0 0 2em' } });
  const colour = vscode.window.createTextEditorDecorationType({ isWholeLine: true, backgroundColor: new vscode.ThemeColor('diffEditor.insertedLineBackground') });
  const marked = new Map();
  let number = 0;
  const show = async () => {
    const editor = await vscode.window.showTextDocument(await vscode.workspace.openTextDocument(uriOf(number)), { preview: true });
    editor.setDecorations(colour, [new vscode.Range(2, 0, 2, 0)]);
  };
  return [
    mark, colour,
    vscode.workspace.registerTextDocumentContentProvider('helper', { provideTextDocumentContent: text }),
    vscode.commands.registerCommand('helper.open', async () => {
      for (let other = 0; other < DOCUMENTS; other++) {
        await vscode.workspace.openTextDocument(uriOf(other));
      }
      await show();
    }),
    vscode.commands.registerCommand('helper.mark', () => {
      const editor = vscode.window.activeTextEditor;
      const lines = (marked.get(number) ?? 0) + 1;
      marked.set(number, lines);
      editor.selection = new vscode.Selection(lines + 1, 0, lines + 1, 0);
      editor.setDecorations(mark, Array.from({ length: lines }, (_, line) => new vscode.Range(line, 1000, line, 1000)));
    }),
    vscode.commands.registerCommand('helper.next', () => {
      number = (number + 1) % DOCUMENTS;
      return show();
    }),
  ];
};

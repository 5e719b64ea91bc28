// The review: a read-only document per file with old and new lines together, one key per hunk.

import * as vscode from 'vscode';
import { difference, merge, type Merged } from './merged';
import { type Model, isPending, type Place } from './model';
import type { ProposalFileResult, ProposalResult } from './protocol';
import type { Server } from './server';

export const SCHEME = 'ralph-review';

interface Shown {
  root: string;
  proposal: ProposalResult;
  file: ProposalFileResult;
  merged: Merged;
}

/** The document in which a file of a proposal is reviewed. Its path ends like the file's, for the colours. */
function reviewUri(root: string, task: string, path: string): vscode.Uri {
  return vscode.Uri.from({ scheme: SCHEME, path: `/${task}/${path}`, query: JSON.stringify({ root, task, path }) });
}

function decoration(added: boolean): vscode.TextEditorDecorationType {
  const side = added ? 'inserted' : 'removed';
  return vscode.window.createTextEditorDecorationType({
    isWholeLine: true,
    backgroundColor: new vscode.ThemeColor(`diffEditor.${side}LineBackground`),
    overviewRulerColor: new vscode.ThemeColor(`diffEditorOverview.${side}Foreground`),
    overviewRulerLane: vscode.OverviewRulerLane.Full,
    before: { contentText: added ? '+' : '-', width: '1.2em', color: new vscode.ThemeColor('descriptionForeground') },
  });
}

function emphasis(added: boolean): vscode.TextEditorDecorationType {
  const side = added ? 'inserted' : 'removed';
  return vscode.window.createTextEditorDecorationType({
    backgroundColor: new vscode.ThemeColor(`diffEditor.${side}TextBackground`),
  });
}

/** As much of a text as has room beside the other lenses. */
function oneLine(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > 120 ? `${line.slice(0, 119)}…` : line;
}

export class Review implements vscode.TextDocumentContentProvider, vscode.CodeLensProvider, vscode.Disposable {
  private readonly shown = new Map<string, Shown>();
  private readonly contentChanged = new vscode.EventEmitter<vscode.Uri>();
  readonly onDidChange = this.contentChanged.event;
  private readonly lensesChanged = new vscode.EventEmitter<void>();
  readonly onDidChangeCodeLenses = this.lensesChanged.event;
  private readonly same = vscode.window.createTextEditorDecorationType({ before: { contentText: '', width: '1.2em' } });
  private readonly old = decoration(false);
  private readonly fresh = decoration(true);
  private readonly oldWords = emphasis(false);
  private readonly freshWords = emphasis(true);
  private readonly waiting = vscode.window.createTextEditorDecorationType({
    isWholeLine: true,
    borderColor: new vscode.ThemeColor('editorGutter.modifiedBackground'),
    borderStyle: 'solid',
    borderWidth: '0 0 0 2px',
    overviewRulerColor: new vscode.ThemeColor('editorGutter.modifiedBackground'),
    overviewRulerLane: vscode.OverviewRulerLane.Left,
  });
  private readonly disposables: vscode.Disposable[];

  constructor(private readonly server: Server, private readonly model: Model) {
    this.disposables = [
      this.contentChanged, this.lensesChanged, this.same, this.old, this.fresh, this.oldWords, this.freshWords, this.waiting,
      vscode.workspace.registerTextDocumentContentProvider(SCHEME, this),
      vscode.languages.registerCodeLensProvider({ scheme: SCHEME }, this),
      model.onChange(() => this.update()),
      vscode.window.onDidChangeVisibleTextEditors(() => this.decorate()),
      vscode.workspace.onDidChangeTextDocument((event) => {
        if (event.document.uri.scheme === SCHEME) {
          this.decorate();
          this.lensesChanged.fire();
        }
      }),
      vscode.workspace.onDidCloseTextDocument((document) => this.shown.delete(document.uri.toString())),
    ];
  }

  dispose(): void {
    vscode.Disposable.from(...this.disposables).dispose();
  }

  async provideTextDocumentContent(uri: vscode.Uri): Promise<string> {
    const { root, task, path } = JSON.parse(uri.query) as { root: string; task: string; path: string };
    const proposal = this.model.proposal(root, task);
    const file = proposal?.files.find((file) => file.path === path);
    if (!proposal || !file) {
      const kept = this.shown.get(uri.toString());
      this.shown.delete(uri.toString());
      return kept ? kept.merged.lines.filter((_, line) => kept.merged.kinds[line] !== 'old').join('\n') : '';
    }
    const open = vscode.workspace.textDocuments.find((document) => document.uri.toString() === file.uri);
    const text = open ? open.getText() : await this.server.content(file.baseUri).catch(() => '');
    const merged = merge(text, file.hunks.filter(isPending));
    this.shown.set(uri.toString(), { root, proposal, file, merged });
    return `${merged.lines.join('\n')}\n`;
  }

  provideCodeLenses(document: vscode.TextDocument): vscode.CodeLens[] {
    const shown = this.shown.get(document.uri.toString());
    if (!shown) {
      return [];
    }
    const all = shown.proposal.files.flatMap((file) => file.hunks);
    return shown.merged.hunks.flatMap(({ hunk, start }) => {
      const range = new vscode.Range(start, 0, start, 0);
      const target = { root: shown.root, task: shown.proposal.task, hunks: [hunk.id] };
      const place = `hunk ${all.findIndex((other) => other.id === hunk.id) + 1} of ${all.length}`;
      const why = hunk.weakensTest ?? (hunk.state === 'conflict' ? 'does not fit the text as it is now' : undefined);
      const lens = (title: string, command: string) => new vscode.CodeLens(range, { title, command, arguments: [target] });
      return [
        lens('$(check) Accept', 'ralph.accept'),
        lens('$(close) Reject', 'ralph.reject'),
        lens('$(comment) Comment', 'ralph.comment'),
        lens('Side by side', 'ralph.sideBySide'),
        lens(`${place}${why ? ` $(warning) ${why}` : ''}`, 'ralph.reviewAll'),
        ...hunk.findings.map((finding) => lens(`$(comment-unresolved) ${oneLine(finding)}`, 'ralph.comment')),
      ];
    });
  }

  private update(): void {
    for (const document of vscode.workspace.textDocuments) {
      if (document.uri.scheme === SCHEME) {
        this.contentChanged.fire(document.uri);
      }
    }
    this.decorate();
    this.lensesChanged.fire();
  }

  private decorate(): void {
    for (const editor of vscode.window.visibleTextEditors) {
      if (editor.document.uri.scheme === SCHEME) {
        this.decorateReview(editor);
      } else if (editor.document.uri.scheme === 'file') {
        this.decorateFile(editor);
      }
    }
  }

  private decorateReview(editor: vscode.TextEditor): void {
    const shown = this.shown.get(editor.document.uri.toString());
    const of = (kind: string) => (shown?.merged.kinds ?? []).flatMap((found, line) => (found === kind ? [new vscode.Range(line, 0, line, 0)] : []));
    editor.setDecorations(this.same, of('same'));
    editor.setDecorations(this.old, of('old'));
    editor.setDecorations(this.fresh, of('new'));
    const [oldWords, freshWords]: [vscode.Range[], vscode.Range[]] = [[], []];
    for (const { start, end } of shown?.merged.hunks ?? []) {
      const { kinds, lines } = (shown as Shown).merged;
      const rows = Array.from({ length: end - start }, (_, index) => start + index);
      const [before, after] = [rows.filter((row) => kinds[row] === 'old'), rows.filter((row) => kinds[row] === 'new')];
      before.slice(0, after.length).forEach((row, index) => {
        const other = after[index] as number;
        const found = difference(lines[row] as string, lines[other] as string);
        oldWords.push(new vscode.Range(row, found.old[0], row, found.old[1]));
        freshWords.push(new vscode.Range(other, found.text[0], other, found.text[1]));
      });
    }
    editor.setDecorations(this.oldWords, oldWords);
    editor.setDecorations(this.freshWords, freshWords);
  }

  /** Marks where hunks wait in the ordinary document. Hover and quick fixes are the server's. */
  private decorateFile(editor: vscode.TextEditor): void {
    const uri = editor.document.uri.toString();
    const places = this.model.pending().filter((place) => place.file.uri === uri);
    editor.setDecorations(this.waiting, places.map(({ hunk }) => new vscode.Range(hunk.startLine, 0, Math.max(hunk.endLine - 1, hunk.startLine), 0)));
  }

  /** The hunk at the cursor of the active review, or the first after it. */
  atCursor(): Place | undefined {
    const editor = vscode.window.activeTextEditor;
    const shown = editor && this.shown.get(editor.document.uri.toString());
    if (!editor || !shown) {
      return undefined;
    }
    const line = editor.selection.active.line;
    const found = shown.merged.hunks.find(({ end }) => end > line) ?? shown.merged.hunks[shown.merged.hunks.length - 1];
    return found && { root: shown.root, proposal: shown.proposal, file: shown.file, hunk: found.hunk };
  }

  /** The file of the active review. */
  activeFile(): Shown | undefined {
    const editor = vscode.window.activeTextEditor;
    return editor && this.shown.get(editor.document.uri.toString());
  }

  /** Shows the hunk in its review document, the cursor on it. */
  async show(place: Place): Promise<void> {
    const uri = reviewUri(place.root, place.proposal.task, place.file.path);
    const document = await vscode.workspace.openTextDocument(uri);
    const editor = await vscode.window.showTextDocument(document, { preview: true });
    this.reveal(editor, place);
    this.decorate();
  }

  private reveal(editor: vscode.TextEditor, place: Place): void {
    const found = this.shown.get(editor.document.uri.toString())?.merged.hunks.find(({ hunk }) => hunk.id === place.hunk.id);
    if (found) {
      const range = new vscode.Range(found.start, 0, found.start, 0);
      editor.selection = new vscode.Selection(range.start, range.start);
      editor.revealRange(range, vscode.TextEditorRevealType.InCenterIfOutsideViewport);
    }
  }

  /** Goes to the next hunk or the one before, through files and tasks. */
  async move(direction: 1 | -1): Promise<void> {
    const all = this.model.pending();
    const editor = vscode.window.activeTextEditor;
    const shown = this.activeFile();
    if (editor && shown) {
      const line = editor.selection.active.line;
      const hunks = shown.merged.hunks;
      const inside = direction > 0 ? hunks.find(({ start }) => start > line) : [...hunks].reverse().find(({ start }) => start < line);
      if (inside) {
        return this.reveal(editor, { ...shown, hunk: inside.hunk });
      }
    }
    const here = this.atCursor();
    const at = here ? all.findIndex((place) => place.hunk.id === here.hunk.id) : direction > 0 ? -1 : all.length;
    const next = all[at + direction];
    if (next) {
      await this.show(next);
    } else {
      vscode.window.setStatusBarMessage(all.length === 0 ? 'Ralph: nothing waits for review' : 'Ralph: no more hunks that way', 5000);
    }
  }

  /** After a decision: on to what waits next, at the same place of the order. */
  async goOn(decided: Place[], order: Place[]): Promise<void> {
    const gone = new Set(decided.map((place) => place.hunk.id));
    await this.model.refresh();
    const left = new Set(this.model.pending().map((place) => place.hunk.id));
    const at = order.findIndex((place) => gone.has(place.hunk.id));
    const next = [...order.slice(at + 1), ...order.slice(0, Math.max(at, 0))].find((place) => left.has(place.hunk.id));
    const fresh = next && this.model.pending().find((place) => place.hunk.id === next.hunk.id);
    if (fresh) {
      await this.show(fresh);
    } else {
      vscode.window.setStatusBarMessage('Ralph: everything is decided', 8000);
      await this.closeEmpty();
    }
  }

  private async closeEmpty(): Promise<void> {
    const tabs = vscode.window.tabGroups.all.flatMap((group) => group.tabs);
    const reviews = tabs.filter((tab) => tab.input instanceof vscode.TabInputText && tab.input.uri.scheme === SCHEME);
    await vscode.window.tabGroups.close(reviews);
  }
}

// The colours of a review document: old and new lines, the words that differ in them, and what was made of each hunk.

import * as vscode from 'vscode';
import { difference, endOf, type Merged } from './merged';
import type { Mark } from './proposals';

function sign(text: string, colour: string): vscode.Uri {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><text x="8" y="12.5" text-anchor="middle" font-family="monospace" font-size="15" font-weight="bold" fill="${colour}">${text}</text></svg>`;
  return vscode.Uri.parse(`data:image/svg+xml;base64,${Buffer.from(svg).toString('base64')}`);
}

// The sign is in the margin: one before the text of every line would cost a decoration per unchanged line.
function side(added: boolean): vscode.TextEditorDecorationType {
  const name = added ? 'inserted' : 'removed';
  const [text, dark, light] = added ? ['+', '#73c991', '#2e7d32'] : ['−', '#f48771', '#b32d1b'];
  return vscode.window.createTextEditorDecorationType({
    isWholeLine: true,
    backgroundColor: new vscode.ThemeColor(`diffEditor.${name}LineBackground`),
    overviewRulerColor: new vscode.ThemeColor(`diffEditorOverview.${name}Foreground`),
    overviewRulerLane: vscode.OverviewRulerLane.Full,
    dark: { gutterIconPath: sign(text as string, dark as string) },
    light: { gutterIconPath: sign(text as string, light as string) },
    gutterIconSize: 'contain',
  });
}

function words(added: boolean): vscode.TextEditorDecorationType {
  const name = added ? 'inserted' : 'removed';
  return vscode.window.createTextEditorDecorationType({ backgroundColor: new vscode.ThemeColor(`diffEditor.${name}TextBackground`) });
}

function verdict(text: string, colour: string): vscode.TextEditorDecorationType {
  return vscode.window.createTextEditorDecorationType({
    after: { contentText: text, margin: '0 0 0 2em', color: new vscode.ThemeColor(colour), fontStyle: 'italic' },
  });
}

function lines(start: number, end: number): vscode.Range[] {
  return end > start ? [new vscode.Range(start, 0, end - 1, 0)] : [];
}

/** What is painted, made once per window. Each message to the window costs time before the next frame, so nothing is sent twice. */
export class Paint implements vscode.Disposable {
  // What an editor shows: of the lines, and of each type that changes with decisions.
  private readonly linesOf = new WeakMap<vscode.TextEditor, { merged: Merged; version: number }>();
  private readonly shown = new WeakMap<vscode.TextEditor, Map<vscode.TextEditorDecorationType, string>>();
  private readonly old = side(false);
  private readonly fresh = side(true);
  private readonly oldWords = words(false);
  private readonly freshWords = words(true);
  private readonly dimmed = vscode.window.createTextEditorDecorationType({
    isWholeLine: true, opacity: '0.5', backgroundColor: new vscode.ThemeColor('editor.background'),
  });
  private readonly verdicts: Record<Exclude<Mark, 'pending'>, vscode.TextEditorDecorationType> = {
    accepted: verdict('✓ accepted', 'testing.iconPassed'),
    rejected: verdict('✗ rejected', 'testing.iconFailed'),
  };
  private readonly changed = verdict('changed since the last round', 'editorCodeLens.foreground');
  private readonly waiting = vscode.window.createTextEditorDecorationType({
    isWholeLine: true,
    borderColor: new vscode.ThemeColor('editorGutter.modifiedBackground'),
    borderStyle: 'solid',
    borderWidth: '0 0 0 2px',
    overviewRulerColor: new vscode.ThemeColor('editorGutter.modifiedBackground'),
    overviewRulerLane: vscode.OverviewRulerLane.Left,
  });

  dispose(): void {
    vscode.Disposable.from(this.old, this.fresh, this.oldWords, this.freshWords, this.dimmed, this.changed, this.waiting,
      ...Object.values(this.verdicts)).dispose();
  }

  private set(editor: vscode.TextEditor, type: vscode.TextEditorDecorationType, ranges: vscode.Range[]): void {
    const shown = this.shown.get(editor) ?? new Map<vscode.TextEditorDecorationType, string>();
    this.shown.set(editor, shown);
    // Of a text that changed since, nobody knows where the ranges are now.
    const key = ranges.length > 0 ? [editor.document.version, ...ranges.map(({ start, end }) => `${start.line}-${end.line}`)].join() : '';
    if ((shown.get(type) ?? '') !== key) {
      shown.set(type, key);
      editor.setDecorations(type, ranges);
    }
  }

  /** Paints what stays as it is while hunks are decided. */
  lines(editor: vscode.TextEditor, merged: Merged): void {
    const { version } = editor.document;
    const shown = this.linesOf.get(editor);
    if (shown?.merged === merged && shown.version === version) {
      return;
    }
    this.linesOf.set(editor, { merged, version });
    editor.setDecorations(this.old, merged.spots.flatMap((spot) => lines(spot.start, spot.fresh)));
    editor.setDecorations(this.fresh, merged.spots.flatMap((spot) => lines(spot.fresh, spot.end)));
    const [oldWords, freshWords]: [vscode.Range[], vscode.Range[]] = [[], []];
    for (const { start, fresh, end } of merged.spots) {
      for (let index = 0; start + index < fresh && fresh + index < end; index++) {
        const [before, after] = [start + index, fresh + index];
        const found = difference(merged.lines[before] as string, merged.lines[after] as string);
        oldWords.push(new vscode.Range(before, found.old[0], before, found.old[1]));
        freshWords.push(new vscode.Range(after, found.text[0], after, found.text[1]));
      }
    }
    editor.setDecorations(this.oldWords, oldWords);
    editor.setDecorations(this.freshWords, freshWords);
  }

  /** Paints what was made of each hunk. */
  marks(editor: vscode.TextEditor, merged: Merged, markOf: (id: string) => Mark, isChanged: (id: string) => boolean): void {
    const of = (mark: Mark) => merged.spots.filter((spot) => markOf(spot.id) === mark);
    // Behind the first line, where the eye is.
    const behind = (line: number) => new vscode.Range(line, Number.MAX_SAFE_INTEGER, line, Number.MAX_SAFE_INTEGER);
    this.set(editor, this.verdicts.accepted, of('accepted').map((spot) => behind(spot.start)));
    this.set(editor, this.verdicts.rejected, of('rejected').map((spot) => behind(spot.start)));
    this.set(editor, this.dimmed, [...of('accepted'), ...of('rejected')].flatMap((spot) => lines(spot.start, endOf(spot))));
    this.set(editor, this.changed, of('pending').filter((spot) => isChanged(spot.id)).map((spot) => behind(spot.start)));
  }

  /** Marks where hunks wait in an ordinary document; `places` are lines of it. */
  waits(editor: vscode.TextEditor, places: { startLine: number; endLine: number }[]): void {
    this.set(editor, this.waiting, places.map(({ startLine, endLine }) => new vscode.Range(startLine, 0, Math.max(endLine - 1, startLine), 0)));
  }
}

// The review: a read-only document per file with old and new lines together, and the way from one hunk to the next.
//
// Such a document shows the base with all hunks of the proposal and does not change while they are decided: nothing jumps
// under the person's eyes, and a decision is painted before the server has heard of it.

import * as vscode from 'vscode';
import { describe, headline, oneLine } from './labels';
import { caretOf, endOf, merge, type Merged, type Spot, spotAt } from './merged';
import type { Model } from './model';
import { Paint } from './paint';
import { nextAfter, type Place } from './proposals';
import type { ProposalFileResult, ProposalHunk, ProposalResult } from './protocol';
import type { Server } from './server';
import { type ReviewOf, reviewOf, reviewUri, SCHEME } from './uris';

// With more hunks in a file than this, the lenses of those far from the cursor are left out: each makes room of its own.
const LENSES = 60;
// Milliseconds a frame of the window takes.
const FRAME = 17;

export interface Shown {
  of: ReviewOf;
  merged: Merged;
  hunks: ProposalHunk[];
}

interface Current extends Shown {
  proposal: ProposalResult;
  file: ProposalFileResult;
}

export class Review implements vscode.TextDocumentContentProvider, vscode.CodeLensProvider, vscode.Disposable {
  private readonly shown = new Map<string, Shown>();
  private readonly contentChanged = new vscode.EventEmitter<vscode.Uri>();
  readonly onDidChange = this.contentChanged.event;
  private readonly lensesChanged = new vscode.EventEmitter<void>();
  readonly onDidChangeCodeLenses = this.lensesChanged.event;
  private readonly drawn = new vscode.EventEmitter<void>();
  /** Fires when review documents were made or painted again. */
  readonly onDraw = this.drawn.event;
  private readonly paint = new Paint();
  // The hunk the review is about to show, or showed last; the cursor alone does not tell two on the same line apart.
  private current: Place | undefined;
  private turning: Promise<void> | undefined;
  private lensesAt = 0;
  // What the lenses were made from last.
  private lensesOn = '';
  private readonly disposables: vscode.Disposable[];

  constructor(private readonly server: Server, private readonly model: Model) {
    this.disposables = [
      this.contentChanged, this.lensesChanged, this.drawn, this.paint,
      vscode.workspace.registerTextDocumentContentProvider(SCHEME, this),
      vscode.languages.registerCodeLensProvider({ scheme: SCHEME }, this),
      // The word at the cursor is not what is looked at, and marking it everywhere takes long in a long file: a mark
      // without width keeps the editor from that.
      vscode.languages.registerDocumentHighlightProvider({ scheme: SCHEME }, {
        provideDocumentHighlights: (_, at) => [new vscode.DocumentHighlight(new vscode.Range(at, at))],
      }),
      model.onChange(() => this.update()),
      model.onMark(() => this.marked()),
      vscode.window.onDidChangeVisibleTextEditors(() => this.draw()),
      vscode.window.onDidChangeTextEditorSelection(({ textEditor }) => this.lensesFollow(textEditor)),
      vscode.workspace.onDidChangeTextDocument((event) => {
        if (event.document.uri.scheme === SCHEME) {
          this.draw();
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
    const of = reviewOf(uri);
    const found = of && this.find(of);
    if (!found) {
      // A tab of an earlier window, whose proposal is gone.
      return this.shown.get(uri.toString())?.merged.lines.join('\n') ?? '';
    }
    const base = found.file.hunks.some((hunk) => hunk.kind === 'create') ? '' : await this.server.content(found.file.baseUri).catch(() => '');
    const merged = merge(base, found.file.hunks);
    this.shown.set(uri.toString(), { of, merged, hunks: found.file.hunks });
    return `${merged.lines.join('\n')}\n`;
  }

  private find(of: ReviewOf): { proposal: ProposalResult; file: ProposalFileResult } | undefined {
    const proposal = this.model.proposal(of.root, of.task);
    const file = proposal?.files.find((file) => file.path === of.path);
    return proposal && file && proposal.round === of.round ? { proposal, file } : undefined;
  }

  /** What a review document shows, with its proposal as it is now. */
  at(uri: vscode.Uri | undefined): Current | undefined {
    const shown = uri && this.shown.get(uri.toString());
    const found = shown && this.find(shown.of);
    return found && { ...shown, ...found };
  }

  /** The file of the active review. */
  activeFile(): Current | undefined {
    return this.at(vscode.window.activeTextEditor?.document.uri);
  }

  provideCodeLenses(document: vscode.TextDocument): vscode.CodeLens[] {
    const current = this.at(document.uri);
    if (!current) {
      return [];
    }
    const { proposal, merged, file } = current;
    const target = { root: current.of.root, task: proposal.task };
    const places = new Map(proposal.files.flatMap((file) => file.hunks).map((hunk, index) => [hunk.id, index + 1]));
    const hunks = new Map(file.hunks.map((hunk) => [hunk.id, hunk]));
    const head = new vscode.CodeLens(new vscode.Range(0, 0, 0, 0), {
      title: spaced(headline(proposal, this.model.counts(proposal))), tooltip: proposal.acceptance.join('\n'), command: 'ralph.reviewAll', arguments: [target],
    });
    const spots = merged.spots.length > LENSES ? near(merged.spots, this.lensesAt) : merged.spots;
    return [head, ...spots.flatMap((spot) => {
      const hunk = hunks.get(spot.id);
      return hunk ? this.lensesOf(hunk, file, spot, { ...target, hunks: [hunk.id] }, `hunk ${places.get(hunk.id)} of ${places.size}`) : [];
    })];
  }

  private lensesOf(hunk: ProposalHunk, file: ProposalFileResult, spot: Spot, target: object, place: string): vscode.CodeLens[] {
    const range = new vscode.Range(spot.start, 0, spot.start, 0);
    const lens = (title: string, command: string, tooltip?: string) => new vscode.CodeLens(range, { title: spaced(title), tooltip, command, arguments: [target] });
    const mark = this.model.markOf(hunk);
    const what = describe(hunk, file);
    const again = hunk.again ? 'rejected before, and here again' : undefined;
    const about = [place, what, again, mark === 'pending' ? undefined : mark].filter(Boolean).join(', ');
    if (mark !== 'pending') {
      return [lens(about, 'ralph.reviewAll'), lens('$(comment) Comment', 'ralph.comment', 'c')];
    }
    const isUnfit = hunk.state === 'conflict' && !hunk.waitsFor;
    const why = hunk.weakensTest ?? (isUnfit ? 'does not fit the text as it is now' : hunk.state === 'conflict' ? `waits for ${hunk.waitsFor}` : undefined);
    return [
      isUnfit ? lens('$(sync) Ask the agent to rebase', 'ralph.rebase', 'Sends the proposal back, with what does not fit named') : lens('$(check) Accept', 'ralph.accept', 'a'),
      lens('$(close) Reject', 'ralph.reject', 'r, with a reason: Shift+R'),
      lens('$(comment) Comment', 'ralph.comment', 'c'),
      lens('Side by side', 'ralph.sideBySide', 's'),
      lens(`${about}${why ? ` · $(warning) ${why}` : ''}`, 'ralph.reviewAll'),
      ...hunk.findings.map((finding) => lens(`$(comment-unresolved) ${oneLine(finding)}`, 'ralph.comment', finding)),
    ];
  }

  private lensesFollow(editor: vscode.TextEditor): void {
    const merged = this.shown.get(editor.document.uri.toString())?.merged;
    const line = editor.selection.active.line;
    if (merged && merged.spots.length > LENSES && Math.abs(line - this.lensesAt) > 100) {
      this.lensesAt = line;
      this.lensesChanged.fire();
    }
  }

  private update(): void {
    for (const document of vscode.workspace.textDocuments.filter(({ uri }) => uri.scheme === SCHEME)) {
      const shown = this.shown.get(document.uri.toString());
      const found = shown && this.find(shown.of);
      const ids = (hunks: ProposalHunk[]) => hunks.map((hunk) => hunk.id).join();
      if (found && ids(found.file.hunks) !== ids(shown.hunks)) {
        this.contentChanged.fire(document.uri);
      }
    }
    this.draw();
    this.renewLenses();
    this.prefetchFirst();
    void this.closeGone();
  }

  // Lenses that say what they said are left alone: new ones cost a layout of the editor.
  private renewLenses(): void {
    const shown = vscode.window.visibleTextEditors.map(({ document }) => this.at(document.uri)).filter((current) => current !== undefined);
    const on = JSON.stringify(shown.map(({ of, proposal, file }) => [
      of, proposal.title, proposal.checks, proposal.acceptance, this.model.counts(proposal), file.hunks.map((hunk) => [hunk, this.model.markOf(hunk)]),
    ]));
    if (on !== this.lensesOn) {
      this.lensesOn = on;
      this.lensesChanged.fire();
    }
  }

  private marked(): void {
    for (const editor of vscode.window.visibleTextEditors) {
      this.drawMarks(editor);
    }
    this.renewLenses();
  }

  private draw(): void {
    for (const editor of vscode.window.visibleTextEditors) {
      const shown = this.shown.get(editor.document.uri.toString());
      if (shown) {
        this.paint.lines(editor, shown.merged);
      }
      this.drawMarks(editor);
    }
    this.drawn.fire();
  }

  private drawMarks(editor: vscode.TextEditor): void {
    const { uri } = editor.document;
    if (uri.scheme === 'file') {
      // Hover and quick fixes are the server's.
      const places = this.model.pending().filter((place) => place.file.uri === uri.toString());
      this.paint.waits(editor, places.map((place) => place.hunk));
      return;
    }
    const current = this.at(uri);
    if (current) {
      const hunks = new Map(current.file.hunks.map((hunk) => [hunk.id, hunk]));
      const markOf = (id: string) => this.model.markOf(hunks.get(id) ?? ({ id, mark: 'pending', state: null } as ProposalHunk));
      this.paint.marks(editor, current.merged, markOf, (id) => hunks.get(id)?.changed === true);
    }
  }

  /** The hunk a key is about: the one the review is turning to, else the one at the cursor. */
  target(): Place | undefined {
    if (this.turning && this.current) {
      return this.current;
    }
    const editor = vscode.window.activeTextEditor;
    const active = this.activeFile();
    if (!editor || !active) {
      return undefined;
    }
    const line = editor.selection.active.line;
    const last = active.merged.spots.find((spot) => spot.id === this.current?.hunk.id);
    const spot = last && last.start <= line && line < endOf(last) ? last : spotAt(active.merged, line);
    const hunk = spot && active.file.hunks.find((hunk) => hunk.id === spot.id);
    return hunk && { root: active.of.root, proposal: active.proposal, file: active.file, hunk };
  }

  /** Shows the hunk in its review document, the cursor on it. Of several at once, the last one counts. */
  async show(place: Place): Promise<void> {
    this.current = place;
    const editor = vscode.window.activeTextEditor;
    const uri = this.uriOf(place);
    if (!this.turning && editor?.document.uri.toString() === uri.toString()) {
      // Nothing to wait for: the next key finds the cursor there.
      this.reveal(editor, place);
      return;
    }
    const turn = (this.turning ?? Promise.resolve()).then(async () => {
      if (this.current !== place) {
        return;
      }
      const active = vscode.window.activeTextEditor;
      if (active?.document.uri.toString() === uri.toString()) {
        this.reveal(active, place);
        return;
      }
      const document = await vscode.workspace.openTextDocument(uri);
      const shown = this.shown.get(uri.toString());
      const spot = shown?.merged.spots.find((spot) => spot.id === place.hunk.id);
      const caret = spot ? caretOf(spot) : 0;
      const opened = await vscode.window.showTextDocument(document, { preview: true, selection: new vscode.Range(caret, 0, caret, 0) });
      this.reveal(opened, place);
      this.draw();
    });
    this.turning = turn.catch(() => undefined);
    const mine = this.turning;
    await mine;
    if (this.turning === mine) {
      this.turning = undefined;
    }
    this.prefetch(place);
  }

  private uriOf(place: Place): vscode.Uri {
    return reviewUri({ root: place.root, task: place.proposal.task, path: place.file.path, round: place.proposal.round });
  }

  /** Gets the document of the next file ready while this one is looked at. */
  private prefetch(place: Place): void {
    const order = this.model.places();
    const at = order.findIndex((other) => other.hunk.id === place.hunk.id);
    const next = order.slice(at + 1).find((other) => other.file !== place.file && this.model.markOf(other.hunk) === 'pending');
    if (at >= 0 && next) {
      this.ready(next);
    }
  }

  // The review begins with a picture, not with a question to the server.
  private prefetchFirst(): void {
    const first = this.shown.size === 0 ? this.model.pending()[0] : undefined;
    if (first) {
      this.ready(first);
    }
  }

  private ready(place: Place): void {
    void vscode.workspace.openTextDocument(this.uriOf(place)).then(undefined, () => undefined);
  }

  private reveal(editor: vscode.TextEditor, place: Place): void {
    const spot = this.shown.get(editor.document.uri.toString())?.merged.spots.find((spot) => spot.id === place.hunk.id);
    if (spot) {
      const caret = caretOf(spot);
      editor.selection = new vscode.Selection(caret, 0, caret, 0);
      editor.revealRange(new vscode.Range(spot.start, 0, endOf(spot), 0), vscode.TextEditorRevealType.InCenterIfOutsideViewport);
    }
  }

  /** Goes to the next waiting hunk or the one before, through files and tasks. */
  async move(direction: 1 | -1): Promise<void> {
    const here = this.target();
    const waits = (place: Place) => this.model.markOf(place.hunk) === 'pending';
    let places = this.model.places();
    const at = places.findIndex((place) => place.hunk.id === here?.hunk.id);
    if (at < 0) {
      // Between hunks: the nearest of this file that way, else the first or last of all.
      const active = this.activeFile();
      const line = vscode.window.activeTextEditor?.selection.active.line ?? 0;
      const spots = active ? active.merged.spots.filter((spot) => (direction > 0 ? spot.start > line : spot.start < line)) : [];
      const ids = new Set(spots.map((spot) => spot.id));
      const near = places.filter((place) => ids.has(place.hunk.id));
      places = near.length > 0 ? near : places;
    } else {
      places = direction > 0 ? places.slice(at + 1) : places.slice(0, at);
    }
    const open = places.filter(waits);
    const next = direction > 0 ? open[0] : open[open.length - 1];
    if (next) {
      await this.show(next);
    } else {
      const none = this.model.pending().length === 0;
      vscode.window.setStatusBarMessage(none ? 'Ralph: nothing waits for review' : 'Ralph: no more hunks that way', 5000);
    }
  }

  /** Waits until the window has taken over what was painted, and for a frame of it. */
  async painted(): Promise<void> {
    // Messages are taken in their order, so the answer to any later one will do.
    await vscode.commands.executeCommand('setContext', 'ralph.reviewing', true);
    await new Promise((resolve) => setTimeout(resolve, FRAME));
  }

  /** After a decision: on to what waits next, round to the beginning; tells whether there is anything. */
  async goOn(decided: ReadonlySet<string>): Promise<boolean> {
    const next = nextAfter(this.model.places(), decided, (hunk) => this.model.markOf(hunk) === 'pending');
    if (next) {
      await this.show(next);
    }
    return next !== undefined;
  }

  /** Closes the tabs of proposals that are under review no more. */
  private async closeGone(): Promise<void> {
    const isGone = (uri: vscode.Uri) => {
      const of = reviewOf(uri);
      // Before the first answer of the server nobody knows.
      return of !== undefined && this.model.statuses.has(of.root) && !this.find(of);
    };
    const tabs = vscode.window.tabGroups.all.flatMap((group) => group.tabs);
    const gone = tabs.filter((tab) => tab.input instanceof vscode.TabInputText && isGone(tab.input.uri));
    if (gone.length > 0) {
      await vscode.window.tabGroups.close(gone, true);
    }
  }
}

// An ordinary space between an icon and its word is not drawn.
function spaced(title: string): string {
  return title.replace(/(\$\([a-z-]+\)) /g, '$1\u00a0').replace(/ (\$\([a-z-]+\))/g, '\u00a0$1');
}

function near(spots: Spot[], line: number): Spot[] {
  const at = spots.findIndex((spot) => spot.start >= line);
  const middle = at < 0 ? spots.length : at;
  return spots.slice(Math.max(middle - LENSES / 2, 0), middle + LENSES / 2);
}

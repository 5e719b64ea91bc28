// Comments beside the lines they are about, as threads of the editor; a new one can be begun at any line.

import * as vscode from 'vscode';
import type { Deciding } from './deciding';
import { endOf, lineOf, proposedLine, spotAt } from './merged';
import { commentsOn } from './proposals';
import type { CommentStatus } from './protocol';
import type { Review } from './review';
import { SCHEME } from './uris';

/** A comment with what takes it back. */
export interface Said extends vscode.Comment {
  of: { root: string; task: string; drop: string };
}

export class Threads implements vscode.Disposable {
  private readonly controller = vscode.comments.createCommentController('ralph', 'Ralph');
  private readonly threads = new Map<string, vscode.CommentThread>();
  private readonly disposables: vscode.Disposable[];

  constructor(private readonly review: Review, private readonly deciding: Deciding) {
    this.controller.options = { prompt: 'For the next attempt', placeHolder: 'What should be different here?' };
    this.controller.commentingRangeProvider = {
      // Where something changes; any other line has the key, which takes the nearest hunk along.
      provideCommentingRanges: (document) =>
        (review.at(document.uri)?.merged.spots ?? []).map((spot) => new vscode.Range(spot.start, 0, endOf(spot) - 1, 0)),
    };
    this.disposables = [this.controller, review.onDraw(() => this.draw())];
  }

  dispose(): void {
    vscode.Disposable.from(...this.disposables).dispose();
  }

  /** Takes what was typed below a line. */
  async add({ thread, text }: vscode.CommentReply): Promise<void> {
    const current = this.review.at(thread.uri);
    const line = thread.range?.start.line ?? 0;
    if (current && text.trim() !== '') {
      const hunk = spotAt(current.merged, line)?.id;
      const { of, file, merged } = current;
      await this.deciding.sayComment({ root: of.root, task: of.task, ...(hunk && { hunk }), path: file.path, line: proposedLine(merged, line), text: text.trim() });
    }
    // The comment comes back with the proposal, as a thread of ours.
    thread.dispose();
  }

  async drop(comment: Said): Promise<void> {
    await this.deciding.sayComment(comment.of);
  }

  private draw(): void {
    const wanted = new Set<string>();
    for (const { document } of vscode.window.visibleTextEditors.filter(({ document }) => document.uri.scheme === SCHEME)) {
      const current = this.review.at(document.uri);
      for (const comment of current ? commentsOn(current.proposal, current.file) : []) {
        const key = `${document.uri.toString()} ${comment.id} ${comment.sent}`;
        wanted.add(key);
        if (current && !this.threads.has(key)) {
          const spot = current.merged.spots.find((spot) => spot.id === comment.hunk);
          const line = comment.line ? lineOf(current.merged, comment.line) : spot ? Math.max(spot.end - 1, spot.start) : 0;
          this.threads.set(key, this.thread(document.uri, line, comment, { root: current.of.root, task: current.of.task, drop: comment.id }));
        }
      }
    }
    for (const [key, thread] of [...this.threads].filter(([key]) => !wanted.has(key))) {
      thread.dispose();
      this.threads.delete(key);
    }
  }

  private thread(uri: vscode.Uri, line: number, comment: CommentStatus, of: Said['of']): vscode.CommentThread {
    const said: Said = {
      of,
      body: new vscode.MarkdownString().appendText(comment.text),
      mode: vscode.CommentMode.Preview,
      author: { name: 'You' },
      label: comment.sent ? `sent in round ${comment.round}` : 'goes with the next send back',
      contextValue: comment.sent ? 'sent' : 'unsent',
    };
    const thread = this.controller.createCommentThread(uri, new vscode.Range(line, 0, line, 0), [said]);
    thread.canReply = false;
    thread.label = 'To the next attempt';
    thread.collapsibleState = comment.sent ? vscode.CommentThreadCollapsibleState.Collapsed : vscode.CommentThreadCollapsibleState.Expanded;
    return thread;
  }
}

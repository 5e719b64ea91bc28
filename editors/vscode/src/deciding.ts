// What a person decides about hunks and proposals: accept, reject, comment, send back, keep, drop, land, undo.
//
// A decision is painted and the review goes on at once; the server is told behind that, in order. What it refuses is
// shown as waiting again.

import * as vscode from 'vscode';
import { progress } from './labels';
import { proposedLine } from './merged';
import type { Model } from './model';
import type { Mark, Place } from './proposals';
import type { CommandResult, ProposalResult, TaskStatus } from './protocol';
import type { Review } from './review';
import type { Server } from './server';
import { type Argument, byTask, target, type Target } from './targets';
import { Undoing } from './undoing';

// What the server can take back.
const STEPS = new Set(['ralph/reject', 'ralph/land']);

export type PickTask = (argument: Argument, title: string, wanted: (task: TaskStatus) => boolean) => Promise<Target | undefined>;

const isOpen = (task: TaskStatus) => ['review', 'stale'].includes(task.state);

function say(message: string): void {
  vscode.window.setStatusBarMessage(`Ralph: ${message}`, 6000);
}

export class Deciding {
  // What is told to the server, one after the other.
  private told: Promise<unknown> = Promise.resolve();
  private readonly undoing: Undoing;

  constructor(
    private readonly server: Server,
    private readonly model: Model,
    private readonly review: Review,
    private readonly pickTask: PickTask,
  ) {
    this.undoing = new Undoing(model);
  }

  /** The hunks a command is about: those named by a lens or a code action, else the one the review is at. */
  private places(given: Target): Place[] {
    const named = new Set(given.hunks ?? []);
    if (named.size > 0) {
      return this.model.places().filter((place) => named.has(place.hunk.id));
    }
    const place = this.review.target();
    return place ? [place] : [];
  }

  /** The files that a decision about named hunks, or about a whole task, is in. */
  private files({ hunks = [], root, task }: Target): string[] {
    const isMeant = ({ root: of, proposal, hunk }: Place) => (hunks.length > 0 ? hunks.includes(hunk.id) : proposal.task === task && (!root || of === root));
    return [...new Set(this.model.places().filter(isMeant).map((place) => place.file.uri))];
  }

  accept(given: Target): Promise<unknown> {
    return this.decide('accepted', given);
  }

  /** At once, without a reason: one key. `rejectWhy` asks for one. */
  reject(given: Target): Promise<unknown> {
    return given.askWhy ? this.rejectWhy(given) : this.decide('rejected', given);
  }

  /** With a reason for the next attempt; an empty one rejects without, Escape does nothing. */
  async rejectWhy(given: Target): Promise<unknown> {
    // The hunk is the one at the key press, wherever the cursor is when the reason is there.
    const [place] = this.places(given);
    const hunks = given.hunks ?? (place && [place.hunk.id]);
    const why = await vscode.window.showInputBox({ prompt: 'Why not? (for the next attempt; may be empty)', ignoreFocusOut: true });
    const { askWhy: _, ...rest } = given;
    return why === undefined ? undefined : this.decide('rejected', { ...rest, ...(hunks && { hunks }), ...(why && { why }) });
  }

  private async decide(mark: Mark, given: Target): Promise<unknown> {
    const method = mark === 'accepted' ? 'ralph/accept' : 'ralph/reject';
    const inReview = this.review.activeFile() !== undefined;
    if (!inReview && (given.hunks || given.uri || given.task)) {
      // A quick fix in an ordinary document: the server knows all about it.
      return this.tell(method, given, given.uri ? [given.uri] : this.files(given));
    }
    const found = this.places(given);
    const places = found.filter((place) => this.model.markOf(place.hunk) === 'pending');
    if (places.length === 0) {
      // Nothing the person does not see is decided: the key leads there first.
      const mark = found[0] && this.model.markOf(found[0].hunk);
      say(mark ? `this hunk is ${mark} already` : 'no hunk waits here; n goes to the next');
      return undefined;
    }
    const hunks = places.map((place) => place.hunk.id);
    this.model.decide(hunks, mark);
    const going = this.review.goOn(new Set(hunks));
    const painted = going.then(() => this.review.painted());
    const why = given.why ? { why: given.why } : {};
    for (const group of byTask(places)) {
      const [first] = group as [Place];
      const mine = group.map((place) => place.hunk.id);
      const params = { root: first.root, task: first.proposal.task, hunks: mine, ...why };
      void this.tell(method, params, group.map((place) => place.file.uri), painted).then((result) => this.heard(mine, result));
    }
    if (!(await going)) {
      await this.told;
      await this.finish();
    }
    return undefined;
  }

  private heard(hunks: string[], result: CommandResult | undefined): void {
    const done = new Set(result?.hunks ?? (result ? hunks : []));
    const conflicts = new Set((result?.conflicts ?? []).map((conflict) => conflict.hunk));
    const isRefused = (hunk: string) => result === undefined || (conflicts.has(hunk) && !done.has(hunk));
    this.model.forget(hunks.filter(isRefused));
    this.model.confirm(hunks.filter((hunk) => !isRefused(hunk)));
  }

  /**
   * Tells the server, after all that was told before, and notes what *Undo* would have to take back.
   * What the person sees comes first: the server's work would take the processor from a picture that is `shown` meanwhile.
   */
  private tell(method: string, params: object, uris: string[], shown?: Promise<unknown>): Promise<CommandResult | undefined> {
    const mine = this.told.then(async () => {
      await shown?.catch(() => undefined);
      const held = method === 'ralph/accept' ? this.undoing.hold(uris) : [];
      const result = await this.server.command(method, params);
      const { root } = params as Target;
      if (result && method === 'ralph/accept') {
        await this.undoing.accepted(root, result.hunks ?? [], uris, held);
      } else if (result && STEPS.has(method) && !(params as { undo?: boolean }).undo) {
        this.undoing.history.push({ ...(root && { root }), hunks: result.hunks ?? (params as Target).hunks ?? [], edits: [], told: true });
      }
      return result;
    });
    this.told = mine.catch(() => undefined);
    return mine;
  }

  /** Everything is decided: what was rejected has to go somewhere, in each proposal that has any. */
  private async finish(): Promise<void> {
    const proposals = new Map(this.model.places().map(({ root, proposal }) => [proposal, root]));
    const open = [...proposals].filter(([proposal]) => this.model.counts(proposal).rejected > 0);
    if (open.length === 0) {
      say('everything is decided');
    }
    await Promise.all(open.map(([proposal, root]) => this.askRest(root, proposal)));
  }

  private async askRest(root: string, proposal: ProposalResult): Promise<void> {
    const counts = this.model.counts(proposal);
    const [back, keep, drop] = ['Send Back', 'Keep the Accepted Part', 'Drop the Rest'];
    const buttons = counts.accepted > 0 ? [back, keep] : [back, drop];
    const chosen = await vscode.window.showInformationMessage(`Ralph: ${proposal.title}: ${progress(counts)}. What becomes of the rest?`, ...buttons);
    const command = chosen === back ? 'ralph.sendBack' : chosen === keep ? 'ralph.keepAccepted' : chosen === drop ? 'ralph.dropRest' : undefined;
    if (command) {
      await vscode.commands.executeCommand(command, { root, task: proposal.task });
    }
  }

  async acceptFile(): Promise<unknown> {
    const shown = this.review.activeFile();
    const uri = shown?.file.uri ?? vscode.window.activeTextEditor?.document.uri.toString();
    const places = this.model.pending().filter((place) => place.file.uri === uri);
    return places.length > 0 ? this.decide('accepted', { hunks: places.map((place) => place.hunk.id) }) : say('no hunk waits in this file');
  }

  async acceptTask(argument: Argument): Promise<unknown> {
    const found = await this.pickTask(argument, 'Accept all of which task?', isOpen);
    if (!found) {
      return undefined;
    }
    const places = this.model.pending().filter((place) => place.proposal.task === found.task && place.root === found.root);
    this.model.decide(places.map((place) => place.hunk.id), 'accepted');
    const result = await this.tell('ralph/accept', { root: found.root, task: found.task }, places.map((place) => place.file.uri));
    this.heard(places.map((place) => place.hunk.id), result);
    return result;
  }

  /** Asks for the text of a comment about the hunk at the cursor, and the line of it. */
  async comment(given: Target): Promise<unknown> {
    const [place] = this.places(given);
    const task = place?.proposal.task ?? given.task;
    if (!task) {
      return say('no proposal is shown here');
    }
    const text = given.text ?? (await vscode.window.showInputBox({ prompt: 'What should the next attempt know?', ignoreFocusOut: true }));
    const where = place && { hunk: place.hunk.id, path: place.file.path, ...this.line(place) };
    return text ? this.sayComment({ root: place?.root ?? given.root, task, ...where, text }) : undefined;
  }

  // The line at the cursor, when the cursor is in the hunk.
  private line(place: Place): { line?: number } {
    const active = this.review.activeFile();
    const at = this.review.target();
    const line = vscode.window.activeTextEditor?.selection.active.line;
    return active && line !== undefined && at?.hunk.id === place.hunk.id ? { line: proposedLine(active.merged, line) } : {};
  }

  /** Stores a comment, or takes one back, and shows the proposal with that. */
  async sayComment(params: { root?: string; task: string; [key: string]: unknown }): Promise<unknown> {
    const result = await this.server.command('ralph/comment', params);
    if (params.root) {
      this.model.touch(params.root, params.task);
    }
    await this.model.refresh();
    return result;
  }

  /** With the rejected hunks, the reasons and the comments as one; what was accepted stays. */
  async sendBack(argument: Argument): Promise<unknown> {
    const found = await this.pickTask(argument, 'Send back which proposal?', isOpen);
    if (!found?.task) {
      return undefined;
    }
    const proposal = this.model.proposal(found.root ?? '', found.task);
    const counts = proposal && this.model.counts(proposal);
    const unsent = (proposal?.comments ?? []).filter((comment) => !comment.sent).length;
    const along = unsent > 0 ? `; ${unsent === 1 ? 'your comment goes' : `your ${unsent} comments go`} along` : '';
    const words = await vscode.window.showInputBox({
      prompt: `What should the next attempt at ${found.task} do differently? (may be empty${along})`, ignoreFocusOut: true,
    });
    if (words === undefined) {
      return undefined;
    }
    const rest = (counts?.accepted ?? 0) > 0;
    return this.settle('ralph/sendBack', { root: found.root, task: found.task, comments: words ? [words] : [], ...(rest && { rest }) });
  }

  async keepAccepted(argument: Argument): Promise<unknown> {
    const found = await this.pickTask(argument, 'Keep the accepted part of which task?', isOpen);
    return found && this.settle('ralph/accept', { root: found.root, task: found.task, keepAcceptedPart: true });
  }

  async dropRest(argument: Argument): Promise<unknown> {
    const found = await this.pickTask(argument, 'Drop the rest of which proposal?', isOpen);
    return found && this.settle('ralph/reject', { root: found.root, task: found.task, rest: true });
  }

  /** The server finds the words, with the conflicts named. */
  async rebase(argument: Argument): Promise<unknown> {
    const found = await this.pickTask(argument, 'Ask the agent of which task to rebase?', isOpen);
    return found && this.settle('ralph/sendBack', { root: found.root, task: found.task, rebase: true });
  }

  // Decisions that end the review of a proposal come after all that was decided in it.
  private async settle(method: string, params: object): Promise<unknown> {
    const result = await this.tell(method, params, []);
    await this.model.refresh();
    return result;
  }

  /** Into the working tree, as a commit, or onto a branch. */
  async land(argument: Argument): Promise<unknown> {
    const given = target(argument);
    const ways = [
      { label: 'As a commit', detail: 'What was accepted becomes one commit here; hooks and signing are those of git.', to: 'commit' },
      { label: 'Onto a branch', detail: 'The commit goes onto a branch; your files stay as they are.', to: 'branch' },
      { label: 'Into the working tree', detail: 'What was accepted and is not on disk yet is written.', to: 'tree' },
    ];
    const way = given.to ? { to: given.to as string } : await vscode.window.showQuickPick(ways, { title: 'Ralph: Land', placeHolder: 'Where what was accepted goes' });
    if (!way) {
      return undefined;
    }
    const more: { message?: string; branch?: string } = {};
    if (way.to === 'branch') {
      const branch = await vscode.window.showInputBox({ prompt: 'Onto which branch?', ignoreFocusOut: true, value: given.task ? `ralph/${given.task}` : '' });
      if (!branch) {
        return undefined;
      }
      more.branch = branch;
    }
    if (way.to !== 'tree') {
      const message = await vscode.window.showInputBox({ prompt: 'The message of the commit (empty: made from the task)', ignoreFocusOut: true });
      if (message === undefined) {
        return undefined;
      }
      Object.assign(more, message ? { message } : {});
    }
    const { root, task, tasks } = given;
    const result = await this.tell('ralph/land', { ...(root && { root }), ...(task && { task }), ...(tasks && { tasks }), to: way.to, ...more }, []);
    if (result?.message) {
      void vscode.window.showInformationMessage(`Ralph: ${result.message}`);
    }
    return result;
  }

  /** Takes back the rejection of the hunk at the cursor, else what was decided or landed last. */
  async undo(argument: Argument): Promise<unknown> {
    const here = argument === undefined ? this.review.target() : undefined;
    const isRejected = here && this.model.markOf(here.hunk) === 'rejected';
    const result = await (isRejected ? this.unreject(here) : this.undoNewest(target(argument)));
    this.model.forgetAll();
    await this.model.refresh();
    const back = this.model.places().find((place) => result?.hunks?.includes(place.hunk.id));
    if (back && this.review.activeFile()) {
      await this.review.show(back);
    }
    return result;
  }

  private async unreject({ root, proposal, hunk }: Place): Promise<CommandResult | undefined> {
    const result = await this.tell('ralph/reject', { root, task: proposal.task, hunks: [hunk.id], undo: true }, []);
    this.undoing.history.forget(hunk.id);
    return result;
  }

  // What was decided in this window comes first: an accept in an open file is an edit, of which the server wrote nothing.
  private async undoNewest(given: Target): Promise<CommandResult | undefined> {
    await this.told;
    const step = this.undoing.newest();
    if (step && step.edits.length > 0) {
      await this.undoing.takeBack(step);
      say('the accept was taken back');
    }
    if (step && !step.told) {
      return { message: '', hunks: step.hunks };
    }
    return this.tell('ralph/undo', { ...(step?.root && { root: step.root }), ...given }, []);
  }
}

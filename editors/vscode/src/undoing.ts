// Taking back accepts that were edits of open files: all files of a step at once, wherever the cursor is.

import * as vscode from 'vscode';
import { type Edited, History, replacement, type Step } from './history';
import type { Model } from './model';

// Milliseconds to wait until the server shows the hunks as waiting again. A file that is saved later by the person is no loss.
const PATIENCE = 10_000;

/** A file of which an accept may make another text. */
export interface Held {
  document: vscode.TextDocument;
  text: string;
  dirty: boolean;
}

function openFile(uri: string): vscode.TextDocument | undefined {
  return vscode.workspace.textDocuments.find((document) => document.uri.toString() === uri && !document.isClosed);
}

export class Undoing {
  readonly history = new History();

  constructor(private readonly model: Model) {}

  /** The open files, of `uris` or all, as they are before an accept. */
  hold(uris: string[]): Held[] {
    const meant = new Set(uris);
    const isMeant = ({ uri }: vscode.TextDocument) => uri.scheme === 'file' && (meant.size === 0 || meant.has(uri.toString()));
    return vscode.workspace.textDocuments.filter(isMeant).map((document) => ({ document, text: document.getText(), dirty: document.isDirty }));
  }

  /** Notes an accept, with what it made of the files, and saves those that were clean, so that no tab stays dirty. */
  async accepted(root: string | undefined, hunks: string[], uris: string[], held: Held[]): Promise<void> {
    const changed = held.filter(({ document, text }) => document.getText() !== text);
    const edits = changed.map(({ document, text, dirty }): Edited => ({ uri: document.uri.toString(), before: text, after: document.getText(), saved: !dirty }));
    const edited = new Set(edits.map(({ uri }) => uri));
    const told = edits.length === 0 || uris.some((uri) => !edited.has(uri));
    this.history.push({ ...(root && { root }), hunks, edits, told });
    await Promise.all(changed.filter(({ document, dirty }) => !dirty && document.isDirty).map(({ document }) => document.save()));
  }

  /** The newest step that stands. */
  newest(): Step | undefined {
    return this.history.pop((uri) => openFile(uri)?.getText());
  }

  /** Takes the edits of a step back; rejects with what to do when that cannot be. */
  async takeBack(step: Step): Promise<void> {
    const edit = new vscode.WorkspaceEdit();
    for (const { uri, before, after } of step.edits) {
      const document = openFile(uri);
      const path = vscode.workspace.asRelativePath(vscode.Uri.parse(uri));
      if (!document) {
        throw new Error(`${path} was closed since it was accepted in, and its undo with it: change it back there.`);
      }
      if (document.getText() !== after) {
        throw new Error(`${path} was changed since it was accepted in: Undo in that file (Ctrl+Z) takes one change back after the other.`);
      }
      const { start, end, text } = replacement(after, before);
      edit.replace(document.uri, new vscode.Range(document.positionAt(start), document.positionAt(end)), text);
    }
    if (!(await vscode.workspace.applyEdit(edit))) {
      throw new Error('the editor did not take the edit back: Undo in the file (Ctrl+Z) does.');
    }
    // A file that goes back on disk as well would look to the server as if it came from there, so that comes last.
    if (await this.waiting(step.hunks)) {
      await Promise.all(step.edits.filter(({ saved }) => saved).map(({ uri }) => openFile(uri)?.save()));
    }
  }

  /** Waits until hunks wait again, as the server has it; tells whether they do. */
  private waiting(hunks: string[]): Promise<boolean> {
    const isThere = () => {
      const places = this.model.places().filter((place) => hunks.includes(place.hunk.id));
      return places.length > 0 && places.every(({ hunk }) => hunk.mark === 'pending');
    };
    return new Promise((resolve) => {
      const end = (is: boolean) => {
        clearTimeout(timer);
        listening.dispose();
        resolve(is);
      };
      const listening = this.model.onChange(() => isThere() && end(true));
      const timer = setTimeout(() => end(isThere()), PATIENCE);
      this.model.forget(hunks);
      void this.model.refresh().catch(() => undefined);
    });
  }
}

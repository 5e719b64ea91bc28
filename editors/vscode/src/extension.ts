// Ralph for VS Code: what is started when, and what ends with the window.

import * as vscode from 'vscode';
import { Commands } from './commands';
import { ATTEMPT, type AttemptNotification, RUN_ENDED, type RunEndedNotification } from './protocol';
import { Model } from './model';
import { Review } from './review';
import { problem, program, Server } from './server';
import { View } from './view';

/** The server's virtual documents, kept live while they are open. */
class Documents implements vscode.TextDocumentContentProvider {
  private readonly changed = new vscode.EventEmitter<vscode.Uri>();
  readonly onDidChange = this.changed.event;

  constructor(private readonly server: Server) {}

  provideTextDocumentContent(uri: vscode.Uri): Promise<string> {
    return this.server.content(uri.toString(true));
  }

  /** Something of the task happened: its open documents are read again. */
  touch(task: string): void {
    for (const { uri } of vscode.workspace.textDocuments) {
      if (uri.scheme === 'ralph' && uri.path.split('/').includes(task)) {
        this.changed.fire(uri);
      }
    }
  }
}

/** Without a server every command says what is missing, instead of not being there. */
function explainAll(context: vscode.ExtensionContext, message: string): void {
  const commands = (context.extension.packageJSON as { contributes: { commands: { command: string }[] } }).contributes.commands;
  context.subscriptions.push(
    ...commands.map(({ command }) => vscode.commands.registerCommand(command, () => explain(message))),
  );
  void explain(message);
}

async function explain(message: string): Promise<void> {
  const settings = 'Open Settings';
  if ((await vscode.window.showErrorMessage(`Ralph: ${message}`, settings)) === settings) {
    await vscode.commands.executeCommand('workbench.action.openSettings', 'ralph.path');
  }
}

/** The first words after a run, with the button that begins what is left to do. */
async function sayEnded(ended: RunEndedNotification): Promise<void> {
  const buttons = [...(ended.pending > 0 ? ['Review'] : []), ...(ended.decisions > 0 ? ['Answer'] : [])];
  const say = ended.warning ? vscode.window.showWarningMessage : vscode.window.showInformationMessage;
  const chosen = await say(ended.message, ...buttons);
  if (chosen) {
    await vscode.commands.executeCommand(chosen === 'Review' ? 'ralph.review' : 'ralph.answer', { root: ended.root });
  }
}

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const path = program(context);
  const wrong = await problem(path);
  if (wrong) {
    explainAll(context, wrong);
    return;
  }
  const server = new Server(context, path);
  const documents = new Documents(server);
  context.subscriptions.push(vscode.workspace.registerTextDocumentContentProvider('ralph', documents));
  try {
    await server.start();
  } catch (error) {
    explainAll(context, (error as Error).message);
    return;
  }
  const model = new Model(server);
  const review = new Review(server, model);
  context.subscriptions.push(
    model,
    review,
    new View(model),
    ...new Commands(server, model, review, path).register(),
    server.client.onNotification(ATTEMPT, (attempt: AttemptNotification) => documents.touch(attempt.task)),
    server.client.onNotification(RUN_ENDED, (ended: RunEndedNotification) => void sayEnded(ended)),
  );
  void model.refresh();
}

export function deactivate(): void {
  // The client is a subscription and ends with the window; a run goes on without it.
}

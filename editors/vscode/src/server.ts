// The program behind the extension: where it is, whether it fits, and the one client of this window.

import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import * as vscode from 'vscode';
import { LanguageClient, type LanguageClientOptions, type ServerOptions } from 'vscode-languageclient/node';
import { type CommandResult, CONTENT, INPUT, VERSION } from './protocol';

/** Finds the program: the setting, the one beside the extension, else the one on PATH. */
export function program(context: vscode.ExtensionContext): string {
  const wanted = vscode.workspace.getConfiguration('ralph').get<string>('path', '').trim();
  if (wanted !== '') {
    return wanted;
  }
  const bundled = join(context.extensionPath, 'bin', 'ralph-sidecar');
  try {
    accessSync(bundled, constants.X_OK);
    return bundled;
  } catch {
    return 'ralph-sidecar';
  }
}

/** Runs the program to its end and returns what it printed; rejects when it cannot be started. */
export function run(path: string, args: string[], cwd?: string): Promise<{ code: number; text: string }> {
  return new Promise((resolve, reject) => {
    execFile(path, args, { cwd, maxBuffer: 8 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (error && typeof error.code === 'string') {
        reject(error);
      } else {
        resolve({ code: typeof error?.code === 'number' ? error.code : 0, text: stdout + stderr });
      }
    });
  });
}

/** Says what is wrong with the program and how to mend it; nothing when it can be used. */
export async function problem(path: string): Promise<string | undefined> {
  try {
    const { code, text } = await run(path, ['--version']);
    return code === 0 ? undefined : `\`${path} --version\` ended with ${code}: ${text.trim()}`;
  } catch (error) {
    return `\`${path}\` cannot be started (${(error as Error).message}). \`cargo install --path .\` in the repository of ralph-sidecar puts it on PATH, or name it in the setting ralph.path.`;
  }
}

/** The connection to the server of this window. */
export class Server {
  readonly client: LanguageClient;

  constructor(context: vscode.ExtensionContext, path: string) {
    const server: ServerOptions = { command: path, args: ['lsp'] };
    const options: LanguageClientOptions = {
      // Hunks and questions may be in any file.
      documentSelector: [{ scheme: 'file' }],
      synchronize: { configurationSection: 'ralph' },
      initializationOptions: () => vscode.workspace.getConfiguration('ralph'),
      outputChannelName: 'Ralph',
      progressOnInitialization: false,
    };
    this.client = new LanguageClient('ralph', 'Ralph', server, options);
    // The library would register every command of the server globally; ours ask for what is missing first.
    const commands = this.client.getFeature('workspace/executeCommand') as unknown as { initialize: () => void };
    commands.initialize = () => undefined;
    this.client.registerFeature({
      fillClientCapabilities: (capabilities) => {
        capabilities.experimental = { ...(capabilities.experimental as object), ralph: { input: true, runEnded: true } };
      },
      initialize: () => undefined,
      getState: () => ({ kind: 'static' }),
      clear: () => undefined,
    });
    this.client.onRequest(INPUT, async (params: { prompt: string; placeholder?: string | null }) => ({
      text: (await vscode.window.showInputBox({
        prompt: params.prompt,
        placeHolder: params.placeholder ?? undefined,
        ignoreFocusOut: true,
      })) ?? null,
    }));
    context.subscriptions.push(this.client);
  }

  /** Starts the server and compares versions; the message of a rejection names the fix. */
  async start(): Promise<void> {
    await this.client.start();
    const experimental = this.client.initializeResult?.capabilities.experimental as { ralph?: { version?: number } } | undefined;
    const version = experimental?.ralph?.version;
    if (version !== VERSION) {
      const newer = version !== undefined && version > VERSION;
      await this.client.stop();
      throw new Error(`ralph-sidecar speaks version ${version ?? 'none'} of the protocol and this extension ${VERSION}: update ${newer ? 'the extension' : 'ralph-sidecar'}.`);
    }
  }

  request<T>(method: string, params: object = {}): Promise<T> {
    return this.client.sendRequest<T>(method, withRoot(params));
  }

  /** Asks for something to be done and says what happened, in the status bar or, when it went wrong, in a message. */
  async command(method: string, params: object = {}): Promise<CommandResult | undefined> {
    try {
      const result = await this.request<CommandResult>(method, params);
      if (result?.message) {
        vscode.window.setStatusBarMessage(`Ralph: ${result.message}`, 8000);
      }
      for (const conflict of result?.conflicts ?? []) {
        void vscode.window.showWarningMessage(`Ralph: ${conflict.reason}`);
      }
      return result;
    } catch (error) {
      void vscode.window.showErrorMessage(`Ralph: ${(error as Error).message}`);
      return undefined;
    }
  }

  /** The text of a virtual document of the server. */
  async content(uri: string): Promise<string> {
    return (await this.client.sendRequest<{ text: string }>(CONTENT, { uri })).text;
  }
}

// The folder a command is about: that of the file the person looks at, where there are several.
function withRoot(params: object): object {
  if ('root' in params) {
    return params;
  }
  const uri = vscode.window.activeTextEditor?.document.uri;
  const folder = uri?.scheme === 'file' ? vscode.workspace.getWorkspaceFolder(uri) : undefined;
  const chosen = folder ?? vscode.workspace.workspaceFolders?.[0];
  return chosen ? { ...params, root: chosen.uri.toString() } : params;
}

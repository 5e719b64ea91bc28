// The program behind the extension: where it is, and whether it can be started.

import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

const NAME = 'ralph-sidecar';

export interface Places {
  /** What the setting `ralph.path` says. */
  setting: string;
  /** The folder of the extension, which may bring the program along. */
  extension: string;
  /** The search path. */
  path: string;
  /** The home folder: `cargo install` puts the program below it, and a login shell may not have that on its path. */
  home: string;
}

/** The places of this machine. */
export function placesHere(setting: string, extension: string): Places {
  return { setting, extension, path: process.env.PATH ?? '', home: homedir() };
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Finds the program: the setting, the one beside the extension, the one on the search path, or where installers put it. */
export function find(places: Places, exists: (path: string) => boolean = isProgram): string {
  const wanted = places.setting.trim();
  if (wanted !== '') {
    return wanted;
  }
  const folders = [
    join(places.extension, 'bin'),
    ...places.path.split(delimiter).filter((folder) => folder !== ''),
    join(places.home, '.cargo', 'bin'),
    join(places.home, '.local', 'bin'),
  ];
  return folders.map((folder) => join(folder, NAME)).find(exists) ?? NAME;
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
    return `\`${path}\` cannot be started (${(error as Error).message}). \`cargo install --path .\` in the repository of ralph-sidecar installs it, or name it in the setting ralph.path.`;
  }
}

// What a person does in the workbench: commands by name, picks and inputs, keys; and what they see.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

// Milliseconds after which something that was waited for counts as missing. A machine whose cores are all taken needs
// ten times what an idle one does.
export const PATIENCE = Number(process.env.TEST_PATIENCE ?? 150_000);

/** Opens the folder in a browser of its own. */
export async function open(address, folder) {
  const { chromium } = await import(pathToFileURL(process.env.TEST_PLAYWRIGHT).href);
  const browser = await chromium.launch({
    executablePath: process.env.TEST_CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  page.setDefaultTimeout(PATIENCE);
  await page.goto(`${address}/?${folder.endsWith('.code-workspace') ? 'workspace' : 'folder'}=${folder}`);
  await page.locator('.monaco-workbench').waitFor();
  await page.locator('.part.statusbar').waitFor();
  return new Person(browser, page);
}

/** Text as a person reads it: editors draw spaces by other characters. */
function plain(text) {
  return text.replaceAll('\u00a0', ' ').replaceAll('\u200c', '').replaceAll('·', ' ');
}

function exactly(text) {
  return new RegExp(`^\\s*${text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}\\s*$`);
}

export class Person {
  constructor(browser, page) {
    this.browser = browser;
    this.page = page;
  }

  /** Waits until the condition holds; it is looked at again and again, and may fail meanwhile. */
  async until(what, condition) {
    const deadline = Date.now() + PATIENCE;
    let last;
    while (Date.now() < deadline) {
      try {
        const found = await condition();
        if (found) return found;
      } catch (error) {
        last = error;
      }
      await this.page.waitForTimeout(50);
    }
    await this.keep('failure');
    throw new Error(`waited in vain for ${what}${last ? `: ${last.message}` : ''}`);
  }

  /** Runs a command of the palette by its title: the entry that is called just so, wherever it stands in the list. */
  async command(title) {
    const input = this.page.locator('.quick-input-widget input.input');
    const label = this.page.locator('.quick-input-list .monaco-list-row .quick-input-list-label .label-name', { hasText: exactly(title) });
    await this.until(`the palette with ${title}`, async () => {
      await this.page.keyboard.press('Escape');
      await this.page.keyboard.press('F1');
      await input.waitFor({ timeout: 5000 });
      await input.fill(`>${title}`);
      // The list still changes while extensions are read; a click finds its entry when it has come to rest.
      await label.first().click({ timeout: 5000 });
      return true;
    });
  }

  /** Types into the input box that asks `prompt`. */
  async input(prompt, text) {
    const box = this.page.locator('.quick-input-widget');
    await this.until(`the input "${prompt}"`, async () => (await box.isVisible()) && plain(await box.innerText()).includes(prompt));
    await box.locator('input.input').fill(text);
    await this.page.keyboard.press('Enter');
    await this.until(`the input "${prompt}" to be taken`, async () => !(await box.isVisible()) || !plain(await box.innerText()).includes(prompt));
  }

  /** Picks an entry of the open list by its label. */
  async pick(label) {
    const row = this.page.locator('.quick-input-list .monaco-list-row', { hasText: label }).first();
    await row.waitFor();
    await row.click();
  }

  /** Confirms a list in which several can be picked. */
  async confirm() {
    await this.page.locator('.quick-input-widget .quick-input-action, .quick-input-widget .monaco-button', { hasText: 'OK' }).first().click();
  }

  /** Presses a button of a message. */
  async press(button) {
    const found = this.page.locator('.notifications-toasts .monaco-button, .notification-list-item .monaco-button, .monaco-dialog-box .monaco-button', { hasText: button }).first();
    await found.waitFor();
    await found.click();
  }

  /** Waits for a text anywhere in the workbench. */
  async sees(text) {
    await this.until(`"${text}"`, async () => (await this.text()).includes(text));
  }

  async text() {
    return plain(await this.page.locator('.monaco-workbench').innerText({ timeout: 5000 }));
  }

  /** The title of the active tab. */
  async tab() {
    return (await this.page.locator('.tab.active').first().getAttribute('aria-label', { timeout: 1000 })) ?? '';
  }

  /** How many elements a selector finds that can be seen. */
  async count(selector) {
    return this.page.locator(selector).filter({ visible: true }).count();
  }

  /** Begins a comment at the `+` beside the first hunk in sight, types lines into it, and adds it. */
  async plus(...lines) {
    const editor = this.page.locator('.editor-instance');
    const form = editor.locator('.review-widget .comment-form');
    await this.until('the form of the comment', async () => {
      const line = editor.locator('.view-line', { hasText: 'loud' }).first();
      await line.hover({ timeout: 5000 });
      await editor.locator('.comment-range-glyph.line-hover, .comment-range-glyph.comment-diff-added').first().click({ timeout: 5000, force: true });
      await form.first().waitFor({ timeout: 5000 });
      return true;
    });
    await form.locator('.monaco-editor').first().click();
    for (const [index, line] of lines.entries()) {
      if (index > 0) await this.page.keyboard.press('Enter');
      await this.page.keyboard.type(line);
    }
    await this.until('the text in the form', async () => plain(await form.first().innerText()).includes(lines.at(-1)));
    await this.keep('comment-form');
    await editor.locator('.review-widget').getByText('Add Comment', { exact: true }).first().click();
  }

  async key(key) {
    await this.page.keyboard.press(key);
  }

  /** Keeps a picture of the workbench as an artefact, where they are wanted. */
  async keep(name) {
    const folder = process.env.TEST_ARTEFACTS;
    if (folder) {
      mkdirSync(folder, { recursive: true });
      await this.page.screenshot({ path: join(folder, `vscode-${name}.png`) });
    }
  }

  async close() {
    await this.browser.close();
  }
}

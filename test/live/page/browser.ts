/** A headless Chromium that a test drives over a pipe, by the DevTools protocol; no package is needed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { makeFolder } from '../../helpers/sandbox.ts';

/** The browser of this machine; null if there is none. */
export const chromium: string | null =
  [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
    (file) => file !== undefined && existsSync(file),
  ) ?? null;

interface Reply {
  readonly id?: number;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

export class Browser {
  readonly #process: ChildProcess;
  readonly #profile = makeFolder();
  readonly #waiting = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();
  #lastId = 0;
  #rest = '';
  #session = '';

  private constructor(file: string) {
    const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--remote-debugging-pipe'];
    this.#process = spawn(file, [...flags, `--user-data-dir=${this.#profile}`, 'about:blank'], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
    });
    (this.#process.stdio[4] as Readable).setEncoding('utf8').on('data', (text: string) => this.#receive(text));
    this.#process.on('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the browser has ended'));
    });
  }

  /** Starts a browser with a page of this size. */
  static async open(width: number, height: number): Promise<Browser> {
    if (chromium === null) throw new Error('no Chromium here');
    const browser = new Browser(chromium);
    const { targetId } = await browser.send<{ targetId: string }>('Target.createTarget', { url: 'about:blank' });
    const attached = await browser.send<{ sessionId: string }>('Target.attachToTarget', { targetId, flatten: true });
    browser.#session = attached.sessionId;
    await browser.send('Page.enable');
    await browser.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false });
    return browser;
  }

  async close(): Promise<void> {
    const gone = new Promise((resolve) => {
      this.#process.once('close', resolve);
    });
    this.#process.kill();
    await gone;
    // Its helper processes may live, and write, a moment longer.
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }

  /** Opens a page and waits until its scripts have run. */
  async goto(url: string): Promise<void> {
    await this.send('Page.navigate', { url });
    await this.evaluate(`new Promise((done) => {
      if (document.readyState === 'complete') done(true); else addEventListener('load', () => done(true));
    })`);
  }

  /** The value of an expression in the page. */
  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await this.send<{
      result: { value: T };
      exceptionDetails?: { text: string; exception?: { description?: string } };
    }>('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails !== undefined) {
      throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    }
    return result.value;
  }

  /** Waits until everything up to now is drawn. */
  async drawn(): Promise<void> {
    await this.evaluate(`new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))`);
  }

  async press(key: string): Promise<void> {
    const text = key.length === 1 ? { text: key } : {};
    await this.send('Input.dispatchKeyEvent', { type: 'keyDown', key, ...text });
    await this.send('Input.dispatchKeyEvent', { type: 'keyUp', key });
  }

  async type(text: string): Promise<void> {
    for (const key of text) await this.press(key);
  }

  async mouse(
    type: 'mousePressed' | 'mouseReleased' | 'mouseMoved' | 'mouseWheel',
    x: number,
    y: number,
    more = {},
  ): Promise<void> {
    const button = type === 'mousePressed' || type === 'mouseReleased' ? { button: 'left', clickCount: 1 } : {};
    await this.send('Input.dispatchMouseEvent', { type, x, y, ...button, ...more });
  }

  /** Presses at one place, moves to another and lets go there. */
  async drag(from: readonly [number, number], to: readonly [number, number]): Promise<void> {
    await this.mouse('mousePressed', ...from);
    await this.mouse('mouseMoved', (from[0] + to[0]) / 2, (from[1] + to[1]) / 2, { buttons: 1 });
    await this.mouse('mouseMoved', ...to, { buttons: 1 });
    await this.mouse('mouseReleased', ...to);
  }

  async prefer(scheme: 'dark' | 'light'): Promise<void> {
    await this.send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] });
  }

  /** The screen, as a PNG. */
  async screenshot(): Promise<Buffer> {
    const { data } = await this.send<{ data: string }>('Page.captureScreenshot', { format: 'png' });
    return Buffer.from(data, 'base64');
  }

  send<T>(method: string, params: object = {}): Promise<T> {
    this.#lastId += 1;
    const id = this.#lastId;
    const session = this.#session === '' ? {} : { sessionId: this.#session };
    (this.#process.stdio[3] as Writable).write(`${JSON.stringify({ id, method, params, ...session })}\0`);
    return new Promise<unknown>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
    }) as Promise<T>;
  }

  #receive(text: string): void {
    const messages = (this.#rest + text).split('\0');
    this.#rest = messages.pop() ?? '';
    for (const message of messages) {
      const { id, result, error } = JSON.parse(message) as Reply;
      const waiter = id === undefined ? undefined : this.#waiting.get(id);
      if (id === undefined || waiter === undefined) continue;
      this.#waiting.delete(id);
      if (error === undefined) waiter.resolve(result);
      else waiter.reject(new Error(error.message));
    }
  }
}

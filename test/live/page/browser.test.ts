/** The page of a recording in headless Chromium, where there is one. */
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Recorder } from '../../../src/live/record/recorder.ts';
import { Browser, chromium } from './browser.ts';
import { eventfulScript, injectingConfig, openSession } from '../record/recorded-session.ts';
import { useFolder } from '../../helpers/sandbox.ts';

describe.skipIf(chromium === null)('the page of a recording in a browser', () => {
  const folder = useFolder();
  const file = path.join(folder, 'run.html');
  let browser: Browser;

  beforeAll(async () => {
    const { run, options } = await openSession(folder, injectingConfig);
    const recorder = await Recorder.open(file, options);
    await run(...eventfulScript, 'resume A', 'resume B', 'aio_flush');
    recorder.close();
    browser = await Browser.open(1200, 820);
    // A browser that starts for the first time on a busy machine takes its time.
  }, 60_000);
  afterAll(async () => {
    await browser.close();
  });
  beforeEach(async () => {
    await browser.goto(pathToFileURL(file).href);
    await browser.evaluate('whenShown');
    await browser.drawn();
  });

  /** "12 requests, records 1 to 279": how many are shown, and from where to where. */
  const shown = async (): Promise<string> => {
    await browser.drawn();
    return browser.evaluate(`document.getElementById('count').textContent`);
  };
  const text = (id: string): Promise<string> => browser.evaluate(`document.getElementById('${id}').innerText`);
  const place = (id: string): Promise<{ x: number; y: number; width: number; height: number }> =>
    browser.evaluate(`document.getElementById('${id}').getBoundingClientRect().toJSON()`);
  const byOrder = (): Promise<void> => browser.evaluate(`document.getElementById('by-order').click()`);

  it('has the timeline with suspensions and errors, the rules and the events, and asks nobody for anything', async () => {
    expect(await shown()).toMatch(/^\d+ requests/);
    const marks = `['hold', 'tick', 'fail'].map((one) => document.querySelectorAll('#rows .' + one).length)`;
    for (const count of await browser.evaluate<number[]>(marks)) expect(count, marks).toBeGreaterThan(0);
    expect(await text('rows')).toContain('ENOSPC');
    expect(await text('events')).toContain('pwritev');
    expect(await browser.evaluate(`performance.getEntriesByType('resource').length`)).toBe(0);
  });

  it('filters what is typed', async () => {
    const all = Number.parseInt(await shown(), 10);
    await browser.press('/');
    await browser.type('enospc');
    expect(await shown()).toMatch(new RegExp(`^1 of ${all} requests`));
    await browser.evaluate(`document.getElementById('filter').select()`);
    await browser.type('-write');
    expect(Number.parseInt(await shown(), 10)).toBeLessThan(all);
    expect(await text('rows')).not.toContain('write');
  });

  it('tells which command started a request, and leads from a command to its request', async () => {
    await browser.press('ArrowDown');
    expect(await text('detail')).toMatch(/started by command \d+: (aio_)?write/);
    expect(await text('commands')).toContain('aio_write');
    await browser.evaluate(`document.querySelectorAll('#commands [data-command]')[1].click()`);
    await browser.drawn();
    const line = await browser.evaluate<string>(`document.querySelectorAll('#commands [data-command]')[1].textContent`);
    expect(await text('detail')).toContain(line);
  });

  it('answers ? with its keys, once more without', async () => {
    const isHidden = (): Promise<boolean> => browser.evaluate(`document.getElementById('key-list').hidden`);
    await browser.press('?');
    expect([await isHidden(), await text('key-list')]).toEqual([false, expect.stringContaining('time or order')]);
    await browser.press('?');
    expect(await isHidden()).toBe(true);
  });

  it('zooms by keys, by the wheel and by a drag, and back', async () => {
    await byOrder();
    const whole = await shown();
    await browser.press('+');
    expect(await shown()).not.toBe(whole);
    await browser.press('0');
    expect(await shown()).toBe(whole);
    const axis = await place('axis');
    const y = axis.y + axis.height / 2;
    await browser.mouse('mouseWheel', axis.x + axis.width / 2, y, { deltaX: 0, deltaY: -400 });
    expect(await shown()).not.toBe(whole);
    await browser.press('Escape');
    expect(await shown()).toBe(whole);
    const overview = await place('overview');
    const middle = overview.y + overview.height / 2;
    const at = (share: number): [number, number] => [overview.x + overview.width * share, middle];
    await browser.drag(at(0.5), at(0.7));
    const part = await shown();
    expect(part).not.toBe(whole);
    await browser.press('ArrowRight');
    expect(await shown()).not.toBe(part);
  });

  it('tells the steps of the request that is selected by arrows or a click', async () => {
    await browser.press('ArrowDown');
    const first = await text('detail');
    expect(first).toContain('begin');
    const rows = await place('rows');
    await browser.mouse('mousePressed', rows.x + 60, rows.y + 50);
    await browser.mouse('mouseReleased', rows.x + 60, rows.y + 50);
    expect(await text('detail')).not.toBe(first);
  });

  it('is dark for those who want it so, and readable either way', async () => {
    const colours: string[] = [];
    for (const scheme of ['light', 'dark'] as const) {
      await browser.prefer(scheme);
      colours.push(
        await browser.evaluate(
          `getComputedStyle(document.body).backgroundColor + getComputedStyle(document.body).color`,
        ),
      );
    }
    expect(colours[0]).not.toBe(colours[1]);
  });

  it('fits into a narrow window', async () => {
    await browser.send('Emulation.setDeviceMetricsOverride', {
      width: 400,
      height: 800,
      deviceScaleFactor: 1,
      mobile: false,
    });
    await browser.goto(pathToFileURL(file).href);
    expect(await browser.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(400);
  });
});

/** The recording, the monitor and the panel of a session. Each part is loaded when it is asked for. */
import { BlockError } from '../block/error.ts';
import type { LivePanel } from '../live/panel/live-panel.ts';
import type { PanelColumn } from '../live/panel/panel.ts';
import type { Monitor } from '../live/watch/monitor.ts';
import type { Recorder } from '../live/record/recorder.ts';
import type { Session } from '../shell/session.ts';
import type { RecordingStatus, SessionViews } from '../shell/session-views.ts';
import { Errno } from '../util/errno.ts';
import type { ConsoleHost } from './consoles.ts';
import type { RoutedOutput } from './routed-output.ts';
import { type Stdio, terminalSize } from './stdio.ts';

/** The recording, the monitor and the panel of one session. */
export class Views implements SessionViews {
  /** The panel if it is on; on a very small terminal it is on and not visible. */
  panel: LivePanel | null = null;
  readonly #session: Session;
  readonly #stdio: Stdio;
  /** The words of the command line. */
  readonly #command: readonly string[];
  #recorder: Recorder | null = null;
  #monitor: Monitor | null = null;
  #listRows: number | null = null;
  /** There is a prompt, whose keys may become the panel's. */
  hasKeys = false;
  /** The lists of the panel. */
  panelColumns: readonly PanelColumn[] = ['events', 'rules', 'suspended'];
  readonly #onResize = (): void => this.panel?.resize(terminalSize());

  constructor(session: Session, stdio: Stdio, command: readonly string[]) {
    this.#session = session;
    this.#stdio = stdio;
    this.#command = command;
    session.views = this;
  }

  get recording(): RecordingStatus | null {
    const recorder = this.#recorder;
    return recorder === null || !recorder.isRecording ? null : { path: recorder.path, records: recorder.recordCount };
  }

  async startRecording(path: string): Promise<void> {
    if (this.recording !== null) throw new BlockError(Errno.EBUSY, `${this.recording.path} is being recorded already`);
    const { openRecorder, tellBusOfOutput } = await import('./recording.ts');
    tellBusOfOutput(this.#session);
    this.#recorder = await openRecorder(this.#session, path, this.#command);
  }

  stopRecording(): RecordingStatus {
    const status = this.recording;
    if (status === null) throw new BlockError(Errno.ENOENT, 'nothing is recorded');
    this.#recorder?.close();
    this.#recorder = null;
    return status;
  }

  /**
   * Serves the session to clients on a socket; `output` is that of the session, `shutdown` ends it in order. Fails with
   * BlockError if the socket cannot be made.
   */
  async startMonitor(path: string, output: RoutedOutput, shutdown: () => void): Promise<void> {
    const { openMonitor } = await import('./watching.ts');
    // Clients ask for the pictures that commands draw.
    await this.#session.shell.commands.complete();
    const { tellBusOfOutput } = await import('./recording.ts');
    tellBusOfOutput(this.#session);
    const stdio = this.#stdio;
    const host: ConsoleHost = {
      shutdown,
      began(client, line) {
        if (stdio.isTerminal) stdio.stderr(`(${client}: ${line})\n`);
      },
      ended: () => {
        this.panel?.changed();
        // The prompt tells how many requests are suspended.
        stdio.guard?.(() => {}, '');
      },
      tell: (line) => output.captured(stdio, () => this.#session.error(line)),
    };
    this.#monitor = await openMonitor(this.#session, path, this.#command, { output, host });
  }

  get isLive(): boolean {
    return this.panel !== null;
  }

  async setLive(isOn: boolean): Promise<void> {
    if (isOn === this.isLive) return;
    if (!isOn) {
      this.#hidePanel();
      return;
    }
    if (!this.#stdio.stdoutIsTerminal) throw new BlockError(Errno.ENOTTY, 'there is no terminal for the panel');
    if (!this.#stdio.hasCursor) throw new BlockError(Errno.ENOTTY, 'this terminal (TERM=dumb) cannot show the panel');
    const { makePanel } = await import('./watching.ts');
    this.#showPanel(makePanel(this.#session, this.panelColumns, () => this.hasKeys));
  }

  setLiveRows(rows: number): void {
    this.#listRows = rows;
    this.panel?.setListRows(rows);
  }

  /** Ends the recording and the monitor. The panel stays until the program has written everything. */
  async close(): Promise<void> {
    this.#recorder?.close();
    await this.#monitor?.close();
  }

  #showPanel(panel: LivePanel): void {
    const stdio = this.#stdio;
    stdio.sync();
    if (this.#listRows !== null) panel.setListRows(this.#listRows);
    this.panel = panel;
    // Without a prompt, only the panel has to be kept apart from the output.
    stdio.guard ??= (write, text) => this.writeBelow(write, text);
    stdio.farewell = () => panel.restore();
    process.stdout.prependListener('resize', this.#onResize);
    panel.start();
  }

  #hidePanel(): void {
    this.#stdio.sync();
    this.panel?.stop();
    this.panel = null;
    this.#stdio.farewell = null;
    process.stdout.off('resize', this.#onResize);
  }

  /** Runs `write`, which writes `text` to the terminal, so that it scrolls below the panel. */
  writeBelow(write: () => void, text: string): void {
    const { before, after } = this.panel?.passage(text) ?? { before: '', after: '' };
    if (before !== '') process.stdout.write(before);
    write();
    if (after !== '') process.stdout.write(after);
  }
}

/** A session: an open image, the commands that work on it, and the requests that they started. */
import type { Answer } from '../util/steps.ts';
import type { CommandTable, Shell } from './command.ts';
import { CommandRunner } from './command-runner.ts';
import type { OpenRequest } from './image-lifecycle.ts';
import { SessionState, type SessionOptions } from './session-state.ts';

export type { OpenRequest } from './image-lifecycle.ts';

/** The state of a session with the commands that may change it: the whole of the shell, for the program around it. */
export class Session extends SessionState {
  /** The commands that may be run on this session. */
  readonly shell: Shell;

  constructor(options: SessionOptions, commands: CommandTable) {
    super(options);
    this.shell = new CommandRunner(this, commands);
  }

  /** Runs one command line: 0, or the negative errno of its failure. A promise only if the command has to wait. */
  execute(line: string): Answer<number> {
    return this.shell.execute(line);
  }

  /** Opens an image, or says why not. */
  async open(request: OpenRequest): Promise<boolean> {
    return (await lifecycle()).openImage(this, request);
  }

  /** Ends every request and closes the image; suspended requests are listed and cancelled. */
  async close(): Promise<void> {
    if (this.backend !== null) await (await lifecycle()).closeImage(this);
  }
}

/** Loaded with the first image, and with it most of the block layer. */
const lifecycle = () => import('./image-lifecycle.ts');

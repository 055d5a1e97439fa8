/** A session as clients of its control socket may use it. The program around the session provides it. */

const CONSOLE = 'console ';

/** The name of a client of the control socket: "console 3". Clients of exports are called "client 3". */
export function consoleName(number: number): string {
  return `${CONSOLE}${number}`;
}

/** Whether a name is that of a client of the control socket. */
export function isConsoleName(name: string): boolean {
  return name.startsWith(CONSOLE);
}

/** A line of the shell that a client wants to be run. */
export interface ConsoleCommand {
  /** The name of the client: "console 3". */
  readonly client: string;
  readonly line: string;
  /** A user sits in front of the client: quoted words, comments, sums, tables and hints, as at a prompt. */
  readonly isTerminal: boolean;
  /** How many columns that user's terminal has; 0 if it is not known. */
  readonly columns: number;
  /** The user has confirmed that suspended requests are cancelled. */
  readonly isConfirmed: boolean;
}

/** Text of a command on the two streams. */
export interface ConsoleOutput {
  readonly stdout: string;
  readonly stderr: string;
  /** Requests of the client that have begun and not reported. */
  readonly unfinished: number;
}

/** How a command ended. */
export interface CommandResult extends ConsoleOutput {
  /** 0, or the errno of the failure. */
  readonly status: number;
  /** How many requests are suspended in the session, those of others among them. */
  readonly suspended: number;
  /** More was printed than is sent. */
  readonly truncated: boolean;
}

/** The pictures of a session that a client may ask for. */
export const pictureNames = ['rules', 'suspended', 'requests', 'state', 'nodes', 'info', 'events'] as const;
/** One of the pictures. */
export type PictureName = (typeof pictureNames)[number];

/** How much of a picture is wanted; each has some of these. */
export interface PictureOptions {
  readonly node?: string;
  readonly all?: boolean;
  readonly counts?: boolean;
  readonly limit?: number;
  readonly filter?: string;
}

/** The words that may stand in the place of the last one of a line. */
export interface LineCompletion {
  readonly candidates: readonly string[];
  readonly word: string;
}

/**
 * The session. Methods fail with `RpcError`, or with `BlockError` for what the session refuses. Nothing but a command
 * waits for its turn.
 */
export interface SessionControl {
  /** A client is there; `late` gets what its requests print after their command has ended. */
  join(client: string, late: (output: ConsoleOutput) => void): void;
  /** The client has gone: its command is interrupted, those that wait are dropped. */
  leave(client: string): void;
  /** Runs a command when its turn has come, between two lines of the session's own input. */
  command(command: ConsoleCommand): Promise<CommandResult>;
  /** Whether a line is `quit`, which for a client means that it leaves. */
  isQuit(line: string): boolean;
  /** The result of a command that does nothing. */
  idleResult(client: string): CommandResult;
  /** Ends what a client's command waits for, as Ctrl-C does. False if it has none. */
  interrupt(client: string): boolean;
  /** A picture as the shell gives it with -j. */
  picture(name: PictureName, options: PictureOptions): unknown;
  complete(line: string): LineCompletion;
  /** The clients of exports, as `export clients -j` lists them. */
  exportClients(): readonly object[];
  /** Ends the session in order. */
  shutdown(): void;
  /** No more commands are run: those that wait are told so. */
  end(): void;
  /** A line for the user of the session about its clients. */
  tell(line: string): void;
}

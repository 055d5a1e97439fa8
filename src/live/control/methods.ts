/** The methods of the control socket: their parameters, and what each does. */
import { eventNames } from '../../block/events/events.ts';
import {
  SchemaError,
  count,
  flag,
  isObject,
  list,
  type Members,
  object,
  oneOf,
  optional,
  text,
} from '../record/value-checks.ts';
import { recordKinds } from '../record/schema.ts';
import { CONTROL_VERSION, RpcCode, RpcError } from './messages.ts';
import { type PictureName, pictureNames, type PictureOptions, type SessionControl } from './session-control.ts';
import { ioTypes, type RecordFilter } from './subscription.ts';

/** A client as its methods see it. */
export interface MethodContext {
  readonly control: SessionControl;
  /** Its name: "console 3". */
  readonly client: string;
  /** A label that `clients` shows besides. */
  label: string;
  /** Name and version of the program, and the number of the schema of records. */
  readonly version: { readonly program: string; readonly schema: number };
  /** The clients of the socket. */
  clients(): readonly object[];
  subscribe(to: readonly Stream[], filter: RecordFilter): void;
  unsubscribe(): void;
  /** The connection ends when this call has been answered. */
  leave(): void;
}

/** A method. */
interface Method {
  readonly summary: string;
  readonly params: Members;
  run(context: MethodContext, params: Readonly<Record<string, unknown>>): unknown;
}

/** The streams that a client may follow. */
const streams = ['records', 'snapshots', 'events'] as const;
/** One of the streams of a session. */
export type Stream = (typeof streams)[number];

/** A list of a subscription has at most so many entries. */
const MAX_LIST = 1000;
const filterMembers: Members = {
  kinds: optional(bounded(list(oneOf(...recordKinds)))),
  events: optional(bounded(list(oneOf(...eventNames)))),
  requests: optional(bounded(list(count))),
  nodes: optional(bounded(list(text))),
  iotypes: optional(bounded(list(oneOf(...ioTypes)))),
};

function bounded(check: (value: unknown) => unknown): (value: unknown) => unknown {
  return (value) => {
    if (Array.isArray(value) && value.length > MAX_LIST)
      throw new SchemaError(`a list of more than ${MAX_LIST} entries`);
    return check(value);
  };
}

const pictureParams: Readonly<Record<PictureName, readonly [summary: string, params: Members]>> = {
  rules: ['the rules and breakpoints', { node: optional(text) }],
  suspended: ['the suspended requests', {}],
  requests: ['the requests in flight', {}],
  state: ['the state of the rules and its changes', { node: optional(text), all: optional(flag) }],
  nodes: ['the nodes of the image', {}],
  info: ['the format and the sizes of the image', {}],
  events: [
    'the latest events, or how often each fired',
    { all: optional(flag), counts: optional(flag), limit: optional(count), filter: optional(text) },
  ],
};

function textOf(value: unknown, otherwise = ''): string {
  return typeof value === 'string' ? value : otherwise;
}

/** A line of the shell is one. */
function lineOf(params: Readonly<Record<string, unknown>>): string {
  const line = textOf(params.line);
  if (/[\n\r]/.test(line)) throw new RpcError(RpcCode.INVALID_PARAMS, "'line' is more than one line");
  return line;
}

const methods: Readonly<Record<string, Method>> = {
  command: {
    summary: 'runs a line of the shell: its output and status',
    params: { line: text, terminal: optional(flag), columns: optional(count), confirmed: optional(flag) },
    async run(context, params) {
      const line = lineOf(params);
      const { client, control } = context;
      if (control.isQuit(line)) {
        context.leave();
        return control.idleResult(client);
      }
      const { terminal, columns = 0, confirmed } = params;
      return control.command({
        client,
        line,
        isTerminal: terminal === true,
        columns: columns as number,
        isConfirmed: confirmed === true,
      });
    },
  },
  interrupt: {
    summary: 'ends what a command waits for, as Ctrl-C does; at once, before calls that were sent earlier',
    params: { client: optional(text) },
    run: ({ client, control }, params) => ({ interrupted: control.interrupt(textOf(params.client, client)) }),
  },
  subscribe: {
    summary: 'sends records, snapshots or the latest events from now on, in the place of earlier subscriptions',
    params: { to: optional(list(oneOf(...streams))), ...filterMembers },
    run(context, { to = ['records'], ...filter }) {
      context.subscribe(to as Stream[], filter as RecordFilter);
      return { to };
    },
  },
  unsubscribe: {
    summary: 'sends nothing more of them',
    params: {},
    run(context) {
      context.unsubscribe();
      return { to: [] };
    },
  },
  ...Object.fromEntries(
    pictureNames.map((name): [string, Method] => {
      const [summary, params] = pictureParams[name];
      return [name, { summary, params, run: ({ control }, given) => control.picture(name, given as PictureOptions) }];
    }),
  ),
  complete: {
    summary: 'the words that may stand in the place of the last one of a line',
    params: { line: text },
    run: ({ control }, params) => control.complete(lineOf(params)),
  },
  clients: {
    summary: 'who is connected: to this socket, and to exports',
    params: {},
    run: (context) => ({ consoles: context.clients(), exports: context.control.exportClients() }),
  },
  version: {
    summary: 'the versions of program, methods and records; with a name, that is how "clients" lists this client',
    params: { name: optional(text) },
    run(context, { name }) {
      if (typeof name === 'string') context.label = name.slice(0, MAX_LABEL_CHARS);
      return { ...context.version, control: CONTROL_VERSION, client: context.client };
    },
  },
  help: {
    summary: 'the methods',
    params: {},
    run: () =>
      Object.entries(methods).map(([method, { summary, params }]) => ({
        method,
        summary,
        params: Object.keys(params),
      })),
  },
  shutdown: {
    summary: 'ends the session in order; suspended requests are cancelled',
    params: {},
    run({ control }) {
      control.shutdown();
      return {};
    },
  },
};

const MAX_LABEL_CHARS = 64;

/** Whether a call is served at once, though others of the client are waiting. */
export function goesFirst(method: string): boolean {
  return method === 'interrupt';
}

/** Calls a method; `RpcError` for one that does not exist and for wrong parameters. */
export function callMethod(context: MethodContext, name: string, params: Readonly<Record<string, unknown>>): unknown {
  const method = Object.hasOwn(methods, name) ? methods[name] : undefined;
  if (method === undefined) throw new RpcError(RpcCode.METHOD_NOT_FOUND, "no such method; 'help' lists them");
  const unknown = Object.keys(params).find((param) => !Object.hasOwn(method.params, param));
  if (unknown !== undefined) {
    throw new RpcError(RpcCode.INVALID_PARAMS, `there is no parameter '${unknown.slice(0, MAX_LABEL_CHARS)}'`);
  }
  return method.run(context, checkedParams(method.params, params));
}

function checkedParams(members: Members, params: Readonly<Record<string, unknown>>): Record<string, unknown> {
  try {
    const checked = object('params', members)(params);
    if (isObject(checked)) return checked;
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    throw new RpcError(RpcCode.INVALID_PARAMS, error.message);
  }
  throw new RpcError(RpcCode.INVALID_PARAMS, "'params' is not an object");
}

/** The exports of a session's image: one NBD server, made when the first is started. */
import { suspendedRequests } from '../block/debug/port.ts';
import { BlockError } from '../block/error.ts';
import { Perm } from '../block/flags.ts';
import type { NbdServer } from '../nbd/index.ts';
import { suspendedLines } from '../shell/output/suspended-text.ts';
import { settle } from '../shell/script.ts';
import type { ClientStatus, ExportRequest, ExportStatus, SessionExports } from '../shell/session-exports.ts';
import type { SessionState } from '../shell/session-state.ts';
import { Errno } from '../util/errno.ts';

/** The program around the exports. */
export interface ExportHost {
  /** A client has come or left. */
  changed(): void;
  /** A line about clients for the user of the session. */
  tell(line: string): void;
}

/** Exports of the open image. They end before it is closed. */
export class ImageExports implements SessionExports {
  readonly #session: SessionState;
  readonly #host: ExportHost;
  #server: NbdServer | null = null;
  #uriOf: ((name: string) => string[]) | null = null;

  constructor(session: SessionState, host: ExportHost) {
    this.#session = session;
    this.#host = host;
  }

  async start({ address: text, name, isReadOnly }: ExportRequest): Promise<string> {
    const session = this.#session;
    if (session.backend === null) throw new BlockError(Errno.ENOMEDIUM, "no file open, try 'help open'");
    const { exportUri, formatAddress, NbdExport, NbdServer: Server, parseAddress } = await import('../nbd/index.ts');
    const address = parseAddress(text);
    const backend = session.image;
    if (!isReadOnly && !backend.top.isReadOnly) {
      backend.addPermissions(Perm.CONSISTENT_READ | Perm.WRITE);
    }
    const server = (this.#server ??= new Server({
      loop: session.loop,
      allocate: (bytes) => session.context.allocate(bytes),
      tell: (line) => this.#host.tell(line),
      onChange: () => this.#host.changed(),
    }));
    this.#uriOf = (exportName) => server.addresses.map((bound) => exportUri(bound, exportName));
    const listens = server.addresses.some((bound) => formatAddress(bound) === formatAddress(address));
    const isOffered = server.exports.has(name);
    if (isOffered && listens) throw new BlockError(Errno.EEXIST, `'${name}' is exported at ${text} already`);
    // Nothing listens for an export that cannot be.
    if (!isOffered) server.checkName(name);
    const bound = listens ? address : await server.listen(address);
    if (!isOffered) server.addExport(new NbdExport({ name, backend, isReadOnly }));
    return exportUri(bound, name);
  }

  async stop(name: string | null): Promise<void> {
    const server = this.#server;
    if (server === null) throw new BlockError(Errno.ENOENT, 'nothing is exported');
    const isLast = name === null || (server.exports.size === 1 && server.exports.has(name));
    if (isLast) this.#server = null;
    const stuck = isLast ? await server.stop() : await server.removeExport(name);
    if (stuck > 0) this.#session.warn(`${stuck} requests of clients have not ended`);
  }

  /** Ends all exports, if there are any. The requests of clients that are cancelled so are listed, as failures. */
  async end(): Promise<void> {
    if (this.#server === null) return;
    const session = this.#session;
    await settle(session);
    const clients = new Set(this.clients().map(({ client }) => client));
    const cancelled = suspendedRequests(session.top).filter(({ client = '' }) => clients.has(client));
    for (const line of suspendedLines(cancelled, session.loop.clock.nowNs())) session.error(`cancelled: ${line}`);
    if (cancelled.length > 0) session.hadCancelledRequests = true;
    await this.stop(null);
  }

  exports(): readonly ExportStatus[] {
    const server = this.#server;
    if (server === null) return [];
    const { connections } = server;
    return [...server.exports.values()].map(({ name, isReadOnly, sizeBytes }) => ({
      name,
      isReadOnly,
      sizeBytes,
      clients: connections.filter(({ exportName }) => exportName === name).length,
      uris: this.#uriOf?.(name) ?? [],
    }));
  }

  clients(): readonly ClientStatus[] {
    return (this.#server?.connections ?? []).map(({ id, peer, exportName, state, requests, inFlight }) => {
      return { client: `client ${id}`, peer, exportName, state, requests, inFlight };
    });
  }
}

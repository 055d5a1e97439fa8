/** The exports of a session's image to NBD clients, as commands control them. The program around it provides them. */
export interface SessionExports {
  /**
   * Offers the open image under a name, and listens at an address; the URI for clients. EINVAL for another address,
   * EEXIST if this is so already, EADDRINUSE and other errors of the host if it cannot listen there.
   */
  start(request: ExportRequest): Promise<string>;
  /**
   * Withdraws an export, or all with null, which ends the listening, too. Requests of clients that can end are
   * answered, suspended ones are cancelled. ENOENT if there is none. Turns the loop; not to be called in a coroutine.
   */
  stop(name: string | null): Promise<void>;
  /** Ends all exports, as `stop`, if there are any. */
  end(): Promise<void>;
  /** The exports, in the order in which they were started. */
  exports(): readonly ExportStatus[];
  /** The connected clients, oldest first. */
  clients(): readonly ClientStatus[];
}

/** An export to be started: its address, its name, its access. */
export interface ExportRequest {
  /** `unix:PATH` or `tcp:[HOST:]PORT`. */
  readonly address: string;
  /** Empty for the export that clients get without a name. */
  readonly name: string;
  /** Clients may not write. */
  readonly isReadOnly: boolean;
}

/** An export as it is listed. */
export interface ExportStatus {
  readonly name: string;
  readonly isReadOnly: boolean;
  readonly sizeBytes: number;
  readonly clients: number;
  /** One for each address. */
  readonly uris: readonly string[];
}

/** A client as it is listed. */
export interface ClientStatus {
  /** Its name in `requests`: "client 3". */
  readonly client: string;
  readonly peer: string;
  /** Null before the client has chosen one. */
  readonly exportName: string | null;
  readonly state: string;
  /** Requests so far, and those that have not ended. */
  readonly requests: number;
  readonly inFlight: number;
}

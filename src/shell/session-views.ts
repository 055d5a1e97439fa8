/** The recording, the panel and the other consoles of a session. The program around the session provides them. */
export interface SessionViews {
  /** The recording that is under way; null if there is none. */
  readonly recording: RecordingStatus | null;
  /** Begins a recording; the end of the name says its form. EBUSY if one is under way, EINVAL for another name. */
  startRecording(path: string): Promise<void>;
  /** Ends the recording; what it was. ENOENT if there is none. */
  stopRecording(): RecordingStatus;

  /** Whether the panel is on. */
  readonly isLive: boolean;
  /** Shows or hides the panel. ENOTTY where there is no terminal for it. */
  setLive(isOn: boolean): Promise<void>;
  /** How many rows the panel's lists have, now or when it is shown next. */
  setLiveRows(rows: number): void;
}

/** The commands that other consoles have sent. They run between two lines of the session's own input. */
export interface SessionConsoles {
  /** Whether one waits for its turn. */
  readonly hasCommands: boolean;
  /** Runs those that wait, in the order in which they came. */
  runCommands(): Promise<void>;
}

/** The recording that is under way. */
export interface RecordingStatus {
  readonly path: string;
  readonly records: number;
}

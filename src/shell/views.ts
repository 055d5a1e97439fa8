/** What shows a session to others: a recording, the panel of a terminal. The program around the session provides it. */
export interface SessionViews {
  /** Something has changed that the bus does not tell: rules, breakpoints, the image. */
  pictureChanged(): void;
  /** The image is about to be closed: this is the last picture of it. */
  imageCloses(): void;

  /** The recording that goes on; null if there is none. */
  readonly recording: RecordingStatus | null;
  /** Begins a recording; the end of the name says its form. EBUSY if one goes on, EINVAL for another name. */
  startRecording(path: string): Promise<void>;
  /** Ends the recording and tells of it. ENOENT if there is none. */
  stopRecording(): RecordingStatus;

  /** Whether the panel is on. */
  readonly isLive: boolean;
  /** Shows the panel, or takes it away. ENOTTY where there is no terminal for it. */
  setLive(isOn: boolean): Promise<void>;
  /** How many rows the panel's lists have, now or when it is shown next. */
  setLiveRows(rows: number): void;
}

/** The recording that is under way. */
export interface RecordingStatus {
  readonly path: string;
  readonly records: number;
}

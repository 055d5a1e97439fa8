/** The options of the protocol `file`, for its driver and for what stands in its place in a search. */

/** Options of a node that is opened, with their types. */
export const fileOptions = {
  filename: 'string',
  aio: 'string',
  'aio-max-batch': 'number',
  locking: 'string',
  'pr-manager': 'string',
  'drop-cache': 'bool',
  'x-check-cache-dropped': 'bool',
} as const;

/** The NBD server as the program uses it; loaded when something is exported. */
export { exportUri, formatAddress, parseAddress } from './address.ts';
export { NbdExport } from './export.ts';
export { NbdServer } from './server.ts';

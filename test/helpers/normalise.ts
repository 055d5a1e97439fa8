/** Takes out of a program's output what no two runs share: times, rates and the name of the temporary folder. */

const clock = String.raw`(?:\d+:\d\d:\d\d\.\d\d|\d\d\.\d\d sec)`;
const number = String.raw`-?(?:\d+\.\d+|inf|nan)`;
const size = String.raw`-?(?:\d+(?:\.\d+)?|inf|nan)(?: [KMGTPE]iB| bytes)`;
const report = new RegExp(String.raw`(\d+ ops; )${clock} \(${size}/sec and ${number} ops/sec\)`, 'g');
/** The line of `-C`: bytes,ops,time,bytes/sec,ops/sec. */
const machineReport = new RegExp(String.raw`(\d+,\d+,)\d+:\d\d:\d\d\.\d\d,${number},${number}`, 'g');

export function normalise(text: string, folder: string): string {
  return text
    .replaceAll(report, '$1TIME (RATE/sec and RATE ops/sec)')
    .replaceAll(machineReport, '$1TIME,RATE,RATE')
    .replaceAll(folder, 'DIR');
}

export type OptionValue = string | number | bigint | boolean | null;
export class Options extends Map<string, OptionValue> {}

/**
 * How a terminal shows text: the styles in use and the type of the function that applies one. The function itself comes
 * from `cli/paint.ts`, which alone decides whether there is colour; shell and panel are given it when they are made.
 */

/** Eight colours and two weights are all that is used, so that every theme fits. */
export type Style = 'plain' | 'bold' | 'quiet' | 'red' | 'green' | 'yellow' | 'blue' | 'magenta' | 'cyan';

/** Wraps a text without control characters in what makes the terminal show it in that style. */
export type Paint = (text: string, style: Style) => string;

/** For terminals without colours, and for pipes. */
export const unpainted: Paint = (text) => text;

/** The one place that decides whether a terminal gets colours, for prompt, tables, panel, attach and messages. */
import { Chalk, type ChalkInstance, type ColorSupportLevel, supportsColor } from 'chalk';
import { type Paint, type Style, unpainted } from '../util/style.ts';

/** When there are colours: as the terminal and the environment say, always or never. */
export type ColourMode = 'auto' | 'always' | 'never';

/**
 * The styles of a terminal at standard output. In mode `auto`: FORCE_COLOR decides if it is set, then NO_COLOR (an
 * empty one counts as unset, as no-color.org says), then what chalk knows of the terminal (TERM=dumb has none).
 */
export function terminalPaint(mode: ColourMode = 'auto'): Paint {
  const chalk = new Chalk({ level: colourLevel(mode) });
  if (chalk.level === 0) return unpainted;
  const styles = stylesOf(chalk);
  return (text, style) => (text === '' || style === 'plain' ? text : styles[style](text));
}

function colourLevel(mode: ColourMode): ColorSupportLevel {
  if (mode === 'never') return 0;
  if (mode === 'always') return 1;
  const { NO_COLOR, FORCE_COLOR } = process.env;
  if (FORCE_COLOR === undefined && NO_COLOR !== undefined && NO_COLOR !== '') return 0;
  return supportsColor === false ? 0 : supportsColor.level;
}

function stylesOf(chalk: ChalkInstance): Record<Exclude<Style, 'plain'>, ChalkInstance> {
  return {
    bold: chalk.bold,
    quiet: chalk.dim,
    red: chalk.bold.red,
    green: chalk.green,
    // Not bold: bright yellow cannot be read on a light background.
    yellow: chalk.yellow,
    blue: chalk.blue,
    magenta: chalk.magenta,
    cyan: chalk.cyan,
  };
}

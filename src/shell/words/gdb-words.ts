/** The words of gdb at a prompt, where qemu-io has no command of that name: each stands for one of ours. */

/** A word with what it stands for, and what that does. */
interface GdbWord {
  readonly names: readonly string[];
  readonly means: string;
  readonly does: string;
}

/** All of them, for `help gdb`. */
export const gdbWords: readonly GdbWord[] = [
  { names: ['b', 'tbreak'], means: 'break', does: 'a breakpoint; it stops one request, and with -p every one' },
  { names: ['n', 's'], means: 'step', does: 'a request goes on to its next event' },
  { names: ['continue', 'cont'], means: 'resume', does: 'a request goes on; "c" is close, as in qemu-io' },
  { names: ['bt', 'backtrace'], means: 'requests', does: 'the requests in flight, and what each waits for' },
  { names: ['delete'], means: 'rule remove', does: 'removes rules, breakpoints and watches by their numbers' },
  { names: ['disable'], means: 'rule disable', does: 'switches them off' },
  { names: ['enable'], means: 'rule enable', does: 'arms them again' },
  { names: ['i b', 'info b', 'info break', 'info breakpoints'], means: 'rules', does: 'lists them' },
];

const byName: ReadonlyMap<string, readonly string[]> = new Map(
  gdbWords.flatMap(({ names, means }) => names.map((name) => [name, means.split(' ')] as const)),
);

/** A line of ours for one in the words of gdb; null if its words are none of those. `argv` is a line that was typed. */
export function fromGdbWords(argv: readonly string[]): string[] | null {
  const [first = '', second] = argv;
  const both = argv.length === 2 ? byName.get(`${first} ${second ?? ''}`) : undefined;
  if (both !== undefined) return [...both];
  const one = byName.get(first);
  return one === undefined ? null : [...one, ...argv.slice(1)];
}

/** The options of a blkdebug node: settings, sections of rules (also from the config file), lists of permissions. */
import { atPlace, invalidArgument } from '../../block/error.ts';
import { absorbOptions, isIdentifier, Options, type SizeReader, takeSub } from '../../block/options/options.ts';
import { defaultCompat } from '../../block/compat.ts';
import { type ConfigSection, readConfigFile } from './config-file.ts';
import { limitTypes } from './limits.ts';
import { parsePermissions, type PermissionOverrides } from './permissions.ts';
import { readSection, type Rule, type RuleGroup, ruleGroups, type RuleMaker } from './rules/index.ts';

const settingTypes = { config: 'string', 'x-image': 'string', ...limitTypes } as const;
type Settings = ReturnType<typeof absorbOptions<typeof settingTypes>>;

/** Takes everything but rules, permissions and the child's options. */
export function takeSettings(options: Options, reader: SizeReader): Settings {
  return absorbOptions(options, settingTypes, reader);
}

/** Takes the two lists of permissions out of the options. EINVAL for a name that is no permission. */
export function takePermissions(options: Options): PermissionOverrides {
  const take = parsePermissions(takeSub(options, 'take-child-perms.'));
  const unshare = parsePermissions(takeSub(options, 'unshare-child-perms.'));
  return { take, unshare };
}

/**
 * The rules of the config file and of the options, in the order in which they are to be added: by group; within one,
 * those of the file come first. All sections are read before the first rule is made.
 */
export function takeRules(configPath: string | null, options: Options, compat = defaultCompat): Rule[] {
  const sections = new Sections();
  if (configPath !== null) {
    const unreadable = compat.has('namesRuleFile') ? `Could not open '${configPath}'` : undefined;
    for (const section of readConfigFile(configPath, unreadable)) {
      sections.addFromFile(section, `${configPath}:${section.line}`);
    }
  }
  for (const group of ruleGroups) sections.addFromOptions(group, takeSub(options, `${group}.`));
  return sections.makeRules();
}

/** The rules of a config file alone, in the order in which they are to be added. */
export function readRules(configPath: string): Rule[] {
  return takeRules(configPath, new Options());
}

class Sections {
  readonly #makers: Record<RuleGroup, RuleMaker[]> = { 'inject-error': [], 'set-state': [] };
  readonly #ids: Record<RuleGroup, Set<string>> = { 'inject-error': new Set(), 'set-state': new Set() };

  /** Adds the section that begins at `place`, "FILE:LINE". */
  addFromFile({ group, values }: ConfigSection, place: string): void {
    atPlace(place, () => {
      if (!isGroup(group)) throw invalidArgument(`There is no option group '${group}'`);
      const options = new Options(values);
      const id = options.getString('id');
      if (id !== undefined) this.#claimId(group, id);
      options.delete('id');
      const make = readSection(group, options, true);
      this.#makers[group].push(() => atPlace(place, make));
    });
  }

  /** `options` is either one section, or sections under `0.`, `1.`, …; what it makes of the rest are QEMU's texts. */
  addFromOptions(group: RuleGroup, options: Options): void {
    const { size } = options;
    if (size === 0) return;
    const single = readSection(group, options, false);
    if (options.size === 0) {
      this.#makers[group].push(single);
      return;
    }
    if (options.size < size) throw invalidArgument(`Unknown option '${firstKey(options)}' for [${group}]`);

    const sections = splitNumbered(options);
    if (options.size > 0) throw invalidArgument(`Unused option '${firstKey(options)}' for [${group}]`);
    for (const [index, section] of sections.entries()) {
      if (section === null) throw invalidArgument(`[${group}] section (index ${index}) does not consist of keys`);
      this.#claimId(group, `${group}.${index}`);
      this.#makers[group].push(readSection(group, section, false));
      if (section.size > 0)
        throw invalidArgument(`[${group}] section doesn't support the option '${firstKey(section)}'`);
    }
  }

  makeRules(): Rule[] {
    return ruleGroups.flatMap((group) => this.#makers[group].map((make) => make()));
  }

  #claimId(group: RuleGroup, id: string): void {
    if (!isIdentifier(id)) {
      const hint = "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.";
      throw invalidArgument(`Parameter 'id' expects an identifier\n${hint}`);
    }
    if (this.#ids[group].has(id)) throw invalidArgument(`Duplicate ID '${id}' for ${group}`);
    this.#ids[group].add(id);
  }
}

function isGroup(name: string): name is RuleGroup {
  return ruleGroups.some((group) => group === name);
}

/**
 * Takes `0.*`, `1.*`, … out of `options`, up to the first gap; null stands for a plain `N` in the place of a section.
 */
function splitNumbered(options: Options): (Options | null)[] {
  const sections: (Options | null)[] = [];
  const byNumber = new Map<string, string[]>();
  for (const key of options.keys()) {
    const number = /^[0-9]+(?=\.)/.exec(key)?.[0];
    if (number === undefined) continue;
    const keys = byNumber.get(number);
    if (keys === undefined) byNumber.set(number, [key]);
    else keys.push(key);
  }
  for (let index = 0; ; index += 1) {
    const number = String(index);
    const keys = byNumber.get(number);
    // Both `N` and `N.*` end the list, as neither does.
    if (options.has(number) === (keys !== undefined)) return sections;
    if (keys === undefined) {
      options.delete(number);
      sections.push(null);
      continue;
    }
    const section = new Options();
    for (const key of keys) {
      section.set(key.slice(number.length + 1), options.get(key) ?? null);
      options.delete(key);
    }
    sections.push(section);
  }
}

function firstKey(options: Options): string {
  return options.orderedKeys()[0] ?? '';
}

/** Secrets of `--object`: their forms, and what is refused. The texts are those of qemu-io 7.2.22. */
import { createCipheriv } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { UserObject } from '../../src/block/user-object.ts';
import { createObject } from '../../src/cli/objects.ts';
import { withoutSecrets } from '../../src/cli/session-snapshot.ts';
import { useFolder } from '../helpers/sandbox.ts';

const folder = useFolder();
const key = Buffer.alloc(32, 7);
const iv = Buffer.alloc(16, 9);
const ivText = iv.toString('base64');
const encrypted = createEncrypted('hunter2');

function createEncrypted(text: string): Buffer {
  const cipher = createCipheriv('aes-256-cbc', key, iv);
  return Buffer.concat([cipher.update(text), cipher.final()]);
}

function file(name: string, content: Buffer): string {
  writeFileSync(path.join(folder, name), content);
  return path.join(folder, name);
}

/** The content of the last object of these definitions. */
function secretOf(...definitions: readonly string[]): string {
  const objects = new Map<string, UserObject>();
  for (const definition of definitions) createObject(definition, objects, () => {});
  const last = [...objects.values()].at(-1);
  if (last?.kind !== 'secret') throw new Error('no secret');
  return last.content.toString('latin1');
}

const keySecret = (): string => `secret,id=k,file=${file('key', key)}`;

describe('a secret is', () => {
  it.each([
    ['its data', 'secret,id=s,data=hunter2', 'hunter2'],
    ['data with a comma', 'secret,id=s,data=a,,b', 'a,b'],
    ['empty data', 'secret,id=s,data=', ''],
    ['base64', 'secret,id=s,data=aHVudGVyMg==,format=base64', 'hunter2'],
    ['base64 whose last group is cut', 'secret,id=s,data=aHVudGVyMg,format=base64', 'hunter'],
    ['base64 in lines', 'secret,id=s,data=aHVu\ndGVyMg==\n,format=base64', 'hunter2'],
    ['JSON', '{"qom-type":"secret","id":"s","data":"h\\u00fcnter"}', 'h\xc3\xbcnter'],
    ['base64 in JSON', "{'qom-type':'secret','id':'s','data':'aHVudGVyMg==','format':'base64'}", 'hunter2'],
  ])('%s', (_what, definition, content) => {
    expect(secretOf(definition)).toBe(content);
  });

  it('the bytes of a file', () => {
    expect(secretOf(`secret,id=s,file=${file('plain', Buffer.from('a\n\0'))}`)).toBe('a\n\0');
  });

  it.each(['raw', 'base64'])('what another secret decrypts, %s', (format) => {
    const data = format === 'raw' ? encrypted : Buffer.from(encrypted.toString('base64'));
    const definition = `secret,id=s,file=${file('encrypted', data)},format=${format},keyid=k,iv=${ivText}`;
    expect(secretOf(keySecret(), definition)).toBe('hunter2');
  });
});

describe('a secret is refused', () => {
  it.each([
    ["Either 'file' or 'data' must be provided", 'secret,id=s'],
    ["'file' and 'data' are mutually exclusive", 'secret,id=s,file=a,data=b'],
    [
      'Unable to read /nonexistent: Failed to open file “/nonexistent”: No such file or directory',
      'secret,id=s,file=/nonexistent',
    ],
    ['Unable to read /: Error reading file “/”: Is a directory', 'secret,id=s,file=/'],
    ["Parameter 'format' does not accept value 'hex'", 'secret,id=s,data=a,format=hex'],
    ['Base64 data contains invalid characters', 'secret,id=s,data=a!,format=base64'],
    ["No secret with id 'other'", 'secret,id=s,data=a,keyid=other'],
    ["Secret with id 's' has no data", 'secret,id=s,data=a,keyid=s'],
    ['IV is required to decrypt secret', 'secret,id=s,data=a,keyid=k'],
    ['IV should be 16 bytes in length not 3', 'secret,id=s,data=a,keyid=k,iv=AAAA'],
    ['Length 1 must be a multiple of block size 16', `secret,id=s,data=a,keyid=k,iv=${ivText}`],
    ["attempt to add duplicate property 'k' to object (type 'container')", 'secret,id=k,file=/nonexistent'],
    ["Parameters 'data.*' are unexpected", 'secret,id=s,data.x=a'],
    ["Parameters 'data.*' used inconsistently", 'secret,id=s,data.x=a,data=b'],
    ["Parameter 'other' is unexpected", 'secret,id=s,data=a,other.x=b'],
    ["Property 'secret.loaded' is not writable", 'secret,id=s,data=a,loaded=on'],
    ["Parameter 'loaded' expects 'on' or 'off'", 'secret,id=s,data=a,loaded=maybe,format=hex'],
    ["Invalid parameter type for 'data', expected: string", '{"qom-type":"secret","id":"s","data":5}'],
    ["Invalid parameter type for 'loaded', expected: boolean", '{"qom-type":"secret","id":"s","loaded":"on"}'],
  ])('%s', (message, definition) => {
    expect(() => secretOf(keySecret(), definition)).toThrow(message);
  });

  it('whose key is too short, or the wrong one', () => {
    const definition = `secret,id=s,file=${file('encrypted', encrypted)},keyid=w,iv=${ivText}`;
    expect(() => secretOf('secret,id=w,data=short', definition)).toThrow('Key should be 32 bytes in length');
    const wrong = `secret,id=w,file=${file('wrong', Buffer.alloc(32, 1))}`;
    expect(() => secretOf(wrong, definition)).toThrow(/^Incorrect number of padding bytes/);
  });
});

it.each([
  ['secret,id=s,data=hunter2', 'secret,id=s,data=***'],
  ['--object=secret,data=a,,hunter2,id=s', '--object=secret,data=***,id=s'],
  ['id=s,data=hunter2,qom-type=secret', 'id=s,data=***,qom-type=secret'],
  ['{"qom-type":"secret","data": "\\"hunter2","id":"s"}', '{"qom-type":"secret","data": "***","id":"s"}'],
  ["{'qom-type':'secret','id':'s','data':'hunter2'}", `{'qom-type':'secret','id':'s','data':"***"}`],
  ['driver=luks,key-secret=s,file.filename=data', 'driver=luks,key-secret=s,file.filename=data'],
])('the data of a secret is left out of a recorded command line: %s', (word, kept) => {
  expect(withoutSecrets(['-c', word])).toEqual(['-c', kept]);
});

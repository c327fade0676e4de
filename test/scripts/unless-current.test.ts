import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { unlessCurrent } from '../../scripts/unless-current.mjs';

const folder = await mkdtemp(join(tmpdir(), 'unless-current-'));
afterAll(() => rm(folder, { recursive: true }));
const [stamp, input, output] = ['stamp', 'input', 'output'].map((name) => join(folder, name));
const write = (file: string, text: string) => writeFile(file, text);
const copy = () =>
  unlessCurrent(stamp, { inputs: [input], outputs: [output] }, async () => {
    await write(output, (await readFile(input, 'utf8')).toUpperCase());
  });

describe('builds', async () => {
  await write(input, 'a');

  it('at first, and not again', async () => {
    expect(await copy()).toBe(true);
    expect(await readFile(output, 'utf8')).toBe('A');
    expect(await copy()).toBe(false);
  });

  it.each<[string, () => Promise<void>]>([
    ['the input has changed', () => write(input, 'b')],
    ['the output has been changed', () => write(output, 'x')],
    ['the output has gone', () => rm(output)],
    ['nobody knows what it was built from', () => rm(stamp)],
  ])('again if %s', async (_, change) => {
    await change();
    expect(await copy()).toBe(true);
    expect(await readFile(output, 'utf8')).toBe((await readFile(input, 'utf8')).toUpperCase());
    expect(await copy()).toBe(false);
  });

  it('again after a build that failed', async () => {
    await write(input, 'c');
    const fails = unlessCurrent(stamp, { inputs: [input], outputs: [output] }, () => Promise.reject(new Error('no')));
    await expect(fails).rejects.toThrow('no');
    expect(await copy()).toBe(true);
    expect(await readFile(output, 'utf8')).toBe('C');
  });
});

import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { limitMemory } from '../../scripts/limit-memory.mjs';

const original = await readFile('node_modules/@cwasm/webp/webp.wasm');
const MEBI = 1024 * 1024;

// Node's, which compiles; workerd's types know no such thing
const instantiate = WebAssembly.instantiate as unknown as (
  bytes: Uint8Array,
  imports: WebAssembly.Imports,
) => Promise<{ instance: WebAssembly.Instance }>;

it('limits the memory, and changes nothing else', async () => {
  const limited = limitMemory(original, 4 * MEBI);
  const at = limited.findIndex((byte: number, i: number) => byte !== original[i]);
  const [before, after] = [original.subarray(at), limited.subarray(at)];
  const end = [...before].reverse().findIndex((byte, i) => byte !== after[after.length - 1 - i]);
  expect(after.length - end).toBeLessThan(12); // the section's bytes
  const { instance } = await instantiate(limited, {
    wasi_snapshot_preview1: { fd_seek: () => 0, fd_close: () => 0, fd_write: () => 0 },
  });
  const { memory, malloc } = instance.exports as { memory: WebAssembly.Memory; malloc(bytes: number): number };
  expect(malloc(3 * MEBI)).not.toBe(0);
  expect(malloc(3 * MEBI)).toBe(0);
  expect(memory.buffer.byteLength).toBeLessThanOrEqual(4 * MEBI);
});

it('is what the build has', async () => {
  expect(Buffer.compare(await readFile('build/webp.wasm'), limitMemory(original, 32 * MEBI))).toBe(0);
});

it('refuses a module that has a limit already', () => {
  expect(() => limitMemory(limitMemory(original, 4 * MEBI), MEBI)).toThrow(/without a maximum/);
});

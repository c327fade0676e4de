/**
 * `src/runtime/webp.wasm` is the one of `@cwasm/webp` with a limit for its memory, and nothing else. After an update of
 * the package, `UPDATE_WASM=1 npx vitest run test/runtime/webp-wasm.test.ts` writes it anew.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { expect, it } from 'vitest';

const OURS = 'src/runtime/webp.wasm';
const PACKAGE = 'node_modules/@cwasm/webp/webp.wasm';

/** Memory section: one memory from 2 pages, without a maximum → with one of 768 pages of 64 KiB, which is 48 MiB. */
const UNLIMITED = Uint8Array.of(5, 3, 1, 0, 2);
const LIMITED = Uint8Array.of(5, 5, 1, 1, 2, 0x80, 6);

it('webp.wasm is the one of the package with at most 48 MiB of memory', async () => {
  const original = await readFile(PACKAGE);
  const at = memorySection(original);
  expect(original.subarray(at, at + UNLIMITED.length)).toEqual(Buffer.from(UNLIMITED));
  const limited = Buffer.concat([original.subarray(0, at), LIMITED, original.subarray(at + UNLIMITED.length)]);
  if (process.env.UPDATE_WASM) await writeFile(OURS, limited);
  expect(Buffer.compare(await readFile(OURS), limited)).toBe(0);
  expect(WebAssembly.validate(limited)).toBe(true);
});

/** Where section 5 begins. A section: its number, its length (LEB128), its content. */
function memorySection(wasm: Uint8Array): number {
  let at = 8;
  while (wasm[at] !== 5) {
    let length = 0;
    let next = at + 1;
    for (let shift = 0; ; shift += 7) {
      const byte = wasm[next++];
      length |= (byte & 127) << shift;
      if (byte < 128) break;
    }
    at = next + length;
  }
  return at;
}

/**
 * Writes the WebAssembly that the Worker bundles and that no package has as it is needed. Run by `npm install`.
 *
 * build/webp.wasm: libwebp as built by `@cwasm/webp`, with a limit for its memory and nothing else changed. A valid
 * lossless WebP of 300 kB can ask for 770 MB of Huffman tables, which a Worker does not have; with the limit, libwebp
 * notices that its malloc fails, and refuses the picture.
 *
 * build/engine.wasm and build/engine-plain.wasm, the same without relaxed SIMD: the kernels of src/engine/assembly, by
 * AssemblyScript; no imports, a memory that starts empty.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import asc from 'assemblyscript/asc';

const PAGE_BYTES = 65536;
const MEMORY_SECTION = 5;
const root = join(import.meta.dirname, '..');

/** @returns [value, the offset behind it] of an unsigned LEB128 number */
function readLeb(bytes, at) {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++];
    value |= (byte & 127) << shift;
    if (byte < 128) return [value, at];
  }
}

function writeLeb(value) {
  const bytes = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest & 127) | 128);
  }
}

/** The same module whose one memory, unlimited so far, has a maximum (WebAssembly core specification, 5.5.8). */
export function limitMemory(wasm, maxBytes) {
  let at = 8;
  while (at < wasm.length) {
    const [length, content] = readLeb(wasm, at + 1);
    if (wasm[at] === MEMORY_SECTION) {
      const [count, flags] = readLeb(wasm, content);
      if (count !== 1 || wasm[flags] !== 0) throw new Error('the module has not one memory without a maximum');
      const [initial] = readLeb(wasm, flags + 1);
      const section = [1, 1, ...writeLeb(initial), ...writeLeb(maxBytes / PAGE_BYTES)];
      const limited = Buffer.from([MEMORY_SECTION, ...writeLeb(section.length), ...section]);
      return Buffer.concat([wasm.subarray(0, at), limited, wasm.subarray(content + length)]);
    }
    at = content + length;
  }
  throw new Error('the module has no memory section');
}

const MEBI = 1024 * 1024;
const { resolve } = createRequire(import.meta.url);
await mkdir(join(root, 'build'), { recursive: true });
const webp = limitMemory(await readFile(resolve('@cwasm/webp/webp.wasm')), 32 * MEBI);
await writeFile(join(root, 'build', 'webp.wasm'), webp);

const kernels = ['src/engine/assembly/index.ts', '--baseDir', root, '-O3', '--noAssert', '--runtime', 'stub'];
async function compileKernels(file, features) {
  const { error, stderr } = await asc.main([...kernels, '--outFile', file, '--enable', features]);
  if (error) throw new Error(`the kernels of the engine do not compile:\n${stderr}`, { cause: error });
}
await compileKernels('build/engine.wasm', 'simd,relaxed-simd');
await compileKernels('build/engine-plain.wasm', 'simd');

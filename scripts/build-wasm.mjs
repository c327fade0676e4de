/**
 * Writes the WebAssembly that the Worker bundles and that no package has as it is needed. Run by `npm install`, and before
 * the Worker is started, tested, measured or deployed: it does nothing unless something that it reads has changed.
 *
 * build/webp.wasm: libwebp as built by `@cwasm/webp`, with a limit for its memory and nothing else changed. A valid
 * lossless WebP of 300 kB can ask for 770 MB of Huffman tables, which a Worker does not have; with the limit, libwebp
 * notices that its malloc fails, and refuses the picture.
 *
 * build/engine.wasm and build/engine-plain.wasm, the same without relaxed SIMD: the kernels of src/engine/assembly, by
 * AssemblyScript; no imports, a memory that starts empty.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { limitMemory } from './limit-memory.mjs';
import { unlessCurrent } from './unless-current.mjs';

const MEBI = 1024 * 1024;
const root = join(import.meta.dirname, '..');
const { resolve } = createRequire(import.meta.url);
const libwebp = resolve('@cwasm/webp/webp.wasm');
const build = (name) => join(root, 'build', name);

async function filesOf(folder) {
  return (await readdir(join(root, folder))).sort().map((name) => join(root, folder, name));
}

async function compileKernels(file, features) {
  const { default: asc } = await import('assemblyscript/asc'); // half a second
  const options = ['--baseDir', root, '-O3', '--noAssert', '--runtime', 'stub', '--enable', features];
  const { error, stderr } = await asc.main(['src/engine/assembly/index.ts', '--outFile', `build/${file}`, ...options]);
  if (error) throw new Error(`the kernels of the engine do not compile:\n${stderr}`, { cause: error });
}

const inputs = [
  ...(await filesOf('scripts')),
  ...(await filesOf('src/engine/assembly')),
  libwebp,
  resolve('assemblyscript/package.json'), // its version
];
const outputs = ['webp.wasm', 'engine.wasm', 'engine-plain.wasm'].map(build);
await mkdir(join(root, 'build'), { recursive: true });
await unlessCurrent(build('wasm.sha256'), { inputs, outputs }, async () => {
  await writeFile(build('webp.wasm'), limitMemory(await readFile(libwebp), 32 * MEBI));
  await compileKernels('engine.wasm', 'simd,relaxed-simd');
  await compileKernels('engine-plain.wasm', 'simd');
});

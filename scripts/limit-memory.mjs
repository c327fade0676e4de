/** Gives the memory of a WebAssembly module a maximum, and changes nothing else of it. */

const PAGE_BYTES = 65536;
const MEMORY_SECTION = 5;

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

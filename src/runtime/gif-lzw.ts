/**
 * GIF's LZW. Our own, because omggif, the usual reader, follows a damaged code table in circles for ever and passes over
 * missing data. Source: GIF89a specification, appendix F.
 */
import { corrupt } from './picture.ts';

const MAX_CODES = 4096;
export const LZW_TABLE_BYTES = MAX_CODES * 6;

/**
 * Fills `out` with the palette indices that begin at byte `at` (with the code size), and returns it. The work is bounded
 * by input plus output: each code but a clear code writes at least one index. An early end code leaves the rest as it
 * was, as in PIL; data that just stop, and codes that no encoder writes, are `corrupt_image`.
 */
export function unpackLzw(bytes: Uint8Array, at: number, out: Uint8Array): Uint8Array {
  const codeBits = bytes[at];
  if (codeBits < 1 || codeBits > 11) throw corrupt(`The GIF's code size is ${codeBits}; 1 to 11 exist.`);
  const clear = 1 << codeBits;
  const nextCode = createCodeReader(bytes, at + 1);
  // A code stands for what an earlier code wrote and the pixel after it: a place in the output is table enough.
  const starts = new Uint32Array(MAX_CODES);
  const lengths = new Uint16Array(MAX_CODES);
  let bits = codeBits + 1;
  let free = clear + 2;
  let last = 0; // length of what the last code wrote; 0 after a clear code
  for (let to = 0; to < out.length; ) {
    const code = nextCode(bits);
    if (code < 0) throw corrupt(`The GIF ends early, after ${bytes.length} bytes: send the whole file.`);
    if (code === clear + 1) break;
    if (code === clear) {
      [bits, free, last] = [codeBits + 1, clear + 2, 0];
      continue;
    }
    if (last && free < MAX_CODES) {
      starts[free] = to - last;
      lengths[free++] = last + 1;
      if (free === 1 << bits && bits < 12) bits++;
    }
    if (code >= free) throw corrupt('The GIF is damaged: it has a code without meaning.');
    const length = code < clear ? 1 : lengths[code];
    if (code < clear) out[to] = code;
    else for (let i = 0; i < length; i++) out[to + i] = out[starts[code] + i];
    last = length;
    to += length;
  }
  return out;
}

/** The code values of the sub-blocks, least significant bit first. -1 when the data are at their end. */
function createCodeReader(bytes: Uint8Array, start: number): (bits: number) => number {
  let at = start;
  let blockEnd = start;
  let held = 0;
  let heldBits = 0;
  return (bits) => {
    while (heldBits < bits) {
      if (at === blockEnd) {
        blockEnd = at + 1 + bytes[at];
        if (!bytes[at++] || blockEnd > bytes.length) return -1;
      }
      held |= bytes[at++] << heldBits;
      heldBits += 8;
    }
    const code = held & ((1 << bits) - 1);
    held >>>= bits;
    heldBits -= bits;
    return code;
  };
}

import { expect, it } from 'vitest';
import { failureOf } from './collect-rows.ts';

const SIDE = 1024;

/** Bits of a WebP lossless stream, least significant first. */
function createBitWriter() {
  const bytes: number[] = [];
  let filled = 0;
  const write = (value: number, bits: number) => {
    for (let bit = 0; bit < bits; bit++, filled++) {
      if (filled % 8 === 0) bytes.push(0);
      bytes[bytes.length - 1] |= ((value >> bit) & 1) << (filled % 8);
    }
  };
  return { bytes, write };
}

/**
 * A valid lossless WebP of 300 kB and 1 megapixel (PIL shows it) in which each block of 4 x 4 pixels has Huffman tables
 * of its own: 65,536 sets of 12 kB. Source of the layout: RFC 9649 §3.7.
 */
function tableBomb(): Uint8Array {
  const { bytes, write } = createBitWriter();
  const onlySymbol0 = () => write(1, 4); // simple code, one symbol, of one bit: 0
  const all256Symbols = () => {
    write(0, 1); // normal code
    write(8, 4); // 12 code length codes, the last of them, for length 8, the only one used
    for (let i = 0; i < 11; i++) write(0, 3);
    write(1, 3);
    write(1 | (3 << 1) | (254 << 4), 12); // 256 symbols follow; each is length 8, at no bits
  };
  const reversed = Array.from({ length: 256 }, (_, i) =>
    Number.parseInt(i.toString(2).padStart(8, '0').split('').reverse().join(''), 2),
  );
  write(0x2f, 8);
  write(SIDE - 1, 14);
  write(SIDE - 1, 14);
  write(0, 4); // no alpha, version
  write(0, 2); // no transform, no colour cache
  write(1, 4); // an image of table numbers, one for 4 x 4 pixels
  write(0, 1); // without a colour cache
  for (const code of [all256Symbols, all256Symbols, onlySymbol0, onlySymbol0, onlySymbol0]) code();
  for (let n = 0; n < 65_536; n++) write(reversed[n & 255] | (reversed[n >> 8] << 8), 16);
  for (let n = 0; n < 65_536 * 5; n++) onlySymbol0();
  const stream = Buffer.from([...bytes, ...new Uint8Array(16 + (bytes.length & 1))]);
  const head = Buffer.from('RIFF....WEBPVP8L....');
  head.writeUInt32LE(12 + stream.length, 4);
  head.writeUInt32LE(stream.length, 16);
  return Buffer.concat([head, stream]);
}

it('refuses a small lossless WebP that asks for 770 MB of tables', async () => {
  const bomb = tableBomb();
  expect(bomb.length).toBeLessThan(300_000);
  const before = process.memoryUsage().rss;
  expect((await failureOf(bomb)).code).toBe('corrupt_image');
  expect(process.memoryUsage().rss - before).toBeLessThan(100e6);
});

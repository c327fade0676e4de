/**
 * SentencePiece's table of what becomes of characters before a text is cut into tokens ("precompiled charsmap"): uint32
 * bytes of a trie; the trie, a double array of uint32 units (darts-clone); the replacements, UTF-8, each ended by a NUL.
 */
import { ClipError } from './errors.ts';

/**
 * SentencePiece takes the longest sequence of characters that the table has. Hugging Face's tokenizers look first at what
 * belongs to one grapheme of less than 6 bytes, then at single characters, and where the table has the beginning of one, its
 * replacement takes the place of the whole.
 */
export type CharsmapMatch = (typeof CHARSMAP_MATCHES)[number];
export const CHARSMAP_MATCHES = ['longest', 'graphemes'] as const;

const SHORT_GRAPHEME = 6;

const offsetOf = (unit: number) => (unit >>> 10) << ((unit & 0x200) >>> 6);
const characterBytes = (first: number) => (first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4);

/** What of the table a text begins with: bytes of the text, and where the replacement begins. */
interface Found {
  bytes: number;
  replacement: number;
}

/** @throws model_unavailable if it is no charsmap */
export function createCharsmap(table: Uint8Array, match: CharsmapMatch): (text: string) => string {
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  const trieBytes = table.length >= 8 ? view.getUint32(0, true) : 0;
  if (trieBytes < 4 || trieBytes % 4 > 0 || 4 + trieBytes >= table.length || table.at(-1) !== 0) {
    throw new ClipError('model_unavailable', 'The charsmap of the tokenizer is none; export the bundle again.');
  }
  const units = Uint32Array.from({ length: trieBytes / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
  const replacements = table.subarray(4 + trieBytes);
  const [utf8, decoder] = [new TextEncoder(), new TextDecoder('utf-8', { fatal: false, ignoreBOM: true })];

  function find(text: Uint8Array, start: number, wanted: 'shortest' | 'longest'): Found | undefined {
    let found: Found | undefined;
    let node = offsetOf(units[0]);
    for (let at = start; at < text.length; at++) {
      node ^= text[at];
      const unit = units[node];
      // beyond the trie there is nothing: no label is undefined
      if (unit === undefined || (unit & 0x800000ff) !== text[at]) break;
      node ^= offsetOf(unit);
      if (((unit >>> 8) & 1) === 0) continue;
      found = { bytes: at + 1 - start, replacement: units[node] & 0x7fffffff };
      if (wanted === 'shortest') break;
    }
    return found;
  }

  const replacementAt = (start: number) => replacements.subarray(start, replacements.indexOf(0, start));

  function longest(text: string): string {
    const bytes = utf8.encode(text);
    const made: number[] = [];
    for (let at = 0; at < bytes.length; ) {
      const found = find(bytes, at, 'longest');
      const length = found?.bytes ?? characterBytes(bytes[at]);
      for (const byte of found ? replacementAt(found.replacement) : bytes.subarray(at, at + length)) made.push(byte);
      at += length;
    }
    return decoder.decode(Uint8Array.from(made));
  }

  const replaced = (text: string): string | undefined => {
    const found = find(utf8.encode(text), 0, 'shortest');
    return found && decoder.decode(replacementAt(found.replacement));
  };

  function graphemes(text: string): string {
    let made = '';
    for (const { segment } of new Intl.Segmenter('und', { granularity: 'grapheme' }).segment(text)) {
      const short = utf8.encode(segment).length < SHORT_GRAPHEME;
      const whole = short ? replaced(segment) : undefined;
      made += whole ?? Array.from(segment, (character) => replaced(character) ?? character).join('');
    }
    return made;
  }

  return match === 'longest' ? longest : graphemes;
}

/**
 * CLIP's tokenizer: lower-cased byte-level byte-pair encoding (openai/CLIP `simple_tokenizer.py`).
 * It works on ids throughout: 0 … 255 are the bytes in CLIP's order, 256 … 511 the same at a word's end, and the
 * r-th merge makes id 512 + r, so that the table of merges is all the vocabulary there is.
 */
import { type ClipCleaning, createCleaning } from './clean-text.ts';
import type { TokenIds } from './encoders.ts';
import { ClipError } from './errors.ts';
import type { HtmlEntities } from './html-entities.ts';

export interface TokenizerSpec {
  /** Longest sequence the text encoder takes, start and end token included. */
  contextLength: number;
  startOfText: number;
  endOfText: number;
  /** by default CLIP's own, "lower" */
  clean?: ClipCleaning;
}

export interface TokenizedText {
  tokenIds: TokenIds;
  /** The text was longer than the context: its tail was cut, the end token kept. */
  truncated: boolean;
}

export interface Tokenizer {
  encode(text: string): TokenizedText;
}

const WORDS_REMEMBERED = 8192;

// The reference's pattern is case-insensitive over text that is lower-case already. Two things remain of that: "ſ" is an
// "s" after an apostrophe, and U+0345 (which folds to the letter ι) is neither letter nor punctuation. JavaScript's i flag
// would do more than that.
const WORD =
  /<\|startoftext\|>|<\|endoftext\|>|'[sſ]|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\u0345\p{L}\p{N}]+/gu;

/** Byte → id: printable Latin-1 first, then the rest (GPT-2's `bytes_to_unicode`). */
const BYTE_IDS = (() => {
  const printable = (b: number) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  const bytes = Array.from({ length: 256 }, (_, b) => b);
  const order = [...bytes.filter(printable), ...bytes.filter((b) => !printable(b))];
  const ids = new Uint16Array(256);
  for (const [id, byte] of order.entries()) ids[byte] = id;
  return ids;
})();

/** (first, second) → rank. An open-addressing table in two typed arrays: a Map of 48,894 pairs takes 5 times the memory. */
function createPairRanks(merges: Uint16Array): (first: number, second: number) => number {
  const count = merges.length / 2;
  const bits = 32 - Math.clz32(count * 2);
  const mask = (1 << bits) - 1;
  const keys = new Uint32Array(1 << bits); // pair + 1; 0 is empty
  const ranks = new Uint16Array(1 << bits);
  const slotOf = (key: number) => {
    let slot = Math.imul(key, 0x9e3779b1) >>> (32 - bits);
    while (keys[slot] !== 0 && keys[slot] !== key) slot = (slot + 1) & mask;
    return slot;
  };
  const keyOf = (first: number, second: number) => (first * 65536 + second + 1) >>> 0;
  for (let rank = 0; rank < count; rank++) {
    const key = keyOf(merges[2 * rank], merges[2 * rank + 1]);
    const slot = slotOf(key);
    keys[slot] = key;
    ranks[slot] = rank;
  }
  return (first, second) => {
    const slot = slotOf(keyOf(first, second));
    return keys[slot] === 0 ? NO_RANK : ranks[slot];
  };
}

const NO_RANK = 0xffff;

/** Merges the pair of lowest rank, leftmost first, until none is left. Quadratic in a word's bytes, with a small constant. */
function mergeBytes(bytes: Uint8Array, rankOf: (first: number, second: number) => number): number[] {
  const ids = Array.from(bytes, (byte) => BYTE_IDS[byte]);
  ids[ids.length - 1] += 256;
  const ranks = ids.map((id, i) => (i + 1 < ids.length ? rankOf(id, ids[i + 1]) : NO_RANK));
  for (;;) {
    let at = 0;
    for (let i = 1; i < ranks.length; i++) if (ranks[i] < ranks[at]) at = i;
    const rank = ranks[at];
    if (rank === NO_RANK) return ids;
    ids.splice(at, 2, 512 + rank);
    ranks.splice(at + 1, 1);
    if (at > 0) ranks[at - 1] = rankOf(ids[at - 1], ids[at]);
    ranks[at] = at + 1 < ids.length ? rankOf(ids[at], ids[at + 1]) : NO_RANK;
  }
}

/**
 * @param merges pairs of ids in the order of their rank, [count, 2]
 * @throws model_unavailable if the merges do not fit the vocabulary
 */
export function createTokenizer(spec: TokenizerSpec, merges: Uint16Array, entities: HtmlEntities): Tokenizer {
  if (merges.length % 2 !== 0 || 512 + merges.length / 2 > Math.min(spec.startOfText, spec.endOfText)) {
    throw new ClipError(
      'model_unavailable',
      `The tokenizer has ${merges.length / 2} merges, its vocabulary has no room for them.`,
    );
  }
  const rankOf = createPairRanks(merges);
  const utf8 = new TextEncoder();
  const clean = createCleaning(spec.clean ?? 'lower', entities);
  const words = new Map<string, readonly number[]>([
    ['<|startoftext|>', [spec.startOfText]],
    ['<|endoftext|>', [spec.endOfText]],
  ]);

  const encodeWord = (word: string): readonly number[] => {
    const known = words.get(word);
    if (known) return known;
    const ids = mergeBytes(utf8.encode(word), rankOf);
    if (words.size < WORDS_REMEMBERED && word.length <= 32) words.set(word, ids);
    return ids;
  };

  return {
    encode(text) {
      const ids = [spec.startOfText];
      for (const word of clean(text).match(WORD) ?? []) ids.push(...encodeWord(word));
      const truncated = ids.length + 1 > spec.contextLength;
      if (truncated) ids.length = spec.contextLength - 1;
      ids.push(spec.endOfText);
      return { tokenIds: Int32Array.from(ids), truncated };
    },
  };
}

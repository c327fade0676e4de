/** 1,000 prompts of distinct labels. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createRandom } from './random.ts';
import { tokensOf } from './tokenizer-json.ts';
import { root } from './workerd.ts';

export async function readMerges(): Promise<Uint16Array> {
  const file = await readFile(join(root, 'public/models/tiny-64/merges.bin'));
  return new Uint16Array(new Uint8Array(file).buffer);
}

/** The vocabulary's words, each one token. */
export const wordsOf = (merges: Uint16Array): string[] =>
  tokensOf(merges)
    .filter((token) => /^[a-z]{4,}<\/w>$/.test(token))
    .map((token) => token.slice(0, -'</w>'.length));

/** Each label is two words of the vocabulary, about as many different words as ImageNet's 1,000 labels have. */
export function createPrompts(merges: Uint16Array, count = 1000): string[] {
  const words = wordsOf(merges);
  const random = createRandom(count);
  const word = () => words[Math.floor(random() * words.length)];
  return Array.from({ length: count }, () => `a photo of a ${word()} ${word()}.`);
}

/** What a manifest says of a tokenizer. Checked here, named in errors. */

import { type BundleFile, parseFiles } from './bundle-file.ts';
import { CHARSMAP_MATCHES, type CharsmapMatch } from './charsmap.ts';
import { type Field, FieldError } from './checked-json.ts';
import { CLEANINGS, CLIP_CLEANINGS, type Cleaning, readsEntities } from './clean-text.ts';
import type { TokenizerSpec } from './tokenizer.ts';

/** CLIP's byte-pair encoding. */
export interface ClipBpeManifest extends TokenizerSpec {
  kind: 'clip-bpe';
  vocabularySize: number;
  /** the merges, then the table of HTML entities */
  files: readonly BundleFile[];
}

/** A `tokenizer.json` of Hugging Face's, without what puts special tokens around a text, and what is done around it. */
export interface HfTokenizerManifest {
  kind: 'hf-tokenizer';
  contextLength: number;
  vocabularySize: number;
  /** of the `tokenizer.json`: how much memory it takes depends on it */
  model: HfTokenizerModel;
  /** what is done to a text first */
  clean: Cleaning;
  /** how the charsmap is applied then; null: there is none */
  charsmap: CharsmapMatch | null;
  /** the special tokens before a text, and behind it; a longer text is cut, they are not */
  prefix: readonly number[];
  suffix: readonly number[];
  /** the one of them that a text ends with; null: none */
  endOfText: number | null;
  /** the `tokenizer.json`, the charsmap if there is one, the table of HTML entities if the cleaning reads it */
  files: readonly BundleFile[];
}

export type HfTokenizerModel = (typeof HF_MODELS)[number];
/** SentencePiece's two: Unigram (T5, SigLIP, XLM-R), and BPE with byte fallback (Gemma, SigLIP 2). */
const HF_MODELS = ['Unigram', 'BPE'] as const;

export type TokenizerManifest = ClipBpeManifest | HfTokenizerManifest;

/** A token's id. */
export const tokenOf = (of: Field, vocabularySize: number): number =>
  of.number((id) => Number.isInteger(id) && id >= 0 && id < vocabularySize);

/** @throws FieldError naming the field */
export function parseTokenizer(of: Field, contextLength: number): TokenizerManifest {
  const vocabularySize = of.get('vocabularySize').whole();
  const token = (key: string) => tokenOf(of.get(key), vocabularySize);
  const kind = of.get('kind').oneOf(['clip-bpe', 'hf-tokenizer']);
  const files = parseFiles(of.get('files'));
  if (kind === 'clip-bpe') {
    checkFiles(of, files, 2);
    const [startOfText, endOfText] = [token('startOfText'), token('endOfText')];
    const clean = of.optional('clean')?.oneOf(CLIP_CLEANINGS) ?? 'lower';
    return { kind, contextLength, vocabularySize, startOfText, endOfText, clean, files };
  }
  const model = of.get('model').oneOf(HF_MODELS);
  const clean = of.get('clean').oneOf(CLEANINGS);
  const charsmap = of.optional('charsmap')?.oneOf(CHARSMAP_MATCHES) ?? null;
  checkFiles(of, files, 1 + (charsmap ? 1 : 0) + (readsEntities(clean) ? 1 : 0));
  const tokens = (key: string) =>
    of
      .get(key)
      .items(0)
      .map((item) => tokenOf(item, vocabularySize));
  const [prefix, suffix] = [tokens('prefix'), tokens('suffix')];
  if (prefix.length + suffix.length >= contextLength) {
    throw new FieldError(`${of.path}.prefix and suffix must leave room for a text in ${contextLength} tokens`);
  }
  const endOfText = of.optional('endOfText') ? token('endOfText') : null;
  if (endOfText !== null && !suffix.includes(endOfText)) {
    throw new FieldError(`${of.path}.endOfText must be one of the suffix ${suffix.join(', ')}, found ${endOfText}`);
  }
  return { kind, contextLength, vocabularySize, model, clean, charsmap, prefix, suffix, endOfText, files };
}

function checkFiles(of: Field, files: readonly BundleFile[], count: number): void {
  if (files.length !== count) {
    throw new FieldError(`${of.path}.files must be ${count} files for this tokenizer, found ${files.length}`);
  }
}

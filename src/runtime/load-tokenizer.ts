/** A model's tokenizer from its bundle: CLIP's, or one of a `tokenizer.json`, whose code is loaded when there is one. */
import { createTokenizer, type Tokenizer } from '../clip/tokenizer.ts';
import type { HfTokenizerManifest, HfTokenizerModel, TokenizerManifest } from '../clip/tokenizer-manifest.ts';
import { type OpenFile, readBundleFile } from './bundle.ts';
import { type IsolateMemory, tokenizerName } from './isolate-memory.ts';

/**
 * Heap for a byte of a `tokenizer.json`, once it is a tokenizer; measured in Node with @huggingface/tokenizers 0.2: 29.6 MiB
 * for a Unigram of 32,000 tokens (1.0 MiB), 213 MiB for one of 250,000 (7.6 MiB), 127 MiB for a BPE of 256,000 with 580,000
 * merges (12.9 MiB).
 */
const HEAP_BYTES: Record<HfTokenizerModel, number> = { Unigram: 30, BPE: 10 };

/** What an `hf-tokenizer` takes of an isolate, in bytes; CLIP's takes 1 MiB, which is not counted. */
export const heapBytes = ({ model, files }: HfTokenizerManifest): number => HEAP_BYTES[model] * files[0].bytes;

/**
 * @param memory what a large one is taken of; without, it may have any
 * @throws model_unavailable
 */
export async function loadTokenizer(
  openFile: OpenFile,
  { id, tokenizer }: { id: string; tokenizer: TokenizerManifest },
  memory?: IsolateMemory,
): Promise<Tokenizer> {
  const claimed = tokenizerName(id);
  if (tokenizer.kind === 'hf-tokenizer') memory?.claim(claimed, heapBytes(tokenizer));
  try {
    const files = await Promise.all(tokenizer.files.map((file) => readBundleFile(openFile, id, [file])));
    if (tokenizer.kind === 'hf-tokenizer') {
      const { createHfTokenizer } = await import('./hf-tokenizer.ts');
      return createHfTokenizer(tokenizer, files);
    }
    const [merges, entities] = files;
    const table = Object.entries<string>(JSON.parse(new TextDecoder().decode(entities)));
    return createTokenizer(tokenizer, new Uint16Array(merges.buffer), new Map(table));
  } catch (error) {
    memory?.release(claimed);
    throw error;
  }
}

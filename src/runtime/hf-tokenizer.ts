/**
 * Tokenizers other than CLIP's, from a `tokenizer.json`. The one importer of @huggingface/tokenizers.
 * It is loaded when a model needs it: a Map for each node of a trie, and for each merge, is much memory.
 */
import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import { createCharsmap } from '../clip/charsmap.ts';
import { createCleaning, readsEntities } from '../clip/clean-text.ts';
import { ClipError } from '../clip/errors.ts';
import type { Tokenizer } from '../clip/tokenizer.ts';
import type { HfTokenizerManifest } from '../clip/tokenizer-manifest.ts';

/** In tokens: what follows a text's end hardly changes how its end is cut, and what is cut off not at all. */
const BEYOND_CONTEXT = 16;

/** Characters that a charsmap may drop are not many. */
const BEFORE_CHARSMAP = 8;

/** What of a `tokenizer.json` is looked at here. */
interface TokenizerJson {
  model: { type: string; vocab: [string, number][] | Record<string, number> };
}

/** In UTF-16 units. */
function longestToken({ model: { vocab } }: TokenizerJson): number {
  let longest = 1;
  const see = (token: string) => {
    longest = Math.max(longest, token.length);
  };
  if (Array.isArray(vocab)) for (const [token] of vocab) see(token);
  else for (const token in vocab) see(token);
  return longest;
}

/**
 * @param files as the manifest has them
 * @throws model_unavailable
 */
export function createHfTokenizer(spec: HfTokenizerManifest, files: readonly Uint8Array[]): Tokenizer {
  const rest = [...files];
  const next = () => rest.shift() ?? new Uint8Array();
  const fail = (what: string, cause?: unknown): never => {
    throw new ClipError('model_unavailable', `The tokenizer.json ${what}; export the bundle again.`, { cause });
  };
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  const read = (bytes: Uint8Array): { library: LibraryTokenizer; longest: number } => {
    try {
      const json = JSON.parse(text(bytes)) as TokenizerJson;
      if (json.model.type !== spec.model) fail(`is of the model ${json.model.type}, its manifest says ${spec.model}`);
      return { library: new LibraryTokenizer(json, {}), longest: longestToken(json) };
    } catch (error) {
      if (error instanceof ClipError) throw error;
      return fail(`cannot be read: ${error instanceof Error ? error.message : error}`, error);
    }
  };
  const { library, longest } = read(next());
  const replaceCharacters = spec.charsmap ? createCharsmap(next(), spec.charsmap) : (cleaned: string) => cleaned;
  const entities = new Map(readsEntities(spec.clean) ? Object.entries<string>(JSON.parse(text(next()))) : []);
  const clean = createCleaning(spec.clean, entities);
  const { prefix, suffix, contextLength } = spec;
  const room = contextLength - prefix.length - suffix.length;
  const mostCharacters = (contextLength + BEYOND_CONTEXT) * longest;

  return {
    encode(text) {
      // the library makes objects of every character: of a text of megabytes it would take the isolate's memory
      const start = clean(text).slice(0, BEFORE_CHARSMAP * mostCharacters);
      const prepared = replaceCharacters(start).slice(0, mostCharacters);
      const { ids } = library.encode(prepared, { add_special_tokens: false });
      const tokenIds = Int32Array.from([...prefix, ...ids.slice(0, room), ...suffix]);
      return { tokenIds, truncated: ids.length > room };
    },
  };
}

/** Tokenizers of a `tokenizer.json` against transformers', behind the cleanings of open_clip and of SigLIP. */
import { describe, expect, it, test } from 'vitest';
import { createCharsmap } from '../../src/clip/charsmap.ts';
import { field } from '../../src/clip/checked-json.ts';
import { readsEntities } from '../../src/clip/clean-text.ts';
import { type HfTokenizerManifest, parseTokenizer } from '../../src/clip/tokenizer-manifest.ts';
import { createHfTokenizer } from '../../src/runtime/hf-tokenizer.ts';
import { createIsolateMemory } from '../../src/runtime/isolate-memory.ts';
import { heapBytes, loadTokenizer } from '../../src/runtime/load-tokenizer.ts';
import { goldenJson, readBytes } from '../golden.ts';

interface Case {
  library: string;
  contextLength: number;
  tokenizer: { clean: string };
  ids: number[][];
  truncated: boolean[];
}

const CHARSMAP = 'test/fixtures/golden/models/siglip/charsmap.bin';
const { texts, cases } = goldenJson<{ texts: string[]; cases: Case[] }>('hf-tokens');

/** What of a bundle the tokenizer of a case is made from. */
function bundleOf({ library, contextLength, tokenizer }: Case) {
  const stated = tokenizer as { charsmap: unknown; clean: HfTokenizerManifest['clean'] };
  const paths = [`test/fixtures/golden/hf-${library}.json`];
  if (stated.charsmap) paths.push(CHARSMAP);
  if (readsEntities(stated.clean)) paths.push('public/models/tiny-64/html-entities.json');
  const files = paths.map((path) => ({ path, bytes: readBytes(path).length, sha256: '0'.repeat(64) }));
  const spec = parseTokenizer(field({ ...tokenizer, files }, 'tokenizer'), contextLength) as HfTokenizerManifest;
  return { spec, files: paths.map(readBytes) };
}

describe.each(cases)('$library, $tokenizer.clean', (golden) => {
  const { spec, files } = bundleOf(golden);
  const tokenizer = createHfTokenizer(spec, files);

  test.each(texts.map((text, i) => [text, i] as const))('%j', (text, i) => {
    const { tokenIds, truncated } = tokenizer.encode(text);
    expect(Array.from(tokenIds)).toEqual(golden.ids[i]);
    expect(truncated).toBe(golden.truncated[i]);
  });

  it('takes megabytes of text for what they are: too long', () => {
    const long = tokenizer.encode('a photo of a cat '.repeat(60_000));
    expect(long.truncated).toBe(true);
    expect(long.tokenIds).toEqual(tokenizer.encode('a photo of a cat '.repeat(100)).tokenIds);
  });
});

it('has seen what tokenizers get wrong', () => {
  expect(texts.length).toBeGreaterThan(300);
  for (const kind of [/\p{Emoji_Presentation}/u, /\p{sc=Han}/u, /\p{sc=Arabic}/u, /\p{M}/u, /&amp;/, /\u200d/, /^$/]) {
    expect(texts.some((text) => kind.test(text))).toBe(true);
  }
  expect(cases[0].truncated).toContain(true);
});

describe('a charsmap', () => {
  const table = readBytes(CHARSMAP);

  it('is refused if it is none', () => {
    for (const wrong of [new Uint8Array(), table.subarray(0, 100), table.subarray(0, -1), new Uint8Array(64)]) {
      expect(() => createCharsmap(wrong, 'longest')).toThrow(/charsmap/);
    }
  });

  it('does not reach beyond its trie, whatever is in it', () => {
    const spoilt = table.map((byte, i) => (i >= 4 && i % 7 === 0 ? 255 : byte));
    spoilt[spoilt.length - 1] = 0;
    for (const match of ['longest', 'graphemes'] as const) {
      expect(typeof createCharsmap(spoilt, match)(texts.join(' '))).toBe('string');
    }
  });
});

describe('what is refused', () => {
  const { spec, files } = bundleOf(cases[0]);
  const json = JSON.parse(new TextDecoder().decode(files[0]));
  const encoded = (content: unknown) => new TextEncoder().encode(JSON.stringify(content));

  it.each<[string, Uint8Array, RegExp]>([
    ['no JSON', new Uint8Array([123]), /tokenizer\.json cannot be read/],
    ['another model', encoded({ ...json, model: { ...json.model, type: 'WordPiece' } }), /is of the model WordPiece/],
    ['an unknown normalizer', encoded({ ...json, normalizer: { type: 'Guess' } }), /cannot be read: .*Guess/],
  ])('%s', (_, file, message) => {
    expect(() => createHfTokenizer(spec, [file, ...files.slice(1)])).toThrow(message);
  });

  it('what takes more memory than there is, before it is read', async () => {
    const opened: string[] = [];
    const openFile = async (path: string) => {
      opened.push(path);
      return null;
    };
    const memory = createIsolateMemory(heapBytes(spec) - 1);
    await expect(loadTokenizer(openFile, { id: 'x', tokenizer: spec }, memory)).rejects.toThrow(
      /tokenizer of "x" takes/,
    );
    expect(opened).toEqual([]);
  });
});

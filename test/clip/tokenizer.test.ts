import { describe, expect, it, test } from 'vitest';
import { parseModelManifest } from '../../src/clip/model-manifest.ts';
import { createTokenizer } from '../../src/clip/tokenizer.ts';
import { goldenJson, readBytes, readJson } from '../golden.ts';

interface Case {
  text: string;
  ids: number[];
  truncated: boolean;
}

const bundle = 'public/models/tiny-64';
const { tokenizer: spec } = parseModelManifest(readJson(`${bundle}/model.json`)).text!;
if (spec.kind !== 'clip-bpe') throw new Error('the tokenizer is not CLIP’s');
const merges = new Uint16Array(readBytes(`${bundle}/merges.bin`).buffer);
const entities = new Map(Object.entries(readJson<Record<string, string>>(`${bundle}/html-entities.json`)));
const tokenizer = createTokenizer(spec, merges, entities);

const golden = goldenJson<{ cases: Case[]; mojibake: Case[] }>('tokens');

describe('the reference tokenizer’s ids', () => {
  test.each(golden.cases)('$text', ({ text, ids, truncated }) => {
    const encoded = tokenizer.encode(text);
    expect(Array.from(encoded.tokenIds)).toEqual(ids);
    expect(encoded.truncated).toBe(truncated);
  });

  it('covers what it should', () => {
    const texts = golden.cases.map(({ text }) => text);
    expect(texts.length).toBeGreaterThan(500);
    expect(texts).toContain('');
    for (const kind of [/\p{Emoji_Presentation}/u, /\p{sc=Han}/u, /\p{M}/u, /&amp;/, /“/]) {
      expect(texts.some((text) => kind.test(text))).toBe(true);
    }
    expect(golden.cases.some(({ truncated }) => truncated)).toBe(true);
  });
});

it('keeps the end token of a text that is longer than the context', () => {
  const { tokenIds, truncated } = tokenizer.encode('cat '.repeat(200));
  expect(truncated).toBe(true);
  expect(tokenIds).toHaveLength(spec.contextLength);
  expect(tokenIds[0]).toBe(spec.startOfText);
  expect(tokenIds.at(-1)).toBe(spec.endOfText);
});

it('gives the same ids the second time, from its memory of words', () => {
  expect(tokenizer.encode('a photo of a tabby cat.')).toEqual(tokenizer.encode('a photo of a tabby cat.'));
});

it('leaves mojibake as it is, which the reference repairs', () => {
  // documented in clean-text.ts; when this fails, the documentation is out of date
  const repaired = golden.mojibake.filter(({ text, ids }) => {
    return JSON.stringify(Array.from(tokenizer.encode(text).tokenIds)) === JSON.stringify(ids);
  });
  expect(repaired.length).toBeLessThan(golden.mojibake.length);
});

it('cleans texts as open_clip’s "canonicalize", where the manifest says so', () => {
  const { texts, clipCanonicalize } = goldenJson<{ texts: string[]; clipCanonicalize: number[][] }>('hf-tokens');
  const canonical = createTokenizer({ ...spec, clean: 'canonicalize', contextLength: 32 }, merges, entities);
  expect(texts.map((text) => Array.from(canonical.encode(text).tokenIds))).toEqual(clipCanonicalize);
});

it('refuses merges that the vocabulary has no room for', () => {
  expect(() => createTokenizer({ ...spec, endOfText: 600 }, merges, entities)).toThrow(/no room/);
});

/** Prompts → token ids: our tokenizer against @huggingface/tokenizers with the same merges. */
import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import { cleanText } from '../../../src/clip/clean-text.ts';
import { type Context, heldJson, sampleContest, timed } from './context.ts';
import { construct, encodeAll, readTokenizerFiles } from './tokenise.ts';

/** What the host holds for these tasks. */
export interface TokenizerContest {
  /** JSON in a string: reading it is part of making a tokenizer. */
  tokenizerJson: string;
  config: object;
  prompts: string[];
  golden: { text: string; ids: number[] }[];
}

function constructLibrary({ tokenizerJson, config }: TokenizerContest): LibraryTokenizer {
  return new LibraryTokenizer(JSON.parse(tokenizerJson), config);
}

export async function createTokenizers(context: Context, options: { runs: number }) {
  const contest = heldJson<TokenizerContest>(context);
  const files = await readTokenizerFiles(context);
  return sampleContest({ ours: () => construct(files), library: () => constructLibrary(contest) }, options);
}

const BATCH = 3;

/** Each run with new tokenizers, since both remember words. */
export async function tokenisePrompts(context: Context, { runs }: { runs: number }) {
  const contest = heldJson<TokenizerContest>(context);
  const files = await readTokenizerFiles(context);
  const times = { ours: [] as number[], library: [] as number[] };
  for (let run = 0; run < runs; run++) {
    const ours = Array.from({ length: BATCH }, () => construct(files));
    const library = Array.from({ length: BATCH }, () => constructLibrary(contest));
    times.ours.push((await timed(() => encodeAll(ours, contest.prompts))) / BATCH);
    times.library.push((await timed(() => encodeAll(library, contest.prompts))) / BATCH);
  }
  return times;
}

/**
 * How many of the reference's strings each gets right. The library cuts nothing, so that is done for it; `cleaned` is
 * the library behind our text cleaning.
 */
export async function goldenTokens(context: Context) {
  const contest = heldJson<TokenizerContest>(context);
  const files = await readTokenizerFiles(context);
  const { contextLength, endOfText } = files.spec;
  const ours = construct(files);
  const library = constructLibrary(contest);
  const entities = new Map(Object.entries<string>(JSON.parse(files.entities)));
  const cut = (ids: number[]) => (ids.length > contextLength ? [...ids.slice(0, contextLength - 1), endOfText] : ids);
  const right = { ours: 0, library: 0, cleaned: 0 };
  for (const { text, ids } of contest.golden) {
    if (ours.encode(text).tokenIds.join() === ids.join()) right.ours++;
    if (cut(library.encode(text).ids).join() === ids.join()) right.library++;
    if (cut(library.encode(cleanText(text, entities)).ids).join() === ids.join()) right.cleaned++;
  }
  return { ...right, cases: contest.golden.length };
}

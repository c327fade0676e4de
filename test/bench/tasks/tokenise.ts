/** Prompts → token ids. */
import { createTokenizer, type Tokenizer } from '../../../src/clip/tokenizer.ts';
import { readBundleFile } from '../../../src/runtime/bundle.ts';
import { type Context, heldJson, timed } from './context.ts';

/** The tokenizer's two files, as they are loaded. */
export async function readTokenizerFiles({ manifest, openFile }: Context) {
  const { tokenizer } = manifest.text!;
  if (tokenizer.kind !== 'clip-bpe') throw new Error('the tokenizer is not CLIP’s');
  const [merges, entities] = await Promise.all(
    tokenizer.files.map((file) => readBundleFile(openFile, manifest.id, [file])),
  );
  return { spec: tokenizer, merges: new Uint16Array(merges.buffer), entities: new TextDecoder().decode(entities) };
}

export type TokenizerFiles = Awaited<ReturnType<typeof readTokenizerFiles>>;

export const construct = ({ spec, merges, entities }: TokenizerFiles) =>
  createTokenizer(spec, merges, new Map(Object.entries<string>(JSON.parse(entities))));

/** New tokenizers that are timed together: one alone is too quick for the clock. */
const BATCH = 8;

/** Milliseconds of the held prompts (a JSON array), in each run by new tokenizers: for the first time, and once more. */
export async function tokenise(context: Context, { runs }: { runs: number }) {
  const files = await readTokenizerFiles(context);
  const prompts = heldJson<string[]>(context);
  const veryFirst = await timed(() => encodeAll([construct(files)], prompts));
  const times = { veryFirst: [veryFirst], construct: [] as number[], first: [] as number[], again: [] as number[] };
  for (let run = 0; run < runs; run++) {
    let tokenizers: Tokenizer[] = [];
    const make = () => {
      tokenizers = Array.from({ length: BATCH }, () => construct(files));
    };
    times.construct.push((await timed(make)) / BATCH);
    times.first.push((await timed(() => encodeAll(tokenizers, prompts))) / BATCH);
    times.again.push((await timed(() => encodeAll(tokenizers, prompts))) / BATCH);
  }
  return times;
}

export function encodeAll(tokenizers: readonly { encode(text: string): unknown }[], prompts: readonly string[]): void {
  for (const tokenizer of tokenizers) for (const prompt of prompts) tokenizer.encode(prompt);
}

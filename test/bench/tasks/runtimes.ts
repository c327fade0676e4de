/** The engine and onnxruntime-web on the same inputs, in turns in one process: `ours` and `library` are milliseconds. */
import { type Context, sampleContest } from './context.ts';
import { loadImageEncoder, loadTextEncoder, noise } from './encoders.ts';
import { construct, readTokenizerFiles } from './tokenise.ts';

/** Ids of two bundles of one checkpoint. */
export interface Pair {
  engine: string;
  onnx: string;
}

export async function imagesInTurns(context: Context, { engine, onnx, runs }: Pair & { runs: number }) {
  const encoders = { ours: await loadImageEncoder(context, engine), library: await loadImageEncoder(context, onnx) };
  const pixels = await noise(context, engine);
  return sampleContest(
    { ours: () => encoders.ours.encodeImage(pixels), library: () => encoders.library.encodeImage(pixels) },
    { runs },
  );
}

/** Each list of texts is given as a whole. @returns for each its texts' mean number of tokens, and times a text */
export async function textsInTurns(
  context: Context,
  { engine, onnx, runs, lists }: Pair & { runs: number; lists: string[][] },
) {
  const encoders = { ours: await loadTextEncoder(context, engine), library: await loadTextEncoder(context, onnx) };
  const tokenizer = construct(await readTokenizerFiles(context));
  const results: { tokens: number; ours: number[]; library: number[] }[] = [];
  for (const list of lists) {
    const texts = list.map((text) => tokenizer.encode(text).tokenIds);
    const { ours, library } = await sampleContest(
      { ours: () => encoders.ours.encodeTexts(texts), library: () => encoders.library.encodeTexts(texts) },
      { runs },
    );
    const perText = (times: number[]) => times.map((ms) => ms / texts.length);
    const tokens = texts.reduce((sum, { length }) => sum + length, 0) / texts.length;
    results.push({ tokens, ours: perText(ours), library: perText(library) });
  }
  return results;
}

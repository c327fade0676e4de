/** The engine against onnxruntime-web, in turns in one process: ratios of their medians. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { resNetBundle, TINY, vitBundle } from '../bundles.ts';
import type { EngineRows, RuntimeRow } from '../engine-report.ts';
import { readMerges, wordsOf } from '../prompts.ts';
import { createRandom } from '../random.ts';
import { root, withBench } from '../workerd.ts';
import { heapOf } from './first-embedding.ts';

const RUNS = 25;
const VIT_RUNS = 12;

export async function benchImages(): Promise<EngineRows> {
  const { ours, library } = await withBench((bench) => bench.run('imagesInTurns', { ...TINY, runs: RUNS }));
  return { runtimes: [{ name: 'an image', key: 'image', engine: ours, onnx: library, goal: 2.5 }] };
}

export async function benchVit(): Promise<EngineRows> {
  const [engine, onnx] = [
    await vitBundle({ patch: 32, runtime: 'engine' }),
    await vitBundle({ patch: 32, runtime: 'onnx' }),
  ];
  if (!engine || !onnx) return {};
  const { ours, library } = await withBench((bench) => bench.run('imagesInTurns', { engine, onnx, runs: VIT_RUNS }));
  return {
    runtimes: [{ name: 'an image, ViT-B/32 of random weights', key: 'vitB32', engine: ours, onnx: library, goal: 2.5 }],
  };
}

/** Without goals: the Worker's own models are ViTs. */
export async function benchResNet(): Promise<EngineRows> {
  const [engine, onnx] = [await resNetBundle('engine'), await resNetBundle('onnx')];
  if (!engine) return {};
  const figures = await heapOf('RN50', 'rn50', engine);
  if (!onnx) return { figures };
  const { ours, library } = await withBench((bench) => bench.run('imagesInTurns', { engine, onnx, runs: VIT_RUNS }));
  return {
    figures,
    runtimes: [{ name: 'an image, RN50 of random weights', key: 'rn50', engine: ours, onnx: library }],
  };
}

export async function benchTexts(): Promise<EngineRows> {
  const cases = await textCases();
  const results = await withBench((bench) =>
    bench.run('textsInTurns', { ...TINY, runs: RUNS, lists: cases.map(({ texts }) => texts) }),
  );
  const runtimes = results.map(({ tokens, ours, library }, i): RuntimeRow => {
    const { key, texts, what } = cases[i];
    const length = Number.isInteger(tokens) ? tokens : tokens.toFixed(1);
    const name = `a text of ${length} tokens, ${what} (${texts.length} a call)`;
    return { name, key, engine: ours, onnx: library, goal: 4 };
  });
  return { runtimes };
}

/** Lists that are encoded in one call; the times are of a text. */
async function textCases(): Promise<{ key: string; what: string; texts: string[] }[]> {
  const words = wordsOf(await readMerges());
  const random = createRandom(77);
  const word = () => words[Math.floor(random() * words.length)];
  const sentence = (length: number) => Array.from({ length }, word).join(' ');
  const list = (count: number, text: () => string) => Array.from({ length: count }, text);
  const labels = await readFile(join(root, 'model-export/label-sets/imagenet-200.txt'), 'utf8');
  const prompts = labels.split('\n').filter(Boolean);
  return [
    // start and end are two of the tokens
    { key: 'template', what: 'one template', texts: list(16, () => `a photo of a ${word()}.`) },
    { key: 'text', what: 'all different', texts: list(16, () => sentence(6)) },
    { key: 'longTexts', what: 'all different', texts: list(4, () => sentence(75)) },
    { key: 'labelSet', what: 'a label set', texts: prompts.map((label) => `a photo of a ${label}.`) },
  ];
}

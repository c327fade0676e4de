/**
 * What each stage costs in workerd, and what the libraries would cost that our own code replaces.
 *
 *   npm run bench [-- --only decode --only score] [-- --json numbers.json]
 *   npm run bench:engine        the engine's parts alone, also into bench-results/engine.json
 *
 * With --checkpoint <folder> --photos <list.tsv>, the default model's checkpoint and lists as `npm run accuracy` takes them,
 * the Worker's embeddings of 250 photos of each list are compared with PyTorch's; without, what clip-export measured counts.
 * It tests nothing: a goal that is not met says NO and the exit status stays 0, since other machines are other machines.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { copyBundles } from './bundles.ts';
import { type EngineRows, figuresOf, figureTable, growthTable, runtimeTable } from './engine-report.ts';
import { benchColdStart } from './parts/cold-start.ts';
import { benchDecode } from './parts/decode.ts';
import { benchCold, benchModelMemory } from './parts/first-embedding.ts';
import { benchGrowth } from './parts/growth.ts';
import { benchHeap } from './parts/heap.ts';
import { benchParity } from './parts/parity.ts';
import { contestDecoders, contestResize } from './parts/picture-libraries.ts';
import { benchImages, benchResNet, benchTexts, benchVit } from './parts/runtimes.ts';
import { benchScore } from './parts/score.ts';
import { benchTokenise } from './parts/tokenise.ts';
import { contestTokenizer } from './parts/tokenizer-library.ts';
import { benchUpload } from './parts/upload.ts';
import { type ContestRow, contestTable, type StageRow, stageTable } from './report.ts';

const STAGES: Record<string, () => Promise<StageRow[]>> = {
  decode: benchDecode,
  tokenise: benchTokenise,
  score: benchScore,
  'cold-start': benchColdStart,
  heap: benchHeap,
};

const ENGINE: Record<string, () => Promise<EngineRows>> = {
  'engine-image': benchImages,
  'engine-text': benchTexts,
  'engine-vit': benchVit,
  'engine-resnet': benchResNet,
  'engine-cold': benchCold,
  'engine-growth': benchGrowth,
  'engine-memory': benchModelMemory,
  'engine-upload': benchUpload,
  'engine-parity': () => benchParity(options),
};

const CONTESTS: Record<string, () => Promise<ContestRow[]>> = {
  'library-tokenizer': contestTokenizer,
  'library-resize': contestResize,
  'library-decoders': contestDecoders,
};

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    json: { type: 'string' },
    'engine-json': { type: 'string' },
    checkpoint: { type: 'string' },
    photos: { type: 'string', multiple: true },
  },
});

/** `--only engine` is all parts that begin with `engine-`. */
const matches = (name: string, only: string) => name === only || name.startsWith(`${only}-`);
const names = [STAGES, CONTESTS, ENGINE].flatMap((parts) => Object.keys(parts));
const unknown = options.only?.find((only) => !names.some((name) => matches(name, only)));
if (unknown) {
  console.error(`There is no part "${unknown}"; there are ${names.join(', ')}.`);
  process.exit(2);
}

async function runParts<Result>(parts: Record<string, () => Promise<Result>>): Promise<Result[]> {
  const results: Result[] = [];
  for (const [name, run] of Object.entries(parts)) {
    if (options.only && !options.only.some((only) => matches(name, only))) continue;
    if (process.stderr.isTTY) process.stderr.write(`${name} …\n`);
    results.push(await run());
  }
  return results;
}

function show(heading: string, rows: readonly unknown[], table: string): void {
  if (rows.length > 0) console.log(`${heading}\n${table}\n`);
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `${JSON.stringify(value, null, 2)}\n`);
}

const machine = `${cpus().length} × ${cpus()[0]?.model}, ${process.platform} ${process.arch}`;
console.log(`${machine}\nmedian and best of several runs in workerd; MB are 2^20 bytes\n`);
await copyBundles();

const stages = (await runParts(STAGES)).flat();
show('Stages', stages, stageTable(stages));
const contests = (await runParts(CONTESTS)).flat();
show('Our own code and the library that would do the same', contests, contestTable(contests));
const parts = await runParts(ENGINE);
const engine = {
  runtimes: parts.flatMap(({ runtimes }) => runtimes ?? []),
  figures: parts.flatMap(({ figures }) => figures ?? []),
  growth: parts.flatMap(({ growth }) => growth ?? []),
};
show(
  'The engine and onnxruntime-web in turns, tiny-64 where nothing else is said',
  engine.runtimes,
  runtimeTable(engine.runtimes),
);
show('The engine as models grow', engine.growth, growthTable(engine.growth));
show('The engine, size and precision', engine.figures, figureTable(engine.figures));

if (options.json) await writeJson(options.json, { machine, stages, contests, engine });
if (options['engine-json']) await writeJson(options['engine-json'], { machine, ...figuresOf(engine) });

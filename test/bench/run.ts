/**
 * What each stage costs in workerd, and what the libraries would cost that our own code replaces.
 *
 *   npm run bench [-- --only decode --only score] [-- --json numbers.json]
 *
 * It tests nothing: a goal that is not met says NO and the exit status stays 0, since other machines are other machines.
 */
import { writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { benchColdStart } from './parts/cold-start.ts';
import { benchDecode } from './parts/decode.ts';
import { benchEncode } from './parts/encode.ts';
import { benchHeap } from './parts/heap.ts';
import { contestDecoders, contestResize } from './parts/picture-libraries.ts';
import { benchScore } from './parts/score.ts';
import { benchTokenise } from './parts/tokenise.ts';
import { contestTokenizer } from './parts/tokenizer-library.ts';
import { type ContestRow, contestTable, type StageRow, stageTable } from './report.ts';

const STAGES: Record<string, () => Promise<StageRow[]>> = {
  decode: benchDecode,
  tokenise: benchTokenise,
  encode: benchEncode,
  score: benchScore,
  'cold-start': benchColdStart,
  heap: benchHeap,
};

const CONTESTS: Record<string, () => Promise<ContestRow[]>> = {
  'library-tokenizer': contestTokenizer,
  'library-resize': contestResize,
  'library-decoders': contestDecoders,
};

const names = [...Object.keys(STAGES), ...Object.keys(CONTESTS)];
const { values: options } = parseArgs({
  options: { only: { type: 'string', multiple: true }, json: { type: 'string' } },
});
const wanted = options.only ?? names;
const unknown = wanted.find((name) => !names.includes(name));
if (unknown) {
  console.error(`There is no part "${unknown}"; there are ${names.join(', ')}.`);
  process.exit(2);
}

async function runParts<Row>(parts: Record<string, () => Promise<Row[]>>): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [name, run] of Object.entries(parts)) {
    if (!wanted.includes(name)) continue;
    if (process.stderr.isTTY) process.stderr.write(`${name} …\n`);
    rows.push(...(await run()));
  }
  return rows;
}

const machine = `${cpus().length} × ${cpus()[0]?.model}, ${process.platform} ${process.arch}`;
console.log(`${machine}\nmedian and best of several runs in workerd; MB are 2^20 bytes\n`);
const stages = await runParts(STAGES);
if (stages.length > 0) console.log(`${stageTable(stages)}\n`);
const contests = await runParts(CONTESTS);
if (contests.length > 0)
  console.log(`Our own code and the library that would do the same\n${contestTable(contests)}\n`);
if (options.json) await writeFile(options.json, JSON.stringify({ machine, stages, contests }, null, 2));

/**
 * Each family of models on each runtime, through HTTP, against what its own library makes of the same pictures and texts.
 *
 *   npm run families              prints the table
 *   npm run families -- --write   and puts it into model-export/README.md
 *
 * Fails if a cosine is below what its runtime is to reach, a token differs, or a pixel value by more than half a step.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runExporter } from './exporter.ts';
import { type Compared, compareFamily, type Family, type FamilyFiles } from './family-comparison.ts';
import { root, withWorker } from './workerd.ts';

const { values: options } = parseArgs({ options: { write: { type: 'boolean', default: false } } });

const FOLDER = join(root, 'build/families');
const README = join(root, 'model-export/README.md');
const MARKS = ['<!-- npm run families -->', '<!-- /families -->'];
/** onnxruntime-web, and the engine's texts; the engine's pictures are to reach the family's own. */
const LEAST = { engine: 0.999, onnx: 0.99 } as const;
/** Half of the 1/255 between two values of a pixel, after the division by the least of the std in use (0.26) */
const PIXEL_STEP = 0.5 / 255 / 0.27;

async function makeFamilies(): Promise<FamilyFiles> {
  await rm(FOLDER, { recursive: true, force: true });
  const made = await runExporter('families', 'families', ['--samples', join(root, 'samples'), '--out', FOLDER]);
  if (!made) process.exit(1);
  return JSON.parse(await readFile(join(FOLDER, 'families.json'), 'utf8'));
}

/** The Worker of the repository with these models, and onnxruntime-web. */
async function writeConfig(models: readonly string[]): Promise<string> {
  await mkdir(FOLDER, { recursive: true });
  const config = {
    name: 'edgeclip-families',
    main: '../../functions/worker.ts',
    compatibility_date: '2026-11-09',
    compatibility_flags: ['global_fetch_strictly_public'],
    vars: { MODELS: models.join(',') },
    assets: { directory: '.', binding: 'ASSETS', run_worker_first: true },
    kv_namespaces: [{ binding: 'LABEL_SETS' }],
  };
  await writeFile(join(FOLDER, 'wrangler.json'), JSON.stringify(config));
  return 'build/families/wrangler.json';
}

const cosine = (value: number) => (Math.floor(value * 1e5) / 1e5).toFixed(5);

function tableRow({ family, runtime, refused, images, texts, pixels, tokens }: Row): string {
  const cells = refused
    ? [refused, '', '', '']
    : [
        cosine(images!),
        texts === undefined ? 'images only' : cosine(texts),
        pixels === 0 ? '0' : pixels!.toExponential(0),
        tokens ?? '–',
      ];
  return `| ${[`${family.name} (\`${family.published}\`)`, runtime, ...cells].join(' | ')} |`;
}

type Row = { family: Family; runtime: 'engine' | 'onnx'; refused?: string } & Partial<Compared>;

function failures(rows: readonly Row[]): string[] {
  return rows.flatMap(({ family, runtime, images = 1, texts = 1, pixels = 0, tokens = '' }) => {
    const [equal, all] = tokens.split(' of ');
    const found: string[] = [];
    const least = Math.min(LEAST[runtime], family.least);
    if (!(images >= least)) found.push(`a picture's cosine of ${images}`);
    if (!(texts >= LEAST[runtime])) found.push(`a text's cosine of ${texts}`);
    if (pixels > PIXEL_STEP) found.push(`pixel values that differ by ${pixels}`);
    if (equal !== (all ?? equal)) found.push(`${tokens} texts with equal tokens`);
    return found.map((what) => `${family.id} on ${runtime}: ${what}`);
  });
}

async function writeTable(table: string): Promise<void> {
  const readme = await readFile(README, 'utf8');
  const [start, end] = MARKS.map((mark) => readme.indexOf(mark));
  if (start < 0 || end < start)
    throw new Error(`model-export/README.md has no place for the table: ${MARKS.join(' … ')}`);
  await writeFile(README, `${readme.slice(0, start + MARKS[0].length)}\n${table}\n${readme.slice(end)}`);
}

const files = await makeFamilies();
const models = files.families.flatMap(({ runtimes }) => Object.values(runtimes).flatMap(({ model }) => model ?? []));
const rows = await withWorker(await writeConfig(models), async (url) => {
  const rows: Row[] = [];
  for (const family of files.families) {
    for (const runtime of ['engine', 'onnx'] as const) {
      const { model, refused } = family.runtimes[runtime];
      rows.push({
        family,
        runtime,
        refused,
        ...(model ? await compareFamily({ url, folder: FOLDER, files, family, model }) : {}),
      });
    }
  }
  return rows;
});
const head = [
  'family',
  'runtime',
  'images, worst cosine',
  'texts, worst cosine',
  'pixels, largest difference',
  'tokens equal',
];
const table = [head, head.map(() => '---')]
  .map((cells) => `| ${cells.join(' | ')} |`)
  .concat(rows.map(tableRow))
  .join('\n');
console.log(table);
if (options.write) await writeTable(table);
const wrong = failures(rows);
for (const line of wrong) console.error(line);
process.exitCode = wrong.length > 0 ? 1 : 0;

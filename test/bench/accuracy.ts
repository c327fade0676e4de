/**
 * Top-1 and top-5 of a labelled list of photos, through HTTP.
 *
 *   npm run accuracy -- --list photos.tsv --folder photos --label-set imagenet-200
 *
 * The list has a line `file<TAB>label` for each photo; the folder is by default the one beside the list that has its name.
 * Without --url the Worker is started here. With --expect 54.45 it fails if top-1 is more than --within 1 point away.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createTestHarness } from 'wrangler';

const { values: options } = parseArgs({
  options: {
    list: { type: 'string' },
    folder: { type: 'string' },
    'label-set': { type: 'string' },
    model: { type: 'string' },
    url: { type: 'string' },
    expect: { type: 'string' },
    within: { type: 'string', default: '1' },
  },
});
if (!options.list) {
  console.error('Usage: npm run accuracy -- --list photos.tsv [--folder photos] [--label-set name] [--url http://…]');
  process.exit(2);
}

const BATCH = 16;

interface Photo {
  file: string;
  label: string;
}

async function readList(path: string): Promise<Photo[]> {
  const lines = (await readFile(path, 'utf8')).split(/\r?\n/).filter(Boolean);
  return lines.map((line) => {
    const [file, label] = line.split('\t');
    return { file, label };
  });
}

interface Result {
  predictions?: { label: string; score: number }[];
  error?: { detail: string };
}

async function classify(url: URL, photos: readonly Photo[], folder: string): Promise<Result[]> {
  const images = await Promise.all(
    photos.map(async ({ file }) => (await readFile(join(folder, file))).toString('base64')),
  );
  const request = { images, topK: 5, labelSet: options['label-set'], model: options.model };
  const response = await fetch(new URL('/v1/classify', url), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(request),
  });
  const answer = (await response.json()) as { results: Result[]; detail?: string };
  if (!response.ok) throw new Error(answer.detail);
  return answer.results;
}

/** Counts of photos whose label is first, or among the first five. */
async function measure(url: URL, photos: readonly Photo[], folder: string) {
  const hits = { first: 0, five: 0 };
  for (let start = 0; start < photos.length; start += BATCH) {
    const batch = photos.slice(start, start + BATCH);
    for (const [i, { predictions, error }] of (await classify(url, batch, folder)).entries()) {
      if (error) throw new Error(`${batch[i].file}: ${error.detail}`);
      const at = predictions!.findIndex(({ label }) => label === batch[i].label);
      if (at === 0) hits.first++;
      if (at >= 0) hits.five++;
    }
    if (process.stderr.isTTY) process.stderr.write(`\r${Math.min(start + BATCH, photos.length)} of ${photos.length}`);
  }
  if (process.stderr.isTTY) process.stderr.write('\n');
  return hits;
}

const percent = (count: number, of: number) => (100 * count) / of;

process.env.CLOUDFLARE_CF_FETCH_ENABLED = 'false'; // of the Worker started here: request.cf is not looked at
const photos = await readList(options.list);
const folder = options.folder ?? options.list.replace(/\.tsv$/, '');
const harness = options.url ? undefined : createTestHarness({ workers: [{ configPath: './wrangler.toml' }] });
const url = new URL(options.url ?? (await harness!.listen()).url);
const start = performance.now();
const { first, five } = await measure(url, photos, folder).finally(() => harness?.close());
const top1 = percent(first, photos.length);
const perPhoto = (performance.now() - start) / photos.length;
console.log(
  `${photos.length} photos: top-1 ${top1.toFixed(2)} %, top-5 ${percent(five, photos.length).toFixed(2)} %, ${perPhoto.toFixed(0)} ms a photo`,
);
if (options.expect && Math.abs(top1 - Number(options.expect)) > Number(options.within)) {
  console.error(`Expected top-1 within ${options.within} points of ${options.expect} %.`);
  process.exitCode = 1;
}

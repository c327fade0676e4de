/** Our decoders and our resize against jSquash. Ours get rows ready for the resize; the libraries give RGBA as a whole. */
import { goldenTensors, maxDifference, readBytes } from '../../golden.ts';
import { type BenchPicture, picture, readPicture } from '../pictures.ts';
import { peakDuring } from '../process-memory.ts';
import { type ContestRow, MEBI, median } from '../report.ts';
import type { Contest, ContestOptions } from '../tasks/context.ts';
import { type Bench, withBench } from '../workerd.ts';

const RUNS = 7;

interface Decoding {
  name: string;
  of: BenchPicture;
  run(bench: Bench, options: ContestOptions): Promise<Record<keyof Contest, number[]>>;
}

const png = (of: BenchPicture): Decoding => ({
  name: `decode ${of.name}`,
  of,
  run: (bench, options) => bench.run('decodePng', options),
});

const jpeg = (of: BenchPicture, reduced: boolean): Decoding => ({
  name: `decode ${of.name}${reduced ? ', ours reduced' : ''}`,
  of,
  run: (bench, options) => bench.run('decodeJpeg', { ...options, reduced }),
});

const DECODINGS = [
  jpeg(picture('1 MP', 'jpeg'), false),
  jpeg(picture('12 MP', 'jpeg'), false),
  jpeg(picture('12 MP', 'jpeg'), true),
  png(picture('1 MP', 'png')),
  png(picture('12 MP', 'png')),
];

export async function contestDecoders(): Promise<ContestRow[]> {
  const rows: ContestRow[] = [];
  for (const decoding of DECODINGS) {
    const { name } = decoding;
    const file = await readPicture(decoding.of);
    const times = await withBench(async (bench) => {
      await bench.hold(file);
      return decoding.run(bench, { runs: RUNS });
    });
    rows.push({ name, ours: median(times.ours), library: median(times.library), unit: 'ms' });
    const ours = await peakOf(decoding, 'ours', file);
    const library = await peakOf(decoding, 'library', file);
    if (ours && library) rows.push({ name: '… memory', ours, library, unit: 'MB' });
  }
  return [...rows, await contestDepth()];
}

/** In a fresh process, MB beside the file. */
function peakOf(decoding: Decoding, only: keyof Contest, file: Uint8Array<ArrayBuffer>) {
  return withBench(async (bench) => {
    await bench.hold(file);
    const peak = await peakDuring(bench.pid, () => decoding.run(bench, { runs: 1, only }));
    return peak && peak / MEBI;
  });
}

function contestDepth(): Promise<ContestRow> {
  return withBench(async (bench) => {
    await bench.hold(readBytes('test/fixtures/images/png-rgb-16.png'));
    const difference = await bench.run('pngPixels');
    return { name: '16-bit PNG: largest difference to the high bytes', ...difference, unit: 'of 255' };
  });
}

export async function contestResize(): Promise<ContestRow[]> {
  const truth = goldenTensors('pixels').tensors.get('chelsea.png/64/shortest/bicubic')!.data;
  return withBench(async (bench) => {
    const rows: ContestRow[] = [];
    for (const photo of [picture('1 MP', 'jpeg'), picture('12 MP', 'jpeg')]) {
      await bench.hold(await readPicture(photo));
      const { times } = await bench.run('resize', { runs: RUNS });
      const pixels = photo.name.replace(' JPEG', '');
      rows.push({ name: `resize ${pixels}`, ours: median(times.ours), library: median(times.library), unit: 'ms' });
    }
    await bench.hold(readBytes('samples/chelsea.png'));
    const { pixels } = await bench.run('resize', { runs: 1 });
    const [ours, library] = [maxDifference(truth, pixels.ours), maxDifference(truth, pixels.library)];
    return [...rows, { name: 'resize: largest difference to PIL', ours, library, unit: 'of 255' }];
  });
}

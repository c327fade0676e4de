/** Pictures of several sizes to pixel values: time in one warm process, memory in a fresh one each. */
import { type BenchPicture, picture, readPicture } from '../pictures.ts';
import { peakDuring } from '../process-memory.ts';
import { type Goal, median, type StageRow } from '../report.ts';
import { withBench } from '../workerd.ts';

const PICTURES: [BenchPicture, Goal?][] = [
  [picture('0.2 MP', 'jpeg')],
  [picture('1 MP', 'jpeg')],
  [picture('12 MP', 'jpeg'), { ms: 150, megabytes: 12 }],
  [picture('12 MP', 'progressive')],
  [picture('0.2 MP', 'png')],
  [picture('1 MP', 'png'), { megabytes: 12 }],
  [picture('12 MP', 'png')],
];

const RUNS = 9;
const PROCESSES = 3;

export async function benchDecode(): Promise<StageRow[]> {
  const rows: StageRow[] = [];
  for (const [of, goal] of PICTURES) {
    const file = await readPicture(of);
    const { ms } = await withBench(async (bench) => {
      await bench.hold(file);
      return bench.run('decode', { runs: RUNS });
    });
    rows.push({ name: `decode + resize ${of.name}`, ms, ...(await measureMemory(file)), goal });
  }
  return rows;
}

/** Of the first decode in a process; the median of some processes. */
async function measureMemory(file: Uint8Array<ArrayBuffer>): Promise<Pick<StageRow, 'wasmBytes' | 'peakBytes'>> {
  const peaks: number[] = [];
  let wasmBytes = 0;
  for (let i = 0; i < PROCESSES; i++) {
    await withBench(async (bench) => {
      await bench.hold(file);
      const peak = await peakDuring(bench.pid, async () => {
        wasmBytes = (await bench.run('decode', { runs: 0 })).wasmBytes;
      });
      if (peak !== undefined) peaks.push(peak);
    });
  }
  return { wasmBytes: wasmBytes || undefined, peakBytes: peaks.length > 0 ? median(peaks) : undefined };
}

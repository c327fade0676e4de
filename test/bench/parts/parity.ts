/** The default model against PyTorch in float32. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TINY } from '../bundles.ts';
import type { EngineRows, FigureRow } from '../engine-report.ts';
import { photoCosines, type ReferenceOptions } from '../reference.ts';
import { root } from '../workerd.ts';

interface Parity {
  count: number;
  on?: string;
  engineWeights: { cosineMean: number; cosineWorst: number };
}

interface Quality {
  parity: Record<'image' | 'text', Parity>;
  accuracy: { photos: string; float: { top1: number }; int8: { top1: number } }[];
}

export async function benchParity(options: ReferenceOptions): Promise<EngineRows> {
  const file = await readFile(join(root, 'public/models', TINY.engine, 'model.json'), 'utf8');
  const { parity, accuracy } = (JSON.parse(file) as { quality: Quality }).quality;
  const cosines = await photoCosines(options);
  const photos = cosines
    ? { of: `${cosines.length} photos, through HTTP`, mean: mean(cosines), worst: Math.min(...cosines) }
    : exported(parity.image);
  return {
    figures: [
      ...rows('cosine', photos, { least: 0.9995 }),
      ...rows('textCosine', exported(parity.text)),
      ...accuracy.map(
        ({ photos: list, float, int8 }): FigureRow => ({
          name: `top-1 of ${list}, away from float`,
          key: `top1Difference.${list}`,
          value: Number((100 * Math.abs(int8.top1 - float.top1)).toFixed(2)),
          unit: 'points',
          goal: { most: 0.2 },
        }),
      ),
    ],
  };
}

const mean = (values: readonly number[]) => values.reduce((sum, x) => sum + x, 0) / values.length;

/** What `clip-export verify` has written into the manifest, by the engine's arithmetic in PyTorch. */
const exported = ({ count, on = 'texts', engineWeights }: Parity) => ({
  of: `${count} ${on}, by clip-export`,
  mean: engineWeights.cosineMean,
  worst: engineWeights.cosineWorst,
});

function rows(
  key: string,
  measured: { of: string; mean: number; worst: number },
  goalOfWorst?: { least: number },
): FigureRow[] {
  const round = (x: number) => Number(x.toFixed(6));
  const goal = { least: 0.9999 };
  return [
    {
      name: `cosine to PyTorch, mean of ${measured.of}`,
      key: `${key}Mean`,
      value: round(measured.mean),
      unit: '',
      goal,
    },
    { name: '… the worst', key: `${key}Min`, value: round(measured.worst), unit: '', goal: goalOfWorst },
  ];
}

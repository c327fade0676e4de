/** The default model against PyTorch in float32, as `clip-export verify` has measured it and written into the manifest. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TINY } from '../bundles.ts';
import type { EngineRows, FigureRow } from '../engine-report.ts';
import { root } from '../workerd.ts';

interface Parity {
  count: number;
  on?: string;
  engineWeights: { cosineMean: number; cosineWorst: number };
}

interface Accuracy {
  photos: string;
  float: { top1: number };
  int8: { top1: number };
}

export async function benchParity(): Promise<EngineRows> {
  const file = await readFile(join(root, 'public/models', TINY.engine, 'model.json'), 'utf8');
  const { parity, accuracy } = (
    JSON.parse(file) as { quality: { parity: Record<string, Parity>; accuracy: Accuracy[] } }
  ).quality;
  const { image, text } = parity;
  const cosines = (what: string, key: string, { engineWeights }: Parity, worst?: number): FigureRow[] => [
    {
      name: `cosine, mean of ${what}`,
      key: `${key}Mean`,
      value: engineWeights.cosineMean,
      unit: '',
      goal: { least: 0.9999 },
    },
    {
      name: '… the worst',
      key: `${key}Min`,
      value: engineWeights.cosineWorst,
      unit: '',
      ...(worst && { goal: { least: worst } }),
    },
  ];
  return {
    figures: [
      ...cosines(`${image.count} ${image.on}`, 'cosine', image, 0.9995),
      ...cosines(`${text.count} texts`, 'textCosine', text),
      ...accuracy.map(
        ({ photos, float, int8 }): FigureRow => ({
          name: `top-1 of ${photos} away from float`,
          key: `top1Difference.${photos}`,
          value: Number((100 * Math.abs(int8.top1 - float.top1)).toFixed(2)),
          unit: 'points',
          goal: { most: 0.2 },
        }),
      ),
    ],
  };
}

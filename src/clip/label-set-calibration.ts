/** What `clip-export calibrate` adds to a label set's file: how cosines become honest scores, and when none of them counts. */
import { type Field, FieldError, field } from './checked-json.ts';

export interface Calibration {
  /** softmax(logits / temperature); absent: 1 */
  temperature?: number;
  /**
   * Of the best label's softmax at the model's own scale (temperature 1), the background's rows in it: below, the answer
   * is "none of these".
   */
  threshold?: number;
  /** the share of pictures of the labels that the threshold was to answer so */
  falsePositiveRate?: number;
  /** of each label on its own: 1 / (1 + exp(−(scale · logit + bias))) */
  platt?: { scale: number; bias: number };
  /** texts that no picture is about, which compete with the labels */
  background?: { texts: readonly string[]; embeddings: Float32Array };
  /** on which pictures, and what was measured on others */
  calibratedOn?: Readonly<Record<string, unknown>>;
}

const share = (x: number) => x >= 0 && x <= 1;

/** How each of the file's metadata is read; the background's embeddings are a tensor, which the caller reads. */
const READERS = {
  temperature: (value: Field) => value.number((x) => x > 0),
  threshold: (value: Field) => value.number(share),
  falsePositiveRate: (value: Field) => value.number(share),
  platt: (value: Field) => ({ scale: value.get('scale').number(), bias: value.get('bias').number() }),
  background: (value: Field) => value.items(0).map((item) => item.string()),
  calibratedOn: (value: Field) => value.record(),
};

type Stated = { [Key in keyof typeof READERS]?: ReturnType<(typeof READERS)[Key]> };

/**
 * @param metadata of the file, each value JSON
 * @throws FieldError that names what is wrong
 */
export function readCalibration(metadata: Readonly<Record<string, string>>): Stated {
  const stated = Object.entries(READERS).filter(([key]) => metadata[key] !== undefined);
  return Object.fromEntries(stated.map(([key, read]) => [key, read(field(parsed(key, metadata[key]), key))]));
}

function parsed(key: string, json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw new FieldError(`${key} must be JSON, found ${json.slice(0, 80)}`, { cause });
  }
}

/** What a manifest says of an encoder that `src/engine` runs: the CLIP family as data. Checked here, named in errors. */
import { type Field, FieldError } from './checked-json.ts';

export interface TransformerArchitecture {
  layers: number;
  width: number;
  heads: number;
  /** the width of the hidden layer of each block's MLP */
  mlp: number;
  activation: 'quick_gelu' | 'gelu' | 'gelu_tanh';
  layerNormEps: number;
  /** a last product, from the width to the embedding; without it, the pooled vector is the embedding */
  projection: boolean;
  /**
   * The linears of its blocks, as "layers.0.fc1", that take the fast product: their activations have 7 bits. All others are
   * exact, with 12 to 16 bits. Chosen by clip-export's calibration; the file has each packed for its product.
   */
  fast: readonly string[];
}

/** A manifest that does not say its `kind` means a Vision Transformer. */
export type ImageArchitecture = VisionTransformerArchitecture | ResNetArchitecture;

export interface VisionTransformerArchitecture extends TransformerArchitecture {
  kind: 'vit';
  /** pixels a side; pixels beyond the last whole patch are not looked at */
  patch: number;
  /** a learned token before the patches */
  classToken: boolean;
  /** a layer norm between the embeddings and the first block */
  preNorm: boolean;
  /** the class token, the mean of the patches, or a learned query's attention to all tokens and an MLP */
  pooling: 'cls' | 'mean' | 'attention';
}

/**
 * CLIP's modified ResNet (OpenAI's clip/model.py, `ModifiedResNet`): a stem of three convolutions, four stages of
 * bottlenecks that pool where they stride, and attention in which the mean of all pixels asks. All its products are exact.
 */
export interface ResNetArchitecture {
  kind: 'resnet';
  /** how many bottlenecks each stage has */
  stages: readonly number[];
  /** channels that the stem puts out; stage i (from 0) has width · 2^i within its bottlenecks, and puts out four times that */
  width: number;
  /** of the attention, which is 32 · width wide */
  heads: number;
}

export interface TextArchitecture extends TransformerArchitecture {
  pooling: TextPooling;
  /** a token sees itself and what comes before it */
  causal: boolean;
}

/** The token whose output is the text's: the first end of text, or the last, padding included. */
export type TextPooling = (typeof TEXT_POOLINGS)[number];
export const TEXT_POOLINGS = ['first-eot', 'last'] as const;

/** The kernels take 8 columns at a time. */
const isWide = (x: number) => Number.isInteger(x) && x > 0 && x % 8 === 0;

/** What all of CLIP has and only others lack: manifests need not say it. */
const trueUnlessSaid = (of: Field, key: string) => of.optional(key)?.boolean() ?? true;

/** The fast product takes 16 inputs at a time. */
const FAST_INPUTS = 16;

/** A linear of a block, by the name of its tensors. */
const BLOCK_LINEAR = /^layers\.(0|[1-9]\d*)\.(qkv|out|fc1|fc2)$/;

function parseFast(of: Field, { layers, width, mlp }: { layers: number; width: number; mlp: number }): string[] {
  const names = new Set<string>();
  for (const item of of.optional('fast')?.items(0) ?? []) {
    const name = item.string(BLOCK_LINEAR);
    const [, layer, linear] = BLOCK_LINEAR.exec(name)!;
    if (Number(layer) >= layers) throw new FieldError(`${item.path} must be of one of ${layers} layers, found ${name}`);
    const inputs = linear === 'fc2' ? mlp : width;
    if (inputs % FAST_INPUTS > 0) {
      throw new FieldError(`${item.path} must have a multiple of ${FAST_INPUTS} inputs, ${name} has ${inputs}`);
    }
    if (names.has(name)) throw new FieldError(`${item.path} must be named once, found ${name} again`);
    names.add(name);
  }
  return [...names];
}

function parseTransformer(of: Field): TransformerArchitecture {
  const width = of.get('width').number(isWide);
  const heads = of.get('heads').whole();
  const [layers, mlp] = [of.get('layers').whole(), of.get('mlp').number(isWide)];
  if (!isWide(width / heads)) {
    throw new FieldError(`${of.get('heads').path} must divide the width ${width} into multiples of 8, found ${heads}`);
  }
  return {
    layers,
    width,
    heads,
    mlp,
    activation: of.get('activation').oneOf(['quick_gelu', 'gelu', 'gelu_tanh']),
    layerNormEps: of.get('layerNormEps').number((x) => x > 0),
    projection: trueUnlessSaid(of, 'projection'),
    fast: parseFast(of, { layers, width, mlp }),
  };
}

/** @param size pixels a side of the whole image */
export function parseImageArchitecture(of: Field, size: number): ImageArchitecture {
  const kind = of.optional('kind')?.oneOf(['vit', 'resnet']) ?? 'vit';
  return kind === 'vit' ? parseVisionTransformer(of, size) : parseResNet(of, size);
}

function parseVisionTransformer(of: Field, size: number): VisionTransformerArchitecture {
  const patch = of.get('patch').whole();
  if (patch > size) {
    throw new FieldError(`${of.get('patch').path} must be at most the image's ${size} pixels, found ${patch}`);
  }
  const classToken = trueUnlessSaid(of, 'classToken');
  const pooling = of.get('pooling').oneOf(['cls', 'mean', 'attention']);
  if (pooling === 'cls' && !classToken) {
    throw new FieldError(`${of.get('pooling').path} must be mean or attention where classToken is false, found cls`);
  }
  return { kind: 'vit', ...parseTransformer(of), patch, classToken, preNorm: of.get('preNorm').boolean(), pooling };
}

const RESNET_STAGES = 4;
/** The image is halved five times. */
const RESNET_LEAST_SIZE = 32;

function parseResNet(of: Field, size: number): ResNetArchitecture {
  if (size < RESNET_LEAST_SIZE) {
    throw new FieldError(
      `${of.path} must be of an image of at least ${RESNET_LEAST_SIZE} pixels a side, found ${size}`,
    );
  }
  // half of it is the stem's first width, and four times it must be a multiple of 8
  const width = of.get('width').number((x) => Number.isInteger(x) && x > 0 && x % 2 === 0);
  const heads = of.get('heads').whole();
  if (!isWide((32 * width) / heads)) {
    const path = of.get('heads').path;
    throw new FieldError(`${path} must divide 32 times the width ${width} into multiples of 8, found ${heads}`);
  }
  const stages = of.get('stages').items(RESNET_STAGES, RESNET_STAGES);
  return { kind: 'resnet', stages: stages.map((stage) => stage.whole()), width, heads };
}

export function parseTextArchitecture(of: Field): TextArchitecture {
  return {
    ...parseTransformer(of),
    pooling: of.get('pooling').oneOf(TEXT_POOLINGS),
    causal: of.get('causal').boolean(),
  };
}

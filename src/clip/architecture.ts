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
}

export interface ImageArchitecture extends TransformerArchitecture {
  /** pixels a side; pixels beyond the last whole patch are not looked at */
  patch: number;
  /** a learned token before the patches */
  classToken: boolean;
  /** a layer norm between the embeddings and the first block */
  preNorm: boolean;
  /** the class token, the mean of the patches, or a learned query's attention to all tokens and an MLP */
  pooling: 'cls' | 'mean' | 'attention';
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

function parseTransformer(of: Field): TransformerArchitecture {
  const width = of.get('width').number(isWide);
  const heads = of.get('heads').whole();
  if (!isWide(width / heads)) {
    throw new FieldError(`${of.get('heads').path} must divide the width ${width} into multiples of 8, found ${heads}`);
  }
  return {
    layers: of.get('layers').whole(),
    width,
    heads,
    mlp: of.get('mlp').number(isWide),
    activation: of.get('activation').oneOf(['quick_gelu', 'gelu', 'gelu_tanh']),
    layerNormEps: of.get('layerNormEps').number((x) => x > 0),
    projection: trueUnlessSaid(of, 'projection'),
  };
}

/** @param size pixels a side of the whole image */
export function parseImageArchitecture(of: Field, size: number): ImageArchitecture {
  const patch = of.get('patch').whole();
  if (patch > size) {
    throw new FieldError(`${of.get('patch').path} must be at most the image's ${size} pixels, found ${patch}`);
  }
  const classToken = trueUnlessSaid(of, 'classToken');
  const pooling = of.get('pooling').oneOf(['cls', 'mean', 'attention']);
  if (pooling === 'cls' && !classToken) {
    throw new FieldError(`${of.get('pooling').path} must be mean or attention where classToken is false, found cls`);
  }
  return { ...parseTransformer(of), patch, classToken, preNorm: of.get('preNorm').boolean(), pooling };
}

export function parseTextArchitecture(of: Field): TextArchitecture {
  return {
    ...parseTransformer(of),
    pooling: of.get('pooling').oneOf(TEXT_POOLINGS),
    causal: of.get('causal').boolean(),
  };
}

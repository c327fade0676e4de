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
}

export interface ImageArchitecture extends TransformerArchitecture {
  /** pixels a side */
  patch: number;
  /** a layer norm between the embeddings and the first block */
  preNorm: boolean;
  pooling: 'cls';
}

export interface TextArchitecture extends TransformerArchitecture {
  pooling: 'first-eot';
  /** a token sees itself and what comes before it */
  causal: boolean;
}

/** The kernels take 8 columns at a time. */
const isWide = (x: number) => Number.isInteger(x) && x > 0 && x % 8 === 0;

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
  };
}

/** @param size pixels a side of the whole image */
export function parseImageArchitecture(of: Field, size: number): ImageArchitecture {
  const patch = of.get('patch').whole();
  if (size % patch > 0) {
    throw new FieldError(`${of.get('patch').path} must divide the image's ${size} pixels, found ${patch}`);
  }
  return {
    ...parseTransformer(of),
    patch,
    preNorm: of.get('preNorm').boolean(),
    pooling: of.get('pooling').oneOf(['cls']),
  };
}

export function parseTextArchitecture(of: Field): TextArchitecture {
  return {
    ...parseTransformer(of),
    pooling: of.get('pooling').oneOf(['first-eot']),
    causal: of.get('causal').boolean(),
  };
}

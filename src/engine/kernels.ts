/**
 * The kernels of build/engine.wasm as TypeScript calls them. `assembly/` has their shapes, bounds and errors; every
 * number here is an address or a stride in bytes, or a count.
 */
import { EngineError } from './engine-error.ts';

type Address = number;
type Bytes = number;

export interface Kernels {
  readonly memory: WebAssembly.Memory;
  /** the first address that is free */
  readonly heapBase: { value: Address };
  gatherPatches(pixels: Address, size: number, patch: number, y: Address, stride: Bytes): void;
  gatherNeighbours(
    x: Address,
    side: number,
    ...more: [channels: number, step: number, first: number, count: number, y: Address, stride: Bytes]
  ): void;
  averagePool(x: Address, side: number, lines: number, channels: number, y: Address): void;
  relu(x: Address, count: number): void;
  meanAndRows(x: Address, rows: number, width: number, positions: Address, y: Address): void;
  embedTokens(
    ids: Address,
    count: number,
    ...more: [table: Address, scales: Address, positions: Address, width: number, y: Address]
  ): void;
  layerNorm(
    x: Address,
    xStride: Bytes,
    ...more: [rows: number, width: number, weight: Address, bias: Address, eps: number, y: Address, yStride: Bytes]
  ): void;
  quantise(
    x: Address,
    stride: Bytes,
    ...more: [blocks: number, inputs: number, packed: Address, scales: Address]
  ): void;
  linear(
    packed: Address,
    scales: Address,
    ...more: [
      rows: number,
      paddedInputs: number,
      weights: Address,
      columnScales: Address,
      bias: Address,
      panels: number,
      y: Address,
      stride: Bytes,
      add: boolean,
    ]
  ): void;
  quantiseFast(
    x: Address,
    stride: Bytes,
    ...more: [blocks: number, inputs: number, zero: number, packed: Address, scales: Address]
  ): void;
  linearFast(
    packed: Address,
    scales: Address,
    ...more: [
      rows: number,
      inputs: number,
      weights: Address,
      starts: Address,
      startStride: Bytes,
      columnScales: Address,
      bias: Address,
      panels: number,
      y: Address,
      stride: Bytes,
      add: boolean,
    ]
  ): void;
  /** @returns the first panel of weights that is not within the bounds of `linearFast`, or `panels` */
  checkFast(
    weights: Address,
    inputs: number,
    ...more: [starts: Address, startStride: Bytes, panels: number, zero: number]
  ): number;
  packKeys(k: Address, stride: Bytes, ...more: [tokens: number, headDim: number, keys: Address, scales: Address]): void;
  packValues(
    v: Address,
    stride: Bytes,
    ...more: [tokens: number, headDim: number, values: Address, scales: Address]
  ): void;
  attend(
    q: Address,
    qStride: Bytes,
    ...more: [
      queries: number,
      first: number,
      causal: boolean,
      tokens: number,
      headDim: number,
      keys: Address,
      keyScales: Address,
      values: Address,
      valueScales: Address,
      zeros: Address,
      scratch: Address,
      out: Address,
      outStride: Bytes,
    ]
  ): void;
  /** @returns 1 if all are finite and at least `least`, else 0 */
  allWithin(x: Address, count: number, least: number): number;
  quickGelu(x: Address, count: number, factors: Address): void;
  gelu(x: Address, count: number, factors: Address): void;
  geluTanh(x: Address, count: number, factors: Address): void;
}

/** Of one source, with and without relaxed SIMD (assembly/simd.ts, `dot8`). Their results are the same to the last bit. */
const BUILDS = {
  relaxed: () => import('../../build/engine.wasm'),
  plain: () => import('../../build/engine-plain.wasm'),
};

export type KernelBuild = keyof typeof BUILDS;

/** A module of one function, i16x8.relaxed_dot_i8x16_i7x16_s(splat(0), splat(0)): valid where there is relaxed SIMD. */
export const RELAXED_SIMD = Uint8Array.of(
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0],
  ...[10, 16, 1, 14, 0, 65, 0, 253, 15, 65, 0, 253, 15, 253, 146, 2, 26, 11],
);

/** The other build is not even compiled: a Worker whose runtime lacks relaxed SIMD would not start with it. */
const bestBuild = (): KernelBuild => (WebAssembly.validate(RELAXED_SIMD) ? 'relaxed' : 'plain');

/** A fresh instance with a memory of its own: two encoders share nothing. */
export async function loadKernels(build: KernelBuild = bestBuild()): Promise<Kernels> {
  const { default: wasm } = await BUILDS[build]();
  return new WebAssembly.Instance(wasm).exports as unknown as Kernels;
}

const PAGE_BYTES = 65536;
const LINE_BYTES = 64;
/** An address has 32 bits. */
const MAX_BYTES = 2 ** 32;

/** Hands out addresses first; then the memory grows once, to what they need, and nothing moves any more. */
export interface MemoryPlan {
  /** @returns an address at a multiple of 64, of memory that is zero at first */
  take(bytes: number): Address;
  /** @throws EngineError if there is not so much memory, and what `claim` throws */
  allocate(claim?: ClaimMemory): ArrayBuffer;
}

/** Told of bytes before they are taken; throws if they are too many. */
export type ClaimMemory = (bytes: number) => void;

export function planMemory({ memory, heapBase }: Kernels): MemoryPlan {
  let end = Math.ceil(heapBase.value / LINE_BYTES) * LINE_BYTES;
  return {
    take(bytes) {
      const at = end;
      end += Math.ceil(bytes / LINE_BYTES) * LINE_BYTES;
      return at;
    },
    allocate(claim = () => {}) {
      if (!(end <= MAX_BYTES)) throw new EngineError(`the model takes ${end} bytes, WebAssembly has ${MAX_BYTES}`);
      const pages = Math.ceil(end / PAGE_BYTES);
      claim(pages * PAGE_BYTES);
      try {
        memory.grow(pages - memory.buffer.byteLength / PAGE_BYTES);
      } catch (cause) {
        throw new EngineError(`there is no memory for the ${end} bytes of the model and its activations`, { cause });
      }
      return memory.buffer as ArrayBuffer;
    },
  };
}

/**
 * The kernels of build/engine.wasm as TypeScript calls them. `assembly/` has their shapes, bounds and errors; every
 * number here is an address or a stride in bytes, or a count.
 */
import wasm from '../../build/engine.wasm';
import { EngineError } from './engine-error.ts';

type Address = number;
type Bytes = number;

export interface Kernels {
  readonly memory: WebAssembly.Memory;
  /** the first address that is free */
  readonly heapBase: { value: Address };
  gatherPatches(pixels: Address, size: number, patch: number, y: Address, stride: Bytes): void;
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
  quickGelu(x: Address, count: number): void;
  gelu(x: Address, count: number): void;
  geluTanh(x: Address, count: number): void;
}

/** A fresh instance with a memory of its own: two encoders share nothing. */
export const instantiateKernels = (): Kernels => new WebAssembly.Instance(wasm).exports as unknown as Kernels;

const PAGE_BYTES = 65536;
const LINE_BYTES = 64;

/** Hands out addresses first; then the memory grows once, to what they need, and nothing moves any more. */
export interface MemoryPlan {
  /** @returns an address at a multiple of 64, of memory that is zero at first */
  take(bytes: number): Address;
  /** @throws EngineError if there is not so much memory */
  allocate(): ArrayBuffer;
}

export function planMemory({ memory, heapBase }: Kernels): MemoryPlan {
  let end = Math.ceil(heapBase.value / LINE_BYTES) * LINE_BYTES;
  return {
    take(bytes) {
      const at = end;
      end += Math.ceil(bytes / LINE_BYTES) * LINE_BYTES;
      return at;
    },
    allocate() {
      const pages = Math.ceil(end / PAGE_BYTES) - memory.buffer.byteLength / PAGE_BYTES;
      try {
        memory.grow(Math.max(pages, 0));
      } catch (cause) {
        throw new EngineError(`there is no memory for the ${end} bytes of the model and its activations`, { cause });
      }
      return memory.buffer as ArrayBuffer;
    },
  };
}

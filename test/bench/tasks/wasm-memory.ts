/** Counts the memory of the WebAssembly instances of decoders and engine, by standing in for their constructor. */

const memories = new Map<WebAssembly.Memory, 'engine' | 'decoder'>();

const collect = ({ exports }: WebAssembly.Instance) => {
  const owner = 'heapBase' in exports ? 'engine' : 'decoder';
  for (const member of Object.values(exports)) {
    if ((member as unknown) instanceof WebAssembly.Memory) memories.set(member as unknown as WebAssembly.Memory, owner);
  }
};

WebAssembly.Instance = new Proxy(WebAssembly.Instance, {
  construct(Instance, [module, imports]: [WebAssembly.Module, WebAssembly.Imports?]) {
    const instance = new Instance(module, imports);
    collect(instance);
    return instance;
  },
});

/** Bytes of all instances made since the start. It never shrinks. */
export const wasmBytes = (of: 'engine' | 'decoder'): number =>
  Array.from(memories).reduce((sum, [{ buffer }, owner]) => (owner === of ? sum + buffer.byteLength : sum), 0);

/** Counts the memory of the decoders' WebAssembly instances, by standing in for their constructor. */

const memories = new Set<WebAssembly.Memory>();

const collect = (instance: WebAssembly.Instance) => {
  for (const member of Object.values(instance.exports)) {
    if ((member as unknown) instanceof WebAssembly.Memory) memories.add(member as unknown as WebAssembly.Memory);
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
export const wasmBytes = (): number => [...memories].reduce((sum, { buffer }) => sum + buffer.byteLength, 0);

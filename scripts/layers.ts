/**
 * Which module of src/ may import which others. biome.json says the same for the editor; test/tidy.test.ts holds the two
 * equal and checks what a pattern over import paths cannot see.
 */
const lower = ['model', 'runtime', 'config'];
const doors = ['storage', 'network', 'ipfs'];
const workers = ['consensus', 'tracker', 'monitor', 'allocator', 'adder'];
const upToWorkers = [...lower, ...doors, 'pinset'];
const upToCluster = [...upToWorkers, ...workers, 'cluster'];

export const mayImport: Readonly<Record<string, readonly string[]>> = {
  model: [],
  runtime: ['model'],
  config: ['model', 'runtime'],
  storage: lower,
  network: lower,
  ipfs: lower,
  pinset: [...lower, ...doors],
  consensus: upToWorkers,
  tracker: upToWorkers,
  monitor: upToWorkers,
  allocator: upToWorkers,
  adder: upToWorkers,
  cluster: [...upToWorkers, ...workers],
  api: upToCluster,
  daemon: [...upToCluster, 'api'],
  cli: [...upToCluster, 'api', 'daemon'],
};

/** Modules that the simulator runs unchanged: no timers, threads, files or sockets of their own. */
export const aboveTheSeams = ['consensus', 'pinset', 'tracker', 'monitor', 'allocator', 'cluster'];

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/*
 * Loaded into a daemon with `--import`: collects garbage at SIGUSR2. What a heap holds can only be told just after a full collection, and
 * an idle process makes none.
 */
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
process.on('SIGUSR2', () => collect());

import { writeFileSync } from 'node:fs';
import { SocketBytes } from './socket-bytes.ts';

/*
 * Loaded into a daemon with `--import`: when the process ends, writes to the file that BYTES_FILE names how many bytes its TCP sockets
 * have received.
 */
const bytes = new SocketBytes();
process.on('exit', () => writeFileSync(process.env.BYTES_FILE as string, String(bytes.received)));

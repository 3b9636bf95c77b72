import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile } from '../../config/files.ts';

/** Which node the pins of this peer are on: its peer ID, kept from the first time that it answered. */
export class IdentityFile {
  readonly path: string;

  constructor(folder: string) {
    this.path = join(folder, 'kubo-peer-id');
  }

  async load(): Promise<string | undefined> {
    try {
      const text = (await readFile(this.path, 'utf8')).trim();
      return text === '' ? undefined : text;
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw cause;
    }
  }

  /** On the disk when it resolves: whole, or not at all. */
  save(peerId: string): Promise<void> {
    return replaceFile(this.path, `${peerId}\n`, 0o600);
  }
}

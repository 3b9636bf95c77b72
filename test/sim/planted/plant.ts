import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Edit, PlantedFault } from './catalogue.ts';

export interface PlantedCopy {
  /** Where its worker.ts is. */
  readonly folder: string;
  remove(): void;
}

/** A copy of the sources and of the simulator with the fault in it. Throws when the sources have changed under the catalogue. */
export function plant(fault: PlantedFault): PlantedCopy {
  const root = mkdtempSync(join(tmpdir(), 'pinfold-planted-'));
  const remove = () => rmSync(root, { recursive: true, force: true });
  try {
    for (const folder of ['src', 'test/sim']) cpSync(folder, join(root, folder), { recursive: true });
    mkdirSync(join(root, 'test/suites'));
    for (const file of ['package.json', 'test/suites/dags.ts']) cpSync(file, join(root, file));
    for (const folder of ['gen', 'node_modules']) symlinkSync(join(process.cwd(), folder), join(root, folder));
    for (const edit of fault.edits)
      writeFileSync(join(root, edit.file), edited(edit, readFileSync(join(root, edit.file), 'utf8')));
    return { folder: join(root, 'test/sim'), remove };
  } catch (problem) {
    remove();
    throw new Error(`the fault ${fault.name} cannot be planted: ${(problem as Error).message}`, { cause: problem });
  }
}

/** The text with the edit made. Throws unless what is to be replaced stands in it exactly once. */
export function edited({ file, find, replace }: Edit, text: string): string {
  const at = text.indexOf(find);
  if (at < 0) throw new Error(`${file} has changed: it does not say any more: ${find.trim()}`);
  if (text.includes(find, at + 1)) throw new Error(`${file} says more than once: ${find.trim()}`);
  return text.slice(0, at) + replace + text.slice(at + find.length);
}

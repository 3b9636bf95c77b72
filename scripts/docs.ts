/** Writes the documents that are made from the code. */
import { writeFileSync } from 'node:fs';
import { generatedDocuments } from './documents.ts';

for (const [path, text] of Object.entries(generatedDocuments())) writeFileSync(path, text);

import { randomUUID } from 'node:crypto';

/** Files of a form, which is how Kubo takes bytes; each in pieces. */
export function multipart(files: readonly (readonly Uint8Array[])[]): { contentType: string; bytes: Uint8Array[] } {
  const boundary = `pinfold-${randomUUID()}`;
  const bytes: Uint8Array[] = [];
  for (const [at, file] of files.entries()) {
    const head = `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="${at}"\r\ncontent-type: application/octet-stream\r\n\r\n`;
    bytes.push(Buffer.from(head), ...file, Buffer.from('\r\n'));
  }
  bytes.push(Buffer.from(`--${boundary}--\r\n`));
  return { contentType: `multipart/form-data; boundary=${boundary}`, bytes };
}

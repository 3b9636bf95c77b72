import { create } from '@bufbuild/protobuf';
import {
  ContentFormat,
  type ExportRequest,
  type ExportResponse,
  ExportResponseSchema,
} from '../../../gen/pinfold/v1/pin_service_pb.ts';
import type { ExportEvent, Exporting, ExportQuery } from '../../cluster/export/exporting.ts';
import type { CallContext } from '../../model/call-context.ts';
import { formatCid } from '../../model/cid.ts';
import { invalidField } from '../../model/errors.ts';
import { namespaceOf } from './convert.ts';

export async function* exportContent(
  exporting: Exporting,
  { namespace, path, format }: ExportRequest,
  call: CallContext,
): AsyncIterable<ExportResponse> {
  const query = { namespace: namespaceOf(namespace), path, format: formatFrom(format) };
  for await (const event of exporting.export(query, call)) yield eventMessage(event);
}

function formatFrom(format: ContentFormat): ExportQuery['format'] {
  switch (format) {
    case ContentFormat.UNSPECIFIED:
      return 'files';
    case ContentFormat.CAR:
      return 'car';
    default:
      throw invalidField('format', `${format} is not a format that this version knows`);
  }
}

function eventMessage(event: ExportEvent): ExportResponse {
  if (event.kind === 'data') {
    const value = event.bytes as Uint8Array<ArrayBuffer>;
    return create(ExportResponseSchema, { message: { case: 'data', value } });
  }
  const { path, cid, kind, size, target, mode, mtime } = event.entry;
  const value = {
    path,
    cid: formatCid(cid),
    directory: kind === 'directory',
    size,
    ...(target === undefined ? {} : { symlink: target }),
    ...(mode === undefined ? {} : { mode }),
    ...(mtime === undefined ? {} : { mtime }),
  };
  return create(ExportResponseSchema, { message: { case: 'entry', value } });
}

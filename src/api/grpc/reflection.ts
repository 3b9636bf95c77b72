import { type DescFile, type DescService, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import type { Server } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { file_google_rpc_error_details } from '../../../gen/google/rpc/error_details_pb.ts';
import { Health } from '../../../gen/health/v1/health_pb.ts';

/** Lets tools such as grpcurl ask the server for its services (gRPC server reflection, v1 and v1alpha). */
export function addReflection(server: Server, own: readonly DescService[]): void {
  const services = [...own, Health];
  const files = new Map<string, DescFile>();
  const collect = (file: DescFile) => {
    if (files.has(file.name)) return;
    files.set(file.name, file);
    file.dependencies.forEach(collect);
  };
  for (const service of services) collect(service.file);
  // No service names it: what errors carry.
  collect(file_google_rpc_error_details);
  const fileDescriptorProtos = [...files.values()].map((file) =>
    Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto)),
  );
  // The package wants what proto-loader makes, of which it reads the descriptors alone.
  const loaded = { files: { format: '', type: {}, fileDescriptorProtos } };
  const names = services.map(({ typeName }) => typeName);
  new ReflectionService(loaded as never, { services: names }).addToServer(server);
}

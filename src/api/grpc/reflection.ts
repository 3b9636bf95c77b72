import { type DescFile, type DescService, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import type { Server } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';

/** Lets tools such as grpcurl ask the server for its services (gRPC server reflection, v1 and v1alpha). */
export function addReflection(server: Server, services: readonly DescService[]): void {
  const files = new Map<string, DescFile>();
  const collect = (file: DescFile) => {
    if (files.has(file.name)) return;
    files.set(file.name, file);
    file.dependencies.forEach(collect);
  };
  for (const service of services) collect(service.file);
  const fileDescriptorProtos = [...files.values()].map((file) =>
    Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto)),
  );
  // The package wants what proto-loader makes, of which it reads the descriptors alone.
  const loaded = { files: { format: '', type: {}, fileDescriptorProtos } };
  const names = services.map(({ typeName }) => typeName);
  new ReflectionService(loaded as never, { services: names }).addToServer(server);
}

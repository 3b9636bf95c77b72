import { PinService } from '../../gen/pinfold/v1/pin_service_pb.ts';
import { type Handlers, type Mounted, mount } from '../../src/api/handlers.ts';
import { PinfoldError } from '../../src/model/errors.ts';

/** PinService with these handlers; the others answer UNIMPLEMENTED. */
export function pinServiceWith(handlers: Partial<Handlers<typeof PinService>>): Mounted {
  const missing = async () => {
    throw new PinfoldError('UNIMPLEMENTED', 'not in this test');
  };
  const missingStream = () => ({ [Symbol.asyncIterator]: () => ({ next: missing }) });
  return mount(PinService, {
    pin: missing,
    unpin: missing,
    replacePin: missing,
    writePins: missingStream,
    waitLevel: missing,
    resolve: missing,
    getPin: missing,
    listPins: missingStream,
    getPinStatus: missing,
    explainPin: missing,
    listPinStatuses: missingStream,
    watchPins: missingStream,
    recoverPins: missingStream,
    add: missingStream,
    export: missingStream,
    ...handlers,
  });
}

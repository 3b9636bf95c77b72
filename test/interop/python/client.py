"""A client in another language: pins, lists, watches and gets a typed error, over stubs made from proto/.

    client.py HOST CID

Prints one JSON object with what it got.
"""

import json
import sys

import grpc
from google.rpc import error_details_pb2, status_pb2
from pinfold.v1 import pin_pb2, pin_service_pb2, pin_service_pb2_grpc

DEADLINE_S = 30


def main(host: str, cid: str) -> None:
    with grpc.insecure_channel(host) as channel:
        pins = pin_service_pb2_grpc.PinServiceStub(channel)
        result = {
            "pinned": pin(pins, cid),
            "listed": listed(pins),
            "watched": watched(pins, cid),
            "error": typed_error(pins),
        }
        print(json.dumps(result))


def pin(pins, cid):
    options = pin_pb2.PinOptions(
        name="from python",
        metadata=[pin_pb2.MetadataEntry(key="language", value="python")],
    )
    request = pin_service_pb2.PinRequest(cid=cid, options=options, idempotency_key="python-1")
    response = pins.Pin(request, timeout=DEADLINE_S)
    again = pins.Pin(request, timeout=DEADLINE_S)
    return {
        "cid": response.pin.cid,
        "name": response.pin.options.name,
        "level": pin_pb2.AckLevel.Kind.Name(response.level.kind),
        "same_etag_on_retry": response.pin.etag == again.pin.etag,
    }


def listed(pins):
    request = pin_service_pb2.ListPinsRequest(filter=pin_service_pb2.PinFilter(name_prefix="from"))
    return [each.cid for page in pins.ListPins(request, timeout=DEADLINE_S) for each in page.pins]


def watched(pins, cid):
    request = pin_service_pb2.WatchPinsRequest(filter=pin_service_pb2.PinFilter(cids=[cid]))
    call = pins.WatchPins(request, timeout=DEADLINE_S)
    seen = []
    for message in call:
        seen += [event.WhichOneof("event") for event in message.events]
        if message.caught_up:
            call.cancel()
            return seen
    return seen


def typed_error(pins):
    try:
        pins.GetPin(pin_service_pb2.GetPinRequest(cid="nonsense"), timeout=DEADLINE_S)
    except grpc.RpcError as error:
        trailers = dict(error.trailing_metadata())
        status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
        info = error_details_pb2.ErrorInfo()
        fields = error_details_pb2.BadRequest()
        for detail in status.details:
            detail.Unpack(info)
            detail.Unpack(fields)
        return {
            "code": error.code().name,
            "reason": info.reason,
            "domain": info.domain,
            "field": fields.field_violations[0].field,
        }
    return None


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])

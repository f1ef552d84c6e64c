"""gRPC's own core over TLS: a server that is trusted, one that is not, and a certificate that is shown."""

import sys

import grpc

from user.v1 import user_pb2 as pb2
from user.v1 import user_service_pb2_grpc as pb2_grpc

TIMEOUT_S = 30


def read(name):
    with open(f"certs/{name}.pem", "rb") as file:
        return file.read()


def stub(credentials):
    channel = grpc.secure_channel(sys.argv[1].replace("127.0.0.1", "localhost"), credentials)
    return pb2_grpc.UserServiceStub(channel)


def code(call, request):
    try:
        call(request, timeout=TIMEOUT_S)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


nobody = stub(grpc.ssl_channel_credentials(read("ca")))
assert code(nobody.HealthCheck, pb2.HealthCheckRequest()) == grpc.StatusCode.OK
service = stub(grpc.ssl_channel_credentials(read("ca"), read("client-key"), read("client")))
assert code(service.GetUser, pb2.GetUserRequest(user_id="ada")) == grpc.StatusCode.NOT_FOUND
assert code(service.DeleteUser, pb2.DeleteUserRequest(user_id="ada")) == grpc.StatusCode.PERMISSION_DENIED
# The client's own certificate is no CA.
stranger = stub(grpc.ssl_channel_credentials(read("client")))
assert code(stranger.HealthCheck, pb2.HealthCheckRequest()) == grpc.StatusCode.UNAVAILABLE
print("ok")

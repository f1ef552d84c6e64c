"""A client without any stubs, as grpcurl is one: it learns all from the server's reflection."""

import sys

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

TIMEOUT_S = 30
# Ours, and the standard ones.
SERVICES = {
    "user.v1.UserService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
}
METHODS = {
    "CreateUser", "GetUser", "GetUserByEmail", "UpdateUser", "DeleteUser", "DeactivateUser", "ReactivateUser",
    "ListUsers", "SearchUsers", "HealthCheck",
}


def check_v1(channel):
    """The messages of v1 are those of v1alpha under another name, so those stand in for them here."""
    call = channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    (response,) = call(iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=TIMEOUT_S)
    names = {service.name for service in response.list_services_response.service}
    assert SERVICES <= names, names


def invoke(channel, service, name, request):
    """Calls a method with a request in JSON; gives its answers in JSON."""
    method = service.methods_by_name[name]
    message = json_format.ParseDict(request, message_factory.GetMessageClass(method.input_type)())
    response = message_factory.GetMessageClass(method.output_type)
    kind = channel.unary_stream if method.server_streaming else channel.unary_unary
    call = kind(
        f"/{service.full_name}/{name}",
        request_serializer=type(message).SerializeToString,
        response_deserializer=response.FromString,
    )
    answers = call(message, timeout=TIMEOUT_S)
    return [json_format.MessageToDict(answer) for answer in (answers if method.server_streaming else [answers])]


with grpc.insecure_channel(sys.argv[1]) as channel:
    database = ProtoReflectionDescriptorDatabase(channel)
    names = set(database.get_services())
    assert SERVICES <= names, names
    check_v1(channel)

    pool = descriptor_pool.DescriptorPool(database)
    service = pool.FindServiceByName("user.v1.UserService")
    assert METHODS <= set(service.methods_by_name)
    for name in names:
        pool.FindServiceByName(name)

    (health,) = invoke(channel, service, "HealthCheck", {})
    assert health["status"] == "HEALTH_STATUS_HEALTHY", health
    for number in range(12):
        invoke(channel, service, "CreateUser", {"email": f"user-{number}@example.com", "age": number})
    users = invoke(channel, service, "ListUsers", {"pagination": {"page_size": 10}})
    assert [user["email"] for user in users] == [f"user-{number}@example.com" for number in range(10)], users
    assert users[3]["age"] == 3 and users[3]["status"] == "USER_STATUS_ACTIVE", users[3]
print("ok")

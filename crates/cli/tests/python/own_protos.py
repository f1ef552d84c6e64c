"""Stubs generated from the protos of this repository: every method that is served, details of errors, metadata."""

import queue
import sys

import grpc
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from notification.v1 import notification_pb2 as presence
from notification.v1 import notification_pb2_grpc as presence_grpc
from user.v1 import user_pb2 as pb2
from user.v1 import user_service_pb2_grpc as pb2_grpc

TIMEOUT_S = 30


def refused(call, request, **options):
    """The error with which `call` refuses, and its details by their type's name."""
    try:
        answer = call(request, timeout=TIMEOUT_S, **options)
    except grpc.RpcError as error:
        status = status_pb2.Status()
        status.ParseFromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
        assert (status.code, status.message) == (error.code().value[0], error.details())
        details = {}
        for packed in status.details:
            name = packed.TypeName().removeprefix("google.rpc.")
            details[name] = getattr(error_details_pb2, name)()
            assert packed.Unpack(details[name])
        return error, details
    raise AssertionError(f"{request} was not refused: {answer}")


def check_users(stub):
    health = stub.HealthCheck(pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
    assert health.status == pb2.HEALTH_STATUS_HEALTHY and health.version and health.dependencies, health

    request = pb2.CreateUserRequest(
        user_id="ada", email="ada@example.com", name="Ada 🦀", username="ada", password="correct horse", role=pb2.ROLE_ADMIN,
        age=36, phone="+4930123456", locale="en-GB", attributes={"team": "core", "floor": "3"}, email_verified=True,
    )
    rehearsal = pb2.CreateUserRequest()
    rehearsal.CopyFrom(request)
    rehearsal.validate_only = True
    assert stub.CreateUser(rehearsal, timeout=TIMEOUT_S).id == "ada"
    user = stub.CreateUser(request, timeout=TIMEOUT_S)
    for field in ["email", "name", "username", "role", "age", "phone", "locale", "attributes", "email_verified"]:
        assert getattr(user, field) == getattr(request, field), field
    assert user.id == "ada" and user.etag and user.created_at == user.updated_at

    assert stub.GetUser(pb2.GetUserRequest(user_id="ada"), timeout=TIMEOUT_S) == user
    by_email = pb2.GetUserByEmailRequest(email="ADA@example.com")
    assert stub.GetUserByEmail(by_email, timeout=TIMEOUT_S, compression=grpc.Compression.Gzip) == user

    mask = FieldMask(paths=["name", "age", "attributes.floor"])
    request = pb2.UpdateUserRequest(user_id="ada", name="Ada King", update_mask=mask, etag=user.etag)
    updated = stub.UpdateUser(request, timeout=TIMEOUT_S)
    assert updated.name == "Ada King" and not updated.HasField("age") and dict(updated.attributes) == {"team": "core"}
    error, details = refused(stub.UpdateUser, request)
    assert error.code() == grpc.StatusCode.ABORTED and details["ErrorInfo"].reason == "ETAG_MISMATCH"

    inactive = stub.DeactivateUser(pb2.DeactivateUserRequest(user_id="ada"), timeout=TIMEOUT_S)
    assert inactive.status == pb2.USER_STATUS_INACTIVE
    assert stub.DeactivateUser(pb2.DeactivateUserRequest(user_id="ada"), timeout=TIMEOUT_S) == inactive
    active = stub.ReactivateUser(pb2.ReactivateUserRequest(user_id="ada"), timeout=TIMEOUT_S)
    assert active.status == pb2.USER_STATUS_ACTIVE


def check_lists(stub):
    for number in range(7):
        request = pb2.CreateUserRequest(email=f"list-{number}@example.org", name=f"List {number}")
        stub.CreateUser(request, timeout=TIMEOUT_S)
    request = pb2.ListUsersRequest(page_size=3, filter='email : "@example.org"', order_by="name desc")
    names, sizes = [], []
    while True:
        call = stub.ListUsers(request, timeout=TIMEOUT_S)
        page = [user.name for user in call]
        names += page
        sizes.append(len(page))
        assert call.code() == grpc.StatusCode.OK
        request.page_token = dict(call.trailing_metadata()).get("next-page-token", "")
        if not request.page_token:
            break
    assert names == [f"List {number}" for number in reversed(range(7))] and sizes == [3, 3, 1], (names, sizes)

    request = pb2.SearchUsersRequest(query="LIST", page_size=5)
    first = stub.SearchUsers(request, timeout=TIMEOUT_S)
    request.page_token = first.next_page_token
    second = stub.SearchUsers(request, timeout=TIMEOUT_S)
    assert (len(first.users), len(second.users), first.total_size) == (5, 2, 7) and not second.next_page_token
    request.query = "other"
    error, details = refused(stub.SearchUsers, request)
    assert details["ErrorInfo"].reason == "PAGE_TOKEN_INVALID", "a token belongs to its query"


def check_errors(stub):
    request = pb2.CreateUserRequest(email="not-an-address", age=200, phone="call me", locale="?", user_id="-")
    error, details = refused(stub.CreateUser, request, metadata=[("x-request-id", "python-1")])
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    info = details["ErrorInfo"]
    assert (info.domain, info.reason) == ("roster", "VALIDATION_FAILED"), info
    fields = sorted(violation.field for violation in details["BadRequest"].field_violations)
    assert fields == ["age", "email", "locale", "phone", "user_id"], fields
    assert ("x-request-id", "python-1") in list(error.initial_metadata()) + list(error.trailing_metadata())

    for request, reason in [
        (pb2.CreateUserRequest(email="ADA@EXAMPLE.COM"), "EMAIL_TAKEN"),
        (pb2.CreateUserRequest(email="a@example.com", username="Ada"), "USERNAME_TAKEN"),
        (pb2.CreateUserRequest(email="b@example.com", user_id="ada"), "USER_ID_TAKEN"),
    ]:
        error, details = refused(stub.CreateUser, request)
        assert (error.code(), details["ErrorInfo"].reason) == (grpc.StatusCode.ALREADY_EXISTS, reason)

    assert stub.DeleteUser(pb2.DeleteUserRequest(user_id="ada"), timeout=TIMEOUT_S) is not None
    error, details = refused(stub.GetUser, pb2.GetUserRequest(user_id="ada"))
    assert (error.code(), details["ErrorInfo"].reason) == (grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND")
    resource = details["ResourceInfo"]
    assert (resource.resource_type, resource.resource_name) == ("user.v1.User", "ada"), resource


def check_health(channel):
    health = health_pb2_grpc.HealthStub(channel)
    for service in ["", "user.v1.UserService"]:
        request = health_pb2.HealthCheckRequest(service=service)
        assert health.Check(request, timeout=TIMEOUT_S).status == health_pb2.HealthCheckResponse.SERVING
        watch = health.Watch(request, timeout=TIMEOUT_S)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        watch.cancel()
    try:
        health.Check(health_pb2.HealthCheckRequest(service="no.such.Service"), timeout=TIMEOUT_S)
        raise AssertionError("an unknown service has no health")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND, error


def check_presence(stub):
    watch = stub.WatchClientStatus(presence.WatchClientStatusRequest(client_ids=["ada"]), timeout=TIMEOUT_S)
    assert next(watch).present_state_complete.client_count == 0
    to_say = queue.SimpleQueue()
    to_say.put(presence.ConnectRequest(client_id="ada", message_type=presence.MESSAGE_TYPE_HELLO))
    line = stub.Connect(iter(to_say.get, None), timeout=TIMEOUT_S)
    assert next(line).welcome.heartbeat_interval.seconds == 10
    assert next(watch).client.status == presence.CLIENT_STATUS_CONNECTED
    to_say.put(presence.ConnectRequest(message_type=presence.MESSAGE_TYPE_HEARTBEAT))
    assert next(line).acknowledgement.message_type == presence.MESSAGE_TYPE_HEARTBEAT
    found = stub.GetClientStatus(presence.GetClientStatusRequest(client_id="ada"), timeout=TIMEOUT_S)
    assert found.client_statuses == {"ada": "connected"} and found.clients[0].connection_count == 1, found
    to_say.put(None)
    assert list(line) == [] and line.code() == grpc.StatusCode.OK
    assert next(watch).client.status == presence.CLIENT_STATUS_DISCONNECTED
    watch.cancel()
    request = presence.SendMessageRequest(client_id="ada", message_type=presence.MESSAGE_TYPE_HELLO)
    assert stub.SendMessage(request, timeout=TIMEOUT_S).status == presence.CLIENT_STATUS_CONNECTED
    error, details = refused(stub.SendMessage, presence.SendMessageRequest(client_id="ada"))
    assert details["BadRequest"].field_violations[0].field == "message_type"


with grpc.insecure_channel(sys.argv[1]) as channel:
    stub = pb2_grpc.UserServiceStub(channel)
    check_users(stub)
    check_lists(stub)
    check_errors(stub)
    check_health(channel)
    check_presence(presence_grpc.NotificationServiceStub(channel))
print("ok")

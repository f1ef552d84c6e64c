"""A client generated from the older `user.UserService` proto: all six methods, the four kinds of call, and what goes with
them: status codes, request ids, a token, health, reflection, many at once."""

import sys
import threading
import time

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

import user_pb2 as pb2
import user_pb2_grpc as pb2_grpc

TIMEOUT_S = 30


def refused(call, request, **options):
    """The error with which `call` refuses."""
    try:
        answer = call(request, timeout=TIMEOUT_S, **options)
    except grpc.RpcError as error:
        return error
    raise AssertionError(f"{request} was not refused: {answer}")


def check_unary(stub):
    request = pb2.CreateUserRequest(
        username="john_doe", email="john@example.com", full_name="John Doe", role=pb2.ROLE_USER
    )
    john = stub.CreateUser(request, timeout=TIMEOUT_S)
    assert (john.username, john.email, john.full_name, john.role) == (
        request.username, request.email, request.full_name, request.role,
    )
    assert abs(john.created_at - time.time()) < 600 and john.updated_at == john.created_at, john
    assert stub.GetUser(pb2.GetUserRequest(id=john.id), timeout=TIMEOUT_S) == john
    assert refused(stub.CreateUser, request).code() == grpc.StatusCode.ALREADY_EXISTS
    assert refused(stub.CreateUser, pb2.CreateUserRequest()).code() == grpc.StatusCode.INVALID_ARGUMENT
    assert refused(stub.GetUser, pb2.GetUserRequest(id="nobody")).code() == grpc.StatusCode.NOT_FOUND
    return john


def check_list(stub):
    stub.CreateUser(pb2.CreateUserRequest(email="root@example.com", role=pb2.ROLE_ADMIN), timeout=TIMEOUT_S)
    emails = [user.email for user in stub.ListUsers(pb2.ListUsersRequest(limit=10), timeout=TIMEOUT_S)]
    assert emails == ["john@example.com", "root@example.com"], emails
    for spelled in ["ROLE_ADMIN", "ADMIN", "admin"]:
        request = pb2.ListUsersRequest(role_filter=spelled)
        assert [user.email for user in stub.ListUsers(request, timeout=TIMEOUT_S)] == ["root@example.com"], spelled
    assert len(list(stub.ListUsers(pb2.ListUsersRequest(limit=1), timeout=TIMEOUT_S))) == 1


def check_batch(stub):
    rows = [pb2.CreateUserRequest(email=f"batch{number}@example.com") for number in range(20)]
    rows.insert(3, pb2.CreateUserRequest(email="john@example.com"))
    answer, call = stub.BatchCreateUsers.with_call(iter(rows), timeout=TIMEOUT_S)
    assert answer.created_count == 20 and len(set(answer.user_ids)) == 20, answer
    trailing = [pair for pair in call.trailing_metadata() if pair[0].startswith("skipped-")]
    assert sorted(trailing) == [("skipped-count", "1"), ("skipped-row", "4 EMAIL_TAKEN")], trailing
    first = stub.GetUser(pb2.GetUserRequest(id=answer.user_ids[0]), timeout=TIMEOUT_S)
    assert first.email == "batch0@example.com", first


def check_updates(stub, john):
    answered = threading.Semaphore(0)
    changes = [("full_name", "John Q. Doe"), ("email", "no address"), ("role", "moderator")]

    def requests():
        for number, (field, value) in enumerate(changes):
            yield pb2.UserUpdateRequest(user_id=john.id, field=field, value=value)
            # The next one only when this one has its answer.
            assert answered.acquire(timeout=TIMEOUT_S), number

    answers = []
    for answer in stub.StreamUserUpdates(requests(), timeout=TIMEOUT_S):
        answers.append((answer.user_id == john.id, answer.success, answer.message.split(":")[0]))
        answered.release()
    assert answers == [(True, True, "updated"), (True, False, "VALIDATION_FAILED"), (True, True, "updated")], answers
    after = stub.GetUser(pb2.GetUserRequest(id=john.id), timeout=TIMEOUT_S)
    assert (after.full_name, after.email, after.role) == ("John Q. Doe", john.email, pb2.ROLE_MODERATOR), after


def check_metadata(stub, john):
    request = pb2.GetUserRequest(id=john.id)
    _, call = stub.GetUser.with_call(request, timeout=TIMEOUT_S, metadata=[("x-request-id", "seed-1")])
    assert ("x-request-id", "seed-1") in list(call.initial_metadata()), call.initial_metadata()
    error = refused(stub.GetUser, request, metadata=[("authorization", "Bearer no-token")])
    assert error.code() == grpc.StatusCode.UNAUTHENTICATED, error


def check_many_at_once(stub):
    created = [None] * 20

    def create(number):
        request = pb2.CreateUserRequest(email=f"at-once{number}@example.com")
        created[number] = stub.CreateUser(request, timeout=TIMEOUT_S).id

    threads = [threading.Thread(target=create, args=[number]) for number in range(len(created))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert None not in created and len(set(created)) == len(created), created


def check_delete(stub, john):
    assert stub.DeleteUser(pb2.DeleteUserRequest(id=john.id), timeout=TIMEOUT_S).success
    assert refused(stub.DeleteUser, pb2.DeleteUserRequest(id=john.id)).code() == grpc.StatusCode.NOT_FOUND


def check_standard(channel):
    request = health_pb2.HealthCheckRequest(service="user.UserService")
    health = health_pb2_grpc.HealthStub(channel).Check(request, timeout=TIMEOUT_S)
    assert health.status == health_pb2.HealthCheckResponse.SERVING, health
    reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
    listed = reflection_pb2.ServerReflectionRequest(list_services="")
    for answer in reflection.ServerReflectionInfo(iter([listed]), timeout=TIMEOUT_S):
        assert "user.UserService" in [service.name for service in answer.list_services_response.service], answer


with grpc.insecure_channel(sys.argv[1]) as channel:
    stub = pb2_grpc.UserServiceStub(channel)
    john = check_unary(stub)
    check_list(stub)
    check_batch(stub)
    check_updates(stub, john)
    check_metadata(stub, john)
    check_many_at_once(stub)
    check_delete(stub, john)
    check_standard(channel)
print("ok")

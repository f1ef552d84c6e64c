"""What a client that was generated from the seed's own proto gets, beyond its example: errors, changes, pages."""

import sys

import grpc

from app.protos.user_v1 import user_service_pb2 as pb2
from app.protos.user_v1 import user_service_pb2_grpc as pb2_grpc

TIMEOUT_S = 30


def refused(call, request):
    """The code and message with which `call` is refused."""
    try:
        answer = call(request, timeout=TIMEOUT_S)
    except grpc.RpcError as error:
        return error.code(), error.details()
    raise AssertionError(f"{request} was not refused: {answer}")


def check_errors(stub, user):
    code, message = refused(stub.GetUser, pb2.GetUserRequest(user_id="nonexistent"))
    assert code == grpc.StatusCode.NOT_FOUND and message == "User nonexistent not found", (code, message)
    code, message = refused(stub.GetUser, pb2.GetUserRequest())
    assert code == grpc.StatusCode.INVALID_ARGUMENT and "user_id" in message, (code, message)

    def create(email, password):
        return refused(stub.CreateUser, pb2.CreateUserRequest(email=email, name="Test", password=password))

    code, message = create("invalid", "password123")
    assert code == grpc.StatusCode.INVALID_ARGUMENT and "email" in message, (code, message)
    code, message = create("short@example.com", "seven77")
    assert code == grpc.StatusCode.INVALID_ARGUMENT and "password" in message and "8" in message, (code, message)
    code, message = create(user.email.upper(), "password123")
    assert code == grpc.StatusCode.ALREADY_EXISTS and "email" in message, (code, message)
    for call, request in [(stub.UpdateUser, pb2.UpdateUserRequest), (stub.DeleteUser, pb2.DeleteUserRequest)]:
        code, message = refused(call, request(user_id="nonexistent"))
        assert code == grpc.StatusCode.NOT_FOUND, (code, message)


def check_changes(stub, user):
    assert user.status == pb2.USER_STATUS_ACTIVE and user.created_at.seconds > 1_767_225_600
    assert stub.UpdateUser(pb2.UpdateUserRequest(user_id=user.id), timeout=TIMEOUT_S) == user, "nothing given, nothing changed"
    renamed = stub.UpdateUser(pb2.UpdateUserRequest(user_id=user.id, name="Renamed"), timeout=TIMEOUT_S)
    assert (renamed.name, renamed.email, renamed.created_at) == ("Renamed", user.email, user.created_at)
    cleared = stub.UpdateUser(pb2.UpdateUserRequest(user_id=user.id, name=""), timeout=TIMEOUT_S)
    assert cleared.name == ""


def check_pages(stub):
    ids = []
    for number in range(25):
        request = pb2.CreateUserRequest(email=f"page-{number}@example.com", name=f"Page {number}")
        ids.append(stub.CreateUser(request, timeout=TIMEOUT_S).id)
    seen, token = [], ""
    while page := list(stub.ListUsers(pb2.ListUsersRequest(page_size=10, page_token=token), timeout=TIMEOUT_S)):
        assert len(page) <= 10
        seen += [user.id for user in page]
        token = page[-1].id
    assert seen[-25:] == ids and len(set(seen)) == len(seen), "in order of creation, none twice"

    # The seed's clients keep their place when the user at it is gone.
    stub.DeleteUser(pb2.DeleteUserRequest(user_id=ids[4]), timeout=TIMEOUT_S)
    request = pb2.ListUsersRequest(page_size=1, page_token=ids[4])
    assert [user.id for user in stub.ListUsers(request, timeout=TIMEOUT_S)] == [ids[5]]


with grpc.insecure_channel(sys.argv[1]) as channel:
    stub = pb2_grpc.UserServiceStub(channel)
    request = pb2.CreateUserRequest(email="errors@example.com", name="Errors", password="securepass123")
    user = stub.CreateUser(request, timeout=TIMEOUT_S)
    check_changes(stub, user)
    check_errors(stub, user)
    check_pages(stub)
print("ok")

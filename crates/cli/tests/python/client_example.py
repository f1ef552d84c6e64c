# client_example.py
import asyncio

import grpc
from grpc import aio

from app.protos.user_v1 import user_service_pb2 as pb2
from app.protos.user_v1 import user_service_pb2_grpc as pb2_grpc


async def main():
    async with aio.insecure_channel("localhost:50051") as channel:
        stub = pb2_grpc.UserServiceStub(channel)

        # Create user
        user = await stub.CreateUser(
            pb2.CreateUserRequest(
                email="test@example.com",
                name="Test User",
                password="securepass123",
            ),
            timeout=5.0,
        )
        print(f"Created: {user.id}")

        # Get user
        user = await stub.GetUser(pb2.GetUserRequest(user_id=user.id), timeout=5.0)
        print(f"Got: {user.name}")

        # List users
        async for u in stub.ListUsers(pb2.ListUsersRequest(page_size=10)):
            print(f"Listed: {u.email}")


if __name__ == "__main__":
    asyncio.run(main())

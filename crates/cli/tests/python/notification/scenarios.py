"""What the older clients' reference promises, beyond the example: several clients, mistakes, and twenty at once."""

import asyncio
import sys

import grpc

import notification_service_pb2 as pb2
from client import NotificationClient


async def several_clients(client):
    for name in ("alice", "bob", "charlie"):
        assert await client.send_hello(name)
    connected = {"alice": "connected", "bob": "connected", "charlie": "connected"}
    assert (await client.get_client_status()).items() >= connected.items()
    assert await client.send_goodbye("bob")
    final = await client.get_client_status()
    assert final.items() >= {"alice": "connected", "bob": "disconnected", "charlie": "connected"}.items(), final
    assert await client.get_client_status("bob") == {"bob": "disconnected"}
    assert await client.get_client_status("nobody") == {}


async def mistakes(client):
    assert await client.send_hello("") is False
    for request, text in [
        (pb2.SendMessageRequest(client_id="", message_type=pb2.HELLO), "client_id"),
        (pb2.SendMessageRequest(client_id="alice", message_type=pb2.UNKNOWN), "message_type"),
        (pb2.SendMessageRequest(client_id="alice", message_type=42), "message_type"),
    ]:
        try:
            await client.stub.SendMessage(request)
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error
            assert text in error.details(), error
        else:
            raise AssertionError(f"{request} was taken")


async def twenty_at_once(address):
    async def one(number):
        client = NotificationClient(address)
        await client.connect()
        try:
            name = f"client_{number}"
            assert await client.send_hello(name)
            assert await client.get_client_status(name) == {name: "connected"}
            if number % 2:
                assert await client.send_goodbye(name)
        finally:
            await client.disconnect()

    await asyncio.gather(*(one(number) for number in range(20)))
    client = NotificationClient(address)
    await client.connect()
    statuses = await client.get_client_status()
    for number in range(20):
        assert statuses[f"client_{number}"] == ("disconnected" if number % 2 else "connected")
    await client.disconnect()


async def main(address):
    client = NotificationClient(address)
    await client.connect()
    await several_clients(client)
    await mistakes(client)
    await client.disconnect()
    await twenty_at_once(address)
    print("ok")


asyncio.run(main(sys.argv[1]))

"""The client library that older clients have, as its reference describes it: five methods, over the older stubs."""

from typing import Dict, Optional

import grpc
from grpc import aio

import notification_service_pb2 as pb2
import notification_service_pb2_grpc as pb2_grpc


class NotificationClient:
    def __init__(self, server_address: str = "localhost:50051"):
        self.server_address = server_address
        self.channel: Optional[aio.Channel] = None
        self.stub: Optional[pb2_grpc.NotificationServiceStub] = None

    async def connect(self) -> None:
        self.channel = aio.insecure_channel(
            self.server_address,
            options=[
                ("grpc.keepalive_time_ms", 10000),
                ("grpc.keepalive_timeout_ms", 5000),
            ],
        )
        self.stub = pb2_grpc.NotificationServiceStub(self.channel)

    async def disconnect(self) -> None:
        await self.channel.close()

    async def send_hello(self, client_id: str) -> bool:
        return await self._send(client_id, pb2.HELLO)

    async def send_goodbye(self, client_id: str) -> bool:
        return await self._send(client_id, pb2.GOODBYE)

    async def get_client_status(self, client_id: Optional[str] = None) -> Dict[str, str]:
        request = pb2.GetClientStatusRequest(client_id=client_id or "")
        response = await self.stub.GetClientStatus(request)
        return dict(response.client_statuses)

    async def _send(self, client_id: str, message_type: int) -> bool:
        try:
            request = pb2.SendMessageRequest(client_id=client_id, message_type=message_type)
            response = await self.stub.SendMessage(request)
            return response.success
        except grpc.RpcError:
            return False

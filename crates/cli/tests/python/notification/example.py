import asyncio
from client import NotificationClient

async def example():
    # Create and connect client
    client = NotificationClient("localhost:50051")
    await client.connect()
    
    try:
        # Send Hello message
        success = await client.send_hello("user_123")
        print(f"Hello sent: {success}")
        
        # Check status
        status = await client.get_client_status("user_123")
        print(f"Status: {status}")  # {'user_123': 'connected'}
        
        # Send Goodbye message
        success = await client.send_goodbye("user_123")
        print(f"Goodbye sent: {success}")
        
        # Check final status
        status = await client.get_client_status("user_123")
        print(f"Final status: {status}")  # {'user_123': 'disconnected'}
        
    finally:
        await client.disconnect()

# Run the example
asyncio.run(example())

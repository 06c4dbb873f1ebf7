"""What the paper Kite tells unasked: ticks and order updates on a WebSocket, and postbacks."""

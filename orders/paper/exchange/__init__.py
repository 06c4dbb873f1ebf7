"""What happens to an order: tickets become events, events are written down and make the book."""

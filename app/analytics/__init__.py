"""What an adviser shows a client, from arrays alone: returns, and gains by lot."""

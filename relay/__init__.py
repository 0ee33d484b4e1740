"""Relay: what is published on a Redis channel reaches every open stream as Server-Sent Events."""

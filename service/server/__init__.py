"""Processes, sockets and HTTP/1.1 connections, up to an ASGI call; only `worker` knows the application."""

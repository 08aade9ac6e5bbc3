"""Processes, sockets, HTTP/1.1 connections, up to an ASGI call; `worker` and `draining_server` know the application."""

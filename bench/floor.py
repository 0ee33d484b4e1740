"""The bare send loop: it subscribes to Redis and sends to every connection, and nothing else.

It parses no requests and has no heartbeat or limits. A client that does not read blocks all others.
Usage: python -m bench.floor PORT REDIS_PORT CHANNEL
"""

import select
import socket
import sys

import hiredis

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n3\r\n:\n\n\r\n"
)
READ_BYTES = 64 * 1024


class Floor:
    def __init__(self, port: int, redis_port: int, channel: str) -> None:
        self._clients: list[socket.socket] = []
        self._reader = hiredis.Reader()
        self._redis = socket.create_connection(("127.0.0.1", redis_port))
        self._redis.sendall(f"SUBSCRIBE {channel}\r\n".encode())
        self._server = socket.create_server(("127.0.0.1", port), backlog=4096)

    def serve(self) -> None:
        epoll = select.epoll()
        epoll.register(self._redis, select.EPOLLIN)
        epoll.register(self._server, select.EPOLLIN)
        while True:
            for fd, _ in epoll.poll():
                if fd == self._redis.fileno():
                    self._relay()
                else:
                    self._accept()

    def _accept(self) -> None:
        client, _ = self._server.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            client.recv(READ_BYTES)
            client.sendall(HEAD)
        except OSError:
            return
        self._clients.append(client)

    def _relay(self) -> None:
        data = self._redis.recv(READ_BYTES)
        if not data:
            sys.exit("Redis closed the connection")
        self._reader.feed(data)
        frames = []
        while (reply := self._reader.gets()) is not False:
            if reply[0] == b"message":
                frames.append(b"data: %b\n\n" % reply[2])
        if frames:
            body = b"".join(frames)
            self._send(b"%x\r\n%b\r\n" % (len(body), body))

    def _send(self, chunk: bytes) -> None:
        for client in list(self._clients):
            try:
                client.sendall(chunk)
            except OSError:
                self._clients.remove(client)
                client.close()


if __name__ == "__main__":
    Floor(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]).serve()

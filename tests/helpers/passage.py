"""A passage before a port: it counts the bytes on the wire, and can be cut as a network is."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass
class Passage:
    """Passes connections on from ``port`` to ``target`` on the loopback address, both ways."""

    port: int
    target: int
    bytes: int = 0
    is_cut: bool = False
    _open: set[socket.socket] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Listen in the background for the rest of the process."""
        server = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(server,), daemon=True).start()

    def cut(self) -> None:
        """Break every connection, and let none through until it is mended."""
        self.is_cut = True
        with self._lock:
            for one in self._open:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Let connections through again."""
        self.is_cut = False

    def _accept(self, server: socket.socket) -> None:
        while True:
            caller, _ = server.accept()
            if self.is_cut:
                caller.close()
                continue
            try:
                inside = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                caller.close()
                continue
            for source, sink in ((caller, inside), (inside, caller)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with self._lock:
            self._open.add(source)
        with suppress(OSError), sink:
            while piece := source.recv(1 << 16):
                sink.sendall(piece)
                with self._lock:
                    self.bytes += len(piece)
        with self._lock:
            self._open.discard(source)

"""nginx with the module nchan."""

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.process import Child, free_port
from bench.publisher import HttpPost
from bench.servers.base import CHANNEL, MAX_STREAMS, Place, Running, Server


class Nchan(Server):
    """nginx with nchan: one worker, messages kept in memory, published by HTTP.

    nchan numbers the messages of one second with a signed 16-bit integer. If more are published in
    one, it logs "Missed message for eventsource subscriber". So it gets fewer.
    """

    max_messages = 30_000
    resumes = True
    install = "apt install nginx libnginx-mod-nchan"

    def installed(self) -> bool:
        return bool(_nginx() and _nchan_module())

    def version(self) -> str:
        nginx = re.search(r"nginx/(\S+)", _nginx_build())
        package = _debian_version("libnginx-mod-nchan")
        return f"nginx {nginx[1] if nginx else '?'}, libnginx-mod-nchan {package}"

    @contextmanager
    def start(self, place: Place) -> Iterator[Running]:
        port = free_port()
        with tempfile.TemporaryDirectory(prefix="relay-bench-") as directory:
            config = Path(directory, "nginx.conf")
            config.write_text(nginx_config(directory, port))
            command = [_nginx(), "-p", directory, "-e", "stderr", "-c", str(config)]
            # SIGTERM, because a worker survives a killed master.
            with Child(
                self.title, command, place.server_core, death_signal=signal.SIGTERM
            ) as child:
                child.wait_for_port(port)
                dialect = HttpPost(port, "/publish/")
                yield Running(child, ("127.0.0.1", port), "/stream/", dialect, "/stream/{}")


def nginx_config(directory: str, port: int) -> str:
    """Returns the fastest configuration of nchan that loses no message."""
    return f"""\
load_module {_nchan_module()};
user {pwd.getpwuid(os.getuid()).pw_name};
daemon off;
worker_processes 1;
worker_rlimit_nofile {MAX_STREAMS};
pid {directory}/nginx.pid;
error_log stderr crit;
events {{
    worker_connections {MAX_STREAMS};
    multi_accept on;
}}
http {{
    access_log off;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    client_body_temp_path {directory};
    proxy_temp_path {directory};
    fastcgi_temp_path {directory};
    uwsgi_temp_path {directory};
    scgi_temp_path {directory};
    nchan_shared_memory_size 1024M;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /stream/ {{
            nchan_subscriber eventsource;
            nchan_channel_id {CHANNEL};
            nchan_subscriber_first_message newest;
        }}
        location ~ ^/stream/([0-9]+)$ {{
            nchan_subscriber eventsource;
            nchan_channel_id {CHANNEL}.$1;
            nchan_subscriber_first_message newest;
        }}
        location = /publish/ {{
            nchan_publisher http;
            nchan_channel_id {CHANNEL};
            nchan_message_buffer_length {2 * Nchan.max_messages};
            nchan_message_timeout 300s;
        }}
    }}
}}
"""


def _nginx() -> str:
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    return shutil.which("nginx", path=path) or ""


def _nginx_build() -> str:
    return subprocess.run([_nginx(), "-V"], capture_output=True, text=True).stderr


def _nchan_module() -> str:
    found = re.search(r"--modules-path=(\S+)", _nginx_build())
    module = Path(found[1] if found else "/usr/lib/nginx/modules", "ngx_nchan_module.so")
    return str(module) if module.exists() else ""


def _debian_version(package: str) -> str:
    if not shutil.which("dpkg-query"):
        return "(not from Debian)"
    command = ["dpkg-query", "--show", "--showformat=${Version}", package]
    return subprocess.run(command, capture_output=True, text=True).stdout or "(not from Debian)"

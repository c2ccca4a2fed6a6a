# SPDX-License-Identifier: Apache-2.0
"""nginx in front of the server, where it is installed."""
import contextlib
import shutil
import socket
import subprocess
import time

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
MISSING = "nginx is not installed; Debian has it in nginx"

AROUND = """
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{site}
}}
"""

# The server below a path of another one; with the slash at its end, and without.
BELOW = """
    server {{
        listen 127.0.0.1:{port};
        location /film/ {{
            proxy_pass http://127.0.0.1:{backend}/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_buffering off;
        }}
        location = /film {{
            proxy_pass http://127.0.0.1:{backend}/;
            proxy_set_header Host $http_host;
        }}
    }}
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@contextlib.contextmanager
def nginx(folder, site):
    """nginx with that site, from its start to the end of the block."""
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder, site=site))
    process = subprocess.Popen([NGINX, "-p", folder, "-c", folder / "nginx.conf", "-e",
                                folder / "error.log", "-g", "daemon off; user root;"])
    end = time.monotonic() + 20
    while not (folder / "nginx.pid").exists() and time.monotonic() < end:
        assert process.poll() is None, (folder / "error.log").read_text()
        time.sleep(0.05)
    yield
    process.terminate()
    assert process.wait(timeout=20) == 0

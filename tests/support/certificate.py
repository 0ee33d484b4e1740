"""A certificate for the tests."""

import subprocess
from pathlib import Path


def certificate(folder: Path) -> tuple[str, str]:
    """A key and a certificate of its own authority, for 127.0.0.1."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=127.0.0.1"
    command += f" -addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {cert}"
    subprocess.run(command.split(), check=True, capture_output=True)
    return str(key), str(cert)

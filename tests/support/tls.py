"""Redis over TLS: its options, with one certificate for all."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.support.certificate import certificate


@dataclass(frozen=True, slots=True)
class Tls:
    """The files of a key and of its certificate, which is its own authority."""

    key: str
    certificate: str

    @classmethod
    def make(cls, folder: Path) -> Self:
        return cls(*certificate(folder))

    @property
    def query(self) -> str:
        """The option of REDIS_URL that has a hub trust the certificate."""
        return f"ssl_ca_certs={self.certificate}"

    def words(self, port: int) -> list[str]:
        """The arguments of a redis-server that also listens on a port for TLS, and follows over TLS."""
        words = ["--tls-port", str(port), "--tls-auth-clients", "no", "--tls-replication", "yes"]
        words += ["--tls-cert-file", self.certificate, "--tls-key-file", self.key]
        return [*words, "--tls-ca-cert-file", self.certificate]

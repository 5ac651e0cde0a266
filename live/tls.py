"""TLS: a certificate of our own where no other is given, made at first start and kept."""

import datetime
import ipaddress
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from aadc.live.host_names import host_of
from aadc.manifests.errors import UserError
from aadc.manifests.files import reason, regular, replace_file

_DAYS = 825  # longer ones some browsers refuse


def certificate(folder: Path, names: list[str]) -> tuple[Path, Path]:
    """The certificate and its key in a folder (`certificate.pem`, `key.pem`), made if not there or if it ends within 30 days.

    Args:
        names: host names and addresses it is for, with a port or without.
    Raises:
        UserError: what is there cannot be read.
    """
    path, key_path = folder / "certificate.pem", folder / "key.pem"
    if path.exists() and key_path.exists():
        try:
            there = x509.load_pem_x509_certificate(regular(path).read_bytes())
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: is no certificate ({reason(error)}); remove it for a new one") from error
        if there.not_valid_after_utc > datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=30):
            return path, key_path
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "aadc-live")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
        .add_extension(
            x509.SubjectAlternativeName([_general_name(name) for name in dict.fromkeys([*names, "localhost"])]), False
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    mask = os.umask(0o077)
    try:
        replace_file(key_path, secret)
    finally:
        os.umask(mask)
    replace_file(path, made.public_bytes(serialization.Encoding.PEM))
    return path, key_path


def fingerprint(path: Path) -> str:
    """A certificate's SHA-256, as browsers show it."""
    digest = x509.load_pem_x509_certificate(path.read_bytes()).fingerprint(hashes.SHA256()).hex().upper()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


def _general_name(name: str) -> x509.GeneralName:
    host = host_of(name)
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)

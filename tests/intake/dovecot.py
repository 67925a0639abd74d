"""A real IMAP server for tests: dovecot with a configuration of its own, each user with a mailbox and one password."""

import grp
import imaplib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PASSWORD = "of-the-tests"

PROGRAM = shutil.which("dovecot") or shutil.which("dovecot", path="/usr/sbin:/usr/local/sbin")

# The server ends with the shell that waits here, and that with the pipe to whoever started it, however that ends.
_SHELL = '"$@" & pid=$!; read _; kill $pid; wait $pid'

_CONFIG = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
disable_plaintext_auth = no
auth_failure_delay = 0
ssl = yes
ssl_cert = <{folder}/cert.pem
ssl_key = <{folder}/key.pem
default_internal_user = {internal}
default_internal_group = {group}
default_login_user = {login}
mail_location = maildir:{folder}/mail/%u
mail_fsync = never
maildir_very_dirty_syncs = no
first_valid_uid = 1
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
"""


class Dovecot:
    """A running server."""

    def __init__(self, folder: Path, port: int, tls_port: int) -> None:
        self.folder = folder
        self.port = port
        self.tls_port = tls_port

    def connected(self, user: str) -> imaplib.IMAP4:
        """A connection of a mail program."""
        connection = imaplib.IMAP4("127.0.0.1", self.port, timeout=30)
        connection.login(user, PASSWORD)
        return connection


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(private)


@contextmanager
def dovecot() -> Iterator[Dovecot]:
    """A server, as long as the block lasts."""
    assert PROGRAM is not None
    folder = Path(tempfile.mkdtemp(prefix="hf-imap-"))
    is_root = os.geteuid() == 0
    me = pwd.getpwuid(os.geteuid())
    owner = pwd.getpwnam("nobody") if is_root else me
    process = None
    try:
        folder.chmod(0o755)
        mail = folder / "mail"
        mail.mkdir()
        _certificate(folder)
        if is_root:
            os.chown(mail, owner.pw_uid, owner.pw_gid)
        port, tls_port = _free_port(), _free_port()
        (folder / "dovecot.conf").write_text(
            _CONFIG.format(
                folder=folder, port=port, tls_port=tls_port, password=PASSWORD, uid=owner.pw_uid, gid=owner.pw_gid,
                internal="dovecot" if is_root else me.pw_name, login="dovenull" if is_root else me.pw_name,
                group="dovecot" if is_root else grp.getgrgid(me.pw_gid).gr_name,
            )
        )  # fmt: skip
        process = subprocess.Popen(
            ["/bin/sh", "-c", _SHELL, "sh", PROGRAM, "-F", "-c", str(folder / "dovecot.conf")],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        server = Dovecot(folder, port, tls_port)
        until = time.monotonic() + 30
        while True:
            try:
                server.connected("trial").logout()
                break
            except (OSError, imaplib.IMAP4.error):
                if process.poll() is not None or time.monotonic() > until:
                    said = process.stderr.read().decode() if process.poll() is not None and process.stderr else ""
                    log = folder / "log"
                    raise AssertionError(f"dovecot: {said}{log.read_text() if log.exists() else ''}") from None
                time.sleep(0.05)
        yield server
    finally:
        if process is not None:
            process.communicate(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def imap_server() -> Iterator[Dovecot]:
    """A server for all tests of a process; each test is a user of its own."""
    if PROGRAM is None:
        if os.environ.get("CI"):
            pytest.fail("dovecot is not installed")
        pytest.skip("dovecot is not installed")
    with dovecot() as server:
        yield server

"""TLS files: the errors of unusable ones, and the change to new ones."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from sidecars.chassis.http import tls
from sidecars.chassis.http.tls import PemFile
from tests.hostile_files import NO_SMALL_FILES, unblocked
from tests.support import own_descriptors


class Files:
    """The files of one client, as a mounted Secret has them."""

    def __init__(self, folder: Path) -> None:
        self.ca = PemFile("X_CA", str(folder / "ca.crt"))
        self.cert = PemFile("X_CERT", str(folder / "tls.crt"))
        self.key = PemFile("X_KEY", str(folder / "tls.key"))
        self.write()

    def write(self, *, key: bool = True) -> None:
        authority = trustme.CA()
        mine = authority.issue_cert("client")
        authority.cert_pem.write_to_path(self.ca.path)
        mine.cert_chain_pems[0].write_to_path(self.cert.path)
        if key:
            mine.private_key_pem.write_to_path(self.key.path)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def serial(context: ssl.SSLContext) -> object:
    return context.get_ca_certs()[0]["serialNumber"]


def test_the_context_stays_the_same_until_a_file_is_replaced(files: Files) -> None:
    reloading = tls.client_context(files.ca, files.cert, files.key)
    first = reloading.context()
    assert reloading.context() is first
    files.write()
    second = reloading.context()
    assert serial(second) != serial(first)
    assert reloading.context() is second


def test_a_new_certificate_without_its_key_leaves_the_old_one_in_force_and_says_so_once(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    reloading = tls.client_context(files.ca, files.cert, files.key)
    first = reloading.context()
    files.write(key=False)
    assert reloading.context() is first
    assert reloading.context() is first
    assert caplog.text.count("the earlier ones stay in force") == 1
    files.write()
    assert serial(reloading.context()) != serial(first)


def test_files_that_vanish_leave_the_context_in_force(files: Files) -> None:
    reloading = tls.client_context(files.ca)
    first = reloading.context()
    Path(files.ca.path).unlink()
    assert reloading.context() is first


def test_an_authority_of_ones_own_replaces_those_of_the_system(files: Files) -> None:
    assert len(tls.client_context(files.ca).context().get_ca_certs()) == 1
    assert tls.client_context().context().verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("ca", b"", "X_CA=.*ca.crt has no certificate in PEM form"),
        ("ca", b"\x30\x82garbage", "X_CA=.*ca.crt has no certificate in PEM form"),
        ("ca", None, "X_CA=.*ca.crt cannot be read: No such file or directory"),
        ("cert", b"garbage", "X_CERT=.*tls.crt and X_KEY=.*tls.key are no certificate with a plain key"),
        ("cert", None, "X_CERT=.*tls.crt cannot be read: No such file or directory"),
        ("key", b"garbage", "X_CERT=.*tls.crt and X_KEY=.*tls.key are no certificate with a plain key"),
        ("key", None, "X_KEY=.*tls.key cannot be read: No such file or directory"),
    ],
)
def test_what_cannot_be_used_is_named(files: Files, name: str, content: bytes | None, sentence: str) -> None:
    path = Path(getattr(files, name).path)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(tls.UnusableTLSFiles, match=sentence):
        tls.client_context(files.ca, files.cert, files.key)


@pytest.mark.parametrize("kind", NO_SMALL_FILES)
@pytest.mark.parametrize("name", ["ca", "cert", "key"])
def test_what_is_no_small_file_is_named_and_blocks_nothing(files: Files, name: str, kind: str) -> None:
    path = Path(getattr(files, name).path)
    put, reason = NO_SMALL_FILES[kind]
    reloading = tls.client_context(files.ca, files.cert, files.key)
    first = reloading.context()
    path.unlink()
    put(path)
    with pytest.raises(tls.UnusableTLSFiles, match=rf"X_{name.upper()}=\S+ cannot be read: {reason}"):
        unblocked(lambda: tls.client_context(files.ca, files.cert, files.key))
    assert unblocked(reloading.context) is first


def test_no_descriptor_stays_open(files: Files) -> None:
    before = own_descriptors()
    tls.client_context(files.ca, files.cert, files.key)
    Path(files.key.path).write_bytes(b"garbage")
    with pytest.raises(tls.UnusableTLSFiles):
        tls.client_context(files.ca, files.cert, files.key)
    assert own_descriptors() <= before


def test_a_key_that_is_not_the_certificates_is_named(files: Files) -> None:
    trustme.CA().issue_cert("other").private_key_pem.write_to_path(files.key.path)
    with pytest.raises(tls.UnusableTLSFiles, match=r"X_KEY=.*tls.key is not the key of the certificate X_CERT="):
        tls.client_context(files.ca, files.cert, files.key)


def test_certificate_and_key_may_be_one_file(files: Files) -> None:
    Path(files.cert.path).write_bytes(Path(files.cert.path).read_bytes() + Path(files.key.path).read_bytes())
    assert tls.client_context(files.ca, files.cert).context()
    with pytest.raises(tls.UnusableTLSFiles, match=r"X_CERT=.*ca.crt and its key are no"):
        tls.client_context(files.ca, PemFile("X_CERT", files.ca.path))


# -- a server -----------------------------------------------------------------------------------------------------


class Pair:
    """Return an authority, its certificate for the server localhost, and one for a client."""

    def __init__(self, folder: Path, name: str) -> None:
        authority = trustme.CA()
        self.ca = PemFile("X_CLIENT_CA", str(folder / f"{name}-ca.crt"))
        self.cert = PemFile("X_CERT", str(folder / f"{name}.pem"))
        authority.cert_pem.write_to_path(self.ca.path)
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(self.cert.path)
        self.client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(self.client)
        self.stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(self.stranger)
        authority.issue_cert("client").configure_cert(self.client)


def shaken_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> bool:
    """Return True if the two complete a handshake."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    theirs = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    for _ in range(6):
        for side in (theirs, ours):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
    return True


def test_a_listening_socket_gets_the_new_files_at_the_next_handshake(tmp_path: Path) -> None:
    old, new = Pair(tmp_path, "old"), Pair(tmp_path, "new")
    context = tls.context_for_listener(tls.server_context(old.cert, client_ca=old.ca))
    assert shaken_hands(context, old.client)
    assert not shaken_hands(context, old.stranger)
    assert not shaken_hands(context, new.client)

    for mine, other in ((old.cert, new.cert), (old.ca, new.ca)):
        Path(other.path).replace(mine.path)

    assert shaken_hands(context, new.client)
    assert not shaken_hands(context, new.stranger)
    assert not shaken_hands(context, old.client)


def test_whoever_cannot_speak_tls_1_2_is_refused(tmp_path: Path) -> None:
    pair = Pair(tmp_path, "only")
    assert tls.server_context(pair.cert).context().minimum_version is ssl.TLSVersion.TLSv1_2


def test_what_is_demanded_and_offered_holds_for_new_files_too(files: Files) -> None:
    reloading = tls.client_context(files.ca, minimum=ssl.TLSVersion.TLSv1_3, alpn=["http/1.1"])
    first = reloading.context()
    files.write()
    for context in (first, reloading.context()):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3

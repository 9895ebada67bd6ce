"""Signatures with a private key, by the OpenSSL that Python's `ssl` module is linked with.

Python has no function for them, and a package of cryptography would be the largest in an image, for one signature in an
hour. So `ctypes` calls the library that is there already: it knows the forms of keys, and its time does not tell the
key. A Python without such a library is told in a sentence.

| key | algorithm of JOSE (RFC 7518) |
|---|---|
| RSA, at least 2048 bits | RS256 |
| EC, P-256 | ES256 |
| EC, P-384 | ES384 |
"""

from __future__ import annotations

import ctypes
import ssl
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_void_p
from functools import cache
from typing import Final

_RSA, _EC = 6, 408  # NIDs of kinds of keys, openssl/obj_mac.h
_SHORTEST_RSA = 2048  # bits (RFC 7518, 3.3)
_CURVES: Final = {b"prime256v1": ("ES256", b"SHA256", 32), b"secp384r1": ("ES384", b"SHA384", 48)}
_LONGEST = 1024  # bytes of a signature
_PROTOTYPES: Final = (
    ("BIO_new_mem_buf", c_void_p, (c_char_p, c_int)),
    ("BIO_free", c_int, (c_void_p,)),
    ("PEM_read_bio_PrivateKey", c_void_p, (c_void_p, c_void_p, c_void_p, c_char_p)),
    ("EVP_PKEY_get_base_id", c_int, (c_void_p,)),
    ("EVP_PKEY_get_bits", c_int, (c_void_p,)),
    ("EVP_PKEY_get_group_name", c_int, (c_void_p, c_char_p, c_size_t, POINTER(c_size_t))),
    ("EVP_PKEY_free", None, (c_void_p,)),
    ("EVP_get_digestbyname", c_void_p, (c_char_p,)),
    ("EVP_MD_CTX_new", c_void_p, ()),
    ("EVP_MD_CTX_free", None, (c_void_p,)),
    ("EVP_DigestSignInit", c_int, (c_void_p, c_void_p, c_void_p, c_void_p, c_void_p)),
    ("EVP_DigestSign", c_int, (c_void_p, c_char_p, POINTER(c_size_t), c_char_p, c_size_t)),
    ("ERR_clear_error", None, ()),
)


class UnusableKey(Exception):
    """The key cannot sign. `reason` is a clause about it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PrivateKey:
    """A private key of a PEM text. `algorithm`: its name of JOSE. Whoever makes one closes it."""

    def __init__(self, pem: bytes) -> None:
        """Raises UnusableKey."""
        self._library = library = _openssl()
        text = library.BIO_new_mem_buf(pem, len(pem))
        # The last argument is the password: without one the library would ask the terminal.
        self._key = library.PEM_read_bio_PrivateKey(text, None, None, b"")
        library.BIO_free(text)
        library.ERR_clear_error()
        if not self._key:
            raise UnusableKey("it has no private key in PEM that is readable without a password")
        self._size = 0  # bytes of each of the two numbers of a signature; 0 for RSA
        try:
            self.algorithm, self._digest = self._judged()
        except UnusableKey:
            self.close()
            raise

    def _judged(self) -> tuple[str, bytes]:
        library = self._library
        kind = library.EVP_PKEY_get_base_id(self._key)
        if kind == _RSA:
            bits = library.EVP_PKEY_get_bits(self._key)
            if bits < _SHORTEST_RSA:
                raise UnusableKey(f"its key of RSA has {bits} bits, and {_SHORTEST_RSA} are the least")
            return "RS256", b"SHA256"
        name, length = ctypes.create_string_buffer(64), c_size_t()
        is_named = kind == _EC and library.EVP_PKEY_get_group_name(self._key, name, len(name), byref(length)) == 1
        library.ERR_clear_error()
        if not is_named or name.value not in _CURVES:
            raise UnusableKey("its key is of another kind: expected RSA, or EC with P-256 or P-384")
        algorithm, digest, self._size = _CURVES[name.value]
        return algorithm, digest

    def sign(self, data: bytes) -> bytes:
        """Return the signature as JOSE has it: of EC its two numbers, one behind the other (RFC 7518, 3.4)."""
        library = self._library
        context = library.EVP_MD_CTX_new()
        signature, length = ctypes.create_string_buffer(_LONGEST), c_size_t(_LONGEST)
        digest = library.EVP_get_digestbyname(self._digest)
        try:
            done = library.EVP_DigestSignInit(context, None, digest, None, self._key) == 1
            done = done and library.EVP_DigestSign(context, signature, byref(length), data, len(data)) == 1
        finally:
            library.EVP_MD_CTX_free(context)
            library.ERR_clear_error()
        if not done:
            raise UnusableKey("OpenSSL does not sign with its key")
        made = signature.raw[: length.value]
        return two_numbers(made, self._size) if self._size else made

    def close(self) -> None:
        key, self._key = self._key, None
        if key:
            self._library.EVP_PKEY_free(key)


def two_numbers(der: bytes, size: int) -> bytes:
    """Return the two numbers of a signature in DER (RFC 3279, 2.2.3), each in `size` bytes. Pure.

    The lengths of P-256 and P-384 are below 128, so each has one byte.
    """
    found, at = b"", 2
    for _ in range(2):
        length = der[at + 1]
        number = der[at + 2 : at + 2 + length].lstrip(b"\0")
        found += number.rjust(size, b"\0")
        at += 2 + length
    return found


@cache
def _openssl() -> ctypes.CDLL:
    """Return the library of the `ssl` module with the types of its functions. Raises UnusableKey."""
    try:
        # A symbol is looked for in what the module is linked with, too. Built into Python it has no file.
        library = ctypes.CDLL(getattr(ssl._ssl, "__file__", None))  # type: ignore[attr-defined] # noqa: SLF001 - the C module
        for name, result, arguments in _PROTOTYPES:
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError):
        raise UnusableKey(f"this Python ({ssl.OPENSSL_VERSION}) has no OpenSSL 3 that can sign") from None
    return library

"""One run folder in a bucket: of Amazon S3, or of any store that speaks its protocol.

Which account, region and end point it is, boto3 finds as every tool for AWS does: environment (`AWS_ACCESS_KEY_ID`,
`AWS_SECRET_ACCESS_KEY`, `AWS_ENDPOINT_URL_S3` ...), profile, or the machine's role. None of it is in the URL, and
none of it is ever in a message.

Every operation is repeated after faults that pass, with growing pauses, until the caller's patience ends.
Objects cannot grow: `append` and `truncate` write the whole file again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore import exceptions
from botocore.config import Config
from botocore.parsers import ResponseParserError

from lateapex.errors import ConfigError, RunError, StorageError
from lateapex.storage import FileNote, Tagged, too_short
from lateapex.storage_patience import Patience, Repeater

T = TypeVar("T")

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_CREDENTIALS: Final = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give this machine a role"
_ADVICE: Final = {
    "AccessDenied": "these credentials may not do that: s3:GetObject, PutObject, DeleteObject, ListBucket are needed",
    "ExpiredToken": "the credentials have expired: get new ones",
    "InvalidAccessKeyId": f"the store does not know this key: {_CREDENTIALS}",
    "NoSuchBucket": "make the bucket first, or correct its name",
    "PermanentRedirect": "the bucket lies in another region: set AWS_REGION",
    "RequestTimeTooSkewed": "this machine's clock is wrong: set it",
    "SignatureDoesNotMatch": "the secret key does not belong to the key: set AWS_SECRET_ACCESS_KEY",
}
"""What to do about an error code of S3."""

_NO_ANSWER: Final = (
    exceptions.ConnectionError,
    exceptions.HTTPClientError,
    exceptions.IncompleteReadError,
    exceptions.CredentialRetrievalError,
    ResponseParserError,
)
"""Faults of the network or of a store that is just starting or stopping."""


class S3Storage:
    """The objects of a bucket whose names begin with a prefix. Threads may share one.

    Args:
        url: "s3://bucket" or "s3://bucket/prefix".
        patience: how long to wait for the store.
        clock, sleep: the time, s, and how to let it pass.

    Raises:
        ConfigError: the URL is none of those.
    """

    def __init__(
        self,
        url: str,
        patience: Patience | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.bucket, self._prefix = _bucket_and_prefix(url)
        self._patience = patience or Patience()
        self._repeated = Repeater(self._patience, _may_pass, clock=clock, sleep=sleep)
        with self._told("reach", ""):
            self._client = _client(self._patience)

    @property
    def url(self) -> str:
        """Bucket and prefix."""
        return f"s3://{self.bucket}/{self._prefix}".rstrip("/")

    def read(self, name: str) -> bytes:
        """Return the whole object `name`."""
        return self.read_tagged(name).data

    def read_tagged(self, name: str) -> Tagged:
        """Return the whole object `name`; its tag is S3's."""

        def get() -> Tagged:
            answer = self._client.get_object(**self._at(name))
            return Tagged(answer["Body"].read(), answer["ETag"])

        try:
            return self._patiently("read", name, get)
        except _MissingError:
            raise RunError(f"{self.url} has no {name}") from None

    def write(self, name: str, data: bytes) -> None:
        """Replace the object `name`; the store shows the new one when it has all of it."""
        self._patiently("write", name, lambda: self._client.put_object(**self._at(name), Body=data))

    def append(self, name: str, data: bytes) -> None:
        """Write the object `name` again, longer."""
        self.write(name, (self.read(name) if self.exists(name) else b"") + data)

    def truncate(self, name: str, size: int) -> None:
        """Write the object `name` again, shorter."""
        there = self.exists(name)
        data = self.read(name) if there else b""
        if len(data) < size:
            raise too_short(self.url, name, len(data), size)
        if there:
            self.write(name, data[:size])

    def exists(self, name: str) -> bool:
        """Whether there is an object `name`."""
        try:
            self._patiently("look for", name, lambda: self._client.head_object(**self._at(name)))
        except _MissingError:
            return False
        return True

    def list(self, prefix: str = "") -> list[str]:
        """Sorted names that begin with `prefix`."""
        return list(self.notes(prefix))

    def notes(self, prefix: str = "") -> dict[str, FileNote]:
        """What a list says of each object."""

        def pages() -> dict[str, FileNote]:
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self._prefix + prefix
            )
            found = (each for page in pages for each in page.get("Contents", ()))
            return {
                each["Key"].removeprefix(self._prefix): FileNote(int(each["Size"]), each["LastModified"].timestamp())
                for each in found
            }

        return dict(sorted(self._patiently("list", prefix, pages).items()))

    def delete(self, name: str) -> None:
        """Remove the object `name`."""
        self._patiently("delete", name, lambda: self._client.delete_object(**self._at(name)))

    def copy(self, source: str, target: str) -> None:
        """Let the store copy an object."""
        origin = {"Bucket": self.bucket, "Key": self._prefix + source}
        try:
            self._patiently("copy", source, lambda: self._client.copy_object(**self._at(target), CopySource=origin))
        except _MissingError:
            raise RunError(f"{self.url} has no {source}") from None

    def put_if_absent(self, name: str, data: bytes) -> str | None:
        """Put with `If-None-Match: *`."""
        return self._put_on_condition(name, data, IfNoneMatch="*")

    def compare_and_swap(self, name: str, tag: str, data: bytes) -> str | None:
        """Put with `If-Match`."""
        return self._put_on_condition(name, data, IfMatch=tag)

    def _put_on_condition(self, name: str, data: bytes, **condition: str) -> str | None:
        unsure = False

        def put() -> str:
            nonlocal unsure
            try:
                return str(self._client.put_object(**self._at(name), Body=data, **condition)["ETag"])
            except Exception as error:
                # Only a refusal that the store explains says for certain that nothing was written.
                unsure = unsure or not (isinstance(error, exceptions.ClientError) and _status(error) < 500)
                raise

        try:
            return self._patiently("write", name, put)
        except (_ConditionError, _MissingError):
            # The condition may fail because an earlier attempt succeeded whose answer got lost.
            return self._tag_if_it_holds(name, data) if unsure else None

    def _tag_if_it_holds(self, name: str, data: bytes) -> str | None:
        try:
            found = self.read_tagged(name)
        except RunError:
            return None
        return found.tag if found.data == data else None

    def _at(self, name: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self._prefix + name}

    def _patiently(self, verb: str, name: str, attempt: Callable[[], T]) -> T:
        """Repeat an attempt while its fault may pass and the caller's patience lasts."""
        with self._told(verb, name):
            return self._repeated(attempt)

    @contextmanager
    def _told(self, verb: str, name: str) -> Iterator[None]:
        """Turn errors of boto3 into ours; of what they say only the code and the status go on."""
        place = f"{self.url}/{name}".rstrip("/")
        try:
            yield
        except exceptions.ClientError as error:
            code, status = str(error.response.get("Error", {}).get("Code", "")), _status(error)
            if code in ("NoSuchKey", "404"):
                raise _MissingError from None
            if status == 412:
                raise _ConditionError from None
            advice = _ADVICE.get(code, "is the store well, and may these credentials do that?")
            raise StorageError(f"cannot {verb} {place}: {code} ({status}); {advice}") from None
        except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError):
            raise StorageError(f"cannot {verb} {place}: no credentials for S3 were found; {_CREDENTIALS}") from None
        except _NO_ANSWER as error:
            raise StorageError(
                f"cannot {verb} {place}: no good answer in {self._patience.total_s:g} s ({type(error).__name__}); are "
                "the network, AWS_ENDPOINT_URL_S3 and AWS_REGION right?"
            ) from None
        except (exceptions.BotoCoreError, ValueError) as error:
            raise StorageError(
                f"cannot {verb} {place}: boto3 is set up wrongly ({type(error).__name__}); see AWS_PROFILE, "
                "AWS_REGION, AWS_ENDPOINT_URL_S3"
            ) from None


class _MissingError(Exception):
    """There is no such object."""


class _ConditionError(Exception):
    """The condition of a put did not hold."""


def _bucket_and_prefix(url: str) -> tuple[str, str]:
    """Return the bucket and the prefix with a closing "/", or "" for the whole bucket."""
    scheme, _, rest = url.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not _BUCKET.fullmatch(bucket) or re.search(r"[?#]|^/|//", prefix):
        # What is no bucket may be a key and its secret.
        shown = f"{url!r} is" if "@" not in url and "?" not in url else "that is"
        raise ConfigError(f"{shown} no place in a bucket; write s3://bucket/prefix, credentials are set elsewhere")
    return bucket, f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else ""


def _client(patience: Patience) -> Any:
    """A client that makes each attempt once and leaves repeating to us."""
    settings = {
        "connect_timeout": patience.connect_s,
        "read_timeout": patience.answer_s,
        "retries": {"total_max_attempts": 1},
        # Other stores do not all know the checksums that AWS's clients send by default.
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
        "max_pool_connections": 16,
    }
    # boto3's own session keeps the credentials that it found first.
    session = boto3.Session()
    client = session.client("s3", config=Config(**settings))
    if (urlsplit(client.meta.endpoint_url).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn")):
        return client
    # Other stores seldom have a host name for each bucket.
    return session.client("s3", config=Config(**settings, s3={"addressing_style": "path"}))


def _may_pass(error: Exception) -> bool:
    """Whether the same request may succeed later."""
    if not isinstance(error, exceptions.ClientError):
        return isinstance(error, _NO_ANSWER)
    code = error.response.get("Error", {}).get("Code", "")
    return _status(error) in (409, 429) or _status(error) >= 500 or code in ("RequestTimeout", "SlowDown")


def _status(error: exceptions.ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))

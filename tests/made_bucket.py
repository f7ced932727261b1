"""A bucket in memory behind the calls of boto3's client that we use, and faults on demand."""

from __future__ import annotations

import datetime
import hashlib
import io
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lateapex.storage_patience import Patience
from lateapex.storage_s3 import S3Storage

LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
"""When what was put into a bucket by hand came there."""


class Bucket:
    """Answers as S3 does. `faults` are raised by the next requests, one each: before it acts, or after ("lost")."""

    def __init__(self, name: str = "bucket") -> None:
        self.name = name
        self.objects: dict[str, bytes] = {}
        self.changed: dict[str, datetime.datetime] = {}
        self.faults: list[Exception | tuple[str, Exception] | None] = []
        self.requests = 0

    def put_object(self, Bucket: str, Key: str, Body: bytes, **condition: str) -> dict[str, str]:
        lost = self._begin(Bucket)
        if "IfNoneMatch" in condition and Key in self.objects:
            raise refusal("PreconditionFailed", 412)
        if "IfMatch" in condition:
            if Key not in self.objects:
                raise refusal("NoSuchKey", 404)
            if condition["IfMatch"] != etag(self.objects[Key]):
                raise refusal("PreconditionFailed", 412)
        self.objects[Key] = bytes(Body)
        self.changed[Key] = datetime.datetime.now(datetime.UTC)
        if lost:
            raise lost
        return {"ETag": etag(Body)}

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        self._begin(Bucket)
        if Key not in self.objects:
            raise refusal("NoSuchKey", 404)
        return {"Body": io.BytesIO(self.objects[Key]), "ETag": etag(self.objects[Key])}

    def head_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        self._begin(Bucket)
        if Key not in self.objects:
            raise refusal("404", 404)
        return {}

    def delete_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        self._begin(Bucket)
        self.objects.pop(Key, None)
        return {}

    def copy_object(self, Bucket: str, Key: str, CopySource: dict[str, str]) -> dict[str, Any]:
        self._begin(Bucket)
        if CopySource["Key"] not in self.objects:
            raise refusal("NoSuchKey", 404)
        self.objects[Key] = self.objects[CopySource["Key"]]
        self.changed[Key] = datetime.datetime.now(datetime.UTC)
        return {}

    def get_paginator(self, operation: str) -> Bucket:
        assert operation == "list_objects_v2"
        return self

    def paginate(self, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:
        self._begin(Bucket)
        keys = sorted(key for key in self.objects if key.startswith(Prefix))
        if not keys:
            yield {}
        for n in range(0, len(keys), 3):
            yield {"Contents": [{"Key": key, **self._about(key)} for key in keys[n : n + 3]]}

    def _about(self, key: str) -> dict[str, Any]:
        return {"Size": len(self.objects[key]), "LastModified": self.changed.get(key, LONG_AGO)}

    def _begin(self, bucket: str) -> Exception | None:
        self.requests += 1
        if bucket != self.name:
            raise refusal("NoSuchBucket", 404)
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, Exception):
            raise fault
        return fault[1] if fault else None


class Clock:
    """Time that passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def refusal(code: str, status: int) -> ClientError:
    told = {"Error": {"Code": code, "Message": "told by the store"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(told, "SomeOperation")  # type: ignore[arg-type]  # the rest of the answer is not looked at


def made_storage(bucket: Bucket, clock: Clock | None = None, patience: Patience | None = None) -> S3Storage:
    clock = clock or Clock()
    with pytest.MonkeyPatch.context() as patch:  # to make a real client takes a quarter of a second
        patch.setattr("lateapex.storage_s3._client", lambda patience: bucket)
        return S3Storage(f"s3://{bucket.name}/run", patience, clock=clock, sleep=clock.sleep)

"""What S3Storage makes of faults, and what it never tells."""

from __future__ import annotations

import pytest
from botocore.exceptions import ConnectTimeoutError, NoCredentialsError, ReadTimeoutError
from made_bucket import Bucket, Clock, made_storage, refusal
from made_servers import BUCKET, KEY, SECRET

from lateapex.errors import ConfigError, StorageError
from lateapex.storage_patience import Patience
from lateapex.storage_s3 import S3Storage

LOST = ReadTimeoutError(endpoint_url="http://store")
BUSY = refusal("SlowDown", 503)

OPERATIONS = {
    "read": lambda storage: storage.read("a"),
    "read_tagged": lambda storage: storage.read_tagged("a").data,
    "write": lambda storage: storage.write("a", b"old"),
    "list": lambda storage: storage.list(),
    "exists": lambda storage: storage.exists("a"),
    "copy": lambda storage: storage.copy("a", "b"),
    "delete": lambda storage: storage.delete("a"),
    "put_if_absent": lambda storage: storage.put_if_absent("b", b"new"),
    "compare_and_swap": lambda storage: storage.compare_and_swap("a", storage.read_tagged("a").tag, b"new"),
}
each_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS.keys())


def filled() -> Bucket:
    bucket = Bucket()
    bucket.objects["run/a"] = b"old"
    return bucket


@each_operation
@pytest.mark.parametrize("fault", [LOST, BUSY, refusal("ConditionalRequestConflict", 409), refusal("", 429)])
def test_an_operation_outlasts_faults_that_pass(operation, fault):
    well, ill = filled(), filled()
    ill.faults = [fault] * 3
    assert operation(made_storage(ill)) == operation(made_storage(well))
    assert ill.objects == well.objects
    assert ill.requests == well.requests + 3


@each_operation
def test_an_operation_ends_when_patience_does(operation):
    bucket, clock = filled(), Clock()
    bucket.faults = [BUSY] * 1000
    with pytest.raises(StorageError, match=r"^cannot .* s3://bucket/run.*: SlowDown \(503\)"):
        operation(made_storage(bucket, clock, Patience(total_s=30.0)))
    assert 20.0 < clock.now <= 30.0
    assert bucket.requests == len(clock.pauses) + 1


def test_pauses_grow_to_ten_seconds_and_never_repeat():
    bucket, clock = filled(), Clock()
    bucket.faults = [BUSY] * 1000
    with pytest.raises(StorageError):
        made_storage(bucket, clock, Patience(total_s=100.0, first_pause_s=1.0)).read("a")
    for n, pause in enumerate(clock.pauses):
        assert 0.5 * min(2.0**n, 10.0) <= pause <= min(2.0**n, 10.0)
    assert len(set(clock.pauses)) == len(clock.pauses)


@each_operation
def test_a_fault_that_stays_is_told_at_once(operation):
    bucket, clock = filled(), Clock()
    bucket.faults = [refusal("AccessDenied", 403)]
    with pytest.raises(StorageError, match=r"AccessDenied \(403\); these credentials may not do that"):
        operation(made_storage(bucket, clock))
    assert clock.pauses == []


def test_a_store_that_cannot_be_reached_is_told_with_what_to_look_at():
    bucket = Bucket()
    bucket.faults = [ConnectTimeoutError(endpoint_url="http://user:secret@store")] * 100
    with pytest.raises(
        StorageError, match=r"no good answer in 9 s \(ConnectTimeoutError\); are the network, AWS_"
    ) as told:
        made_storage(bucket, patience=Patience(total_s=9.0)).read("a")
    assert "secret" not in str(told.value)


def test_missing_credentials_are_told_with_what_to_set():
    bucket = Bucket()
    bucket.faults = [NoCredentialsError()]
    with pytest.raises(StorageError, match="no credentials for S3 were found; set AWS_ACCESS_KEY_ID"):
        made_storage(bucket).read("a")


# ------------------------------------------------------------------------------------ conditional writes, answers lost


def test_a_put_whose_answer_got_lost_counts_as_done():
    bucket = Bucket()
    bucket.faults = [("lost", LOST)]
    storage = made_storage(bucket)
    tag = storage.put_if_absent("a", b"mine")
    assert storage.read_tagged("a") == (b"mine", tag)


def test_a_swap_whose_answer_got_lost_counts_as_done():
    bucket = filled()
    storage = made_storage(bucket)
    old = storage.read_tagged("a").tag
    bucket.faults = [("lost", BUSY), BUSY]
    tag = storage.compare_and_swap("a", old, b"mine")
    assert storage.read_tagged("a") == (b"mine", tag)


def test_a_put_that_somebody_else_made_meanwhile_counts_as_lost():
    bucket = filled()
    bucket.faults = [LOST]
    assert made_storage(bucket).put_if_absent("a", b"mine") is None
    assert bucket.objects["run/a"] == b"old"


def test_a_put_that_was_refused_outright_is_not_asked_after():
    bucket = filled()
    assert made_storage(bucket).put_if_absent("a", b"old") is None
    assert bucket.requests == 1


# ------------------------------------------------------------------------------------------------------------- secrets


@pytest.mark.parametrize("url", ["s3://", "s3://UPPER/x", "s3://a", "s3://bucket//x", "s3://bucket/x?versionId=1"])
def test_a_url_that_is_no_place_is_refused(url):
    with pytest.raises(ConfigError, match="write s3://bucket/prefix"):
        S3Storage(url)


@pytest.mark.parametrize("url", ["s3://KEY:hidden@bucket/x", "s3://bucket/x?secret=hidden"])
def test_a_secret_in_a_url_is_refused_without_repeating_it(url):
    with pytest.raises(ConfigError, match="credentials are set elsewhere") as told:
        S3Storage(url)
    assert "hidden" not in str(told.value)


@pytest.mark.servers
@pytest.mark.parametrize(
    ("key", "secret", "told"),
    [
        (KEY, "another", r"SignatureDoesNotMatch \(403\); the secret key does not belong to the key"),
        ("nobody", SECRET, r"InvalidAccessKeyId \(403\); the store does not know this key"),
    ],
)
def test_a_real_store_refuses_who_cannot_sign_and_no_secret_is_told(bucket_url, monkeypatch, key, secret, told):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    with pytest.raises(StorageError, match=told) as error:
        S3Storage(bucket_url).write("a", b"")
    message = f"{error.value!r} {error.value.__cause__!r}"
    assert key not in message
    assert secret not in message


@pytest.mark.servers
def test_a_real_store_that_has_no_such_bucket_says_so(bucket_url):
    with pytest.raises(StorageError, match=r"cannot write s3://absent/a: NoSuchBucket \(404\); make the bucket first"):
        S3Storage(bucket_url.replace(BUCKET, "absent").rpartition("/")[0]).write("a", b"")

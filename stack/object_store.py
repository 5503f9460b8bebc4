"""The bucket: made if absent, and proved by writing an object and reading it back."""

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from contracts.settings import ObjectStoreSettings
from stack.waiting import NotReady

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PROBE_KEY = ".health/probe"
PROBE = b"written and read back"


def put_and_get(store: ObjectStoreSettings) -> None:
    """Write an object into the platform's bucket and read it back.

    Raises:
        NotReady: the store does not do both.
    """
    client = _client(store)
    try:
        _ensure_bucket(client, store.bucket)
        client.put_object(Bucket=store.bucket, Key=PROBE_KEY, Body=PROBE)
        held = client.get_object(Bucket=store.bucket, Key=PROBE_KEY)["Body"].read()
    except (BotoCoreError, ClientError) as error:
        raise NotReady(f"no put and get: {error}") from error
    finally:
        client.close()
    if held != PROBE:
        raise NotReady("an object came back changed")


def _ensure_bucket(client: "S3Client", bucket: str) -> None:
    try:
        client.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchBucket"):
            raise
        client.create_bucket(Bucket=bucket)


def _client(store: ObjectStoreSettings) -> "S3Client":
    return boto3.client(
        "s3",
        endpoint_url=store.host,
        aws_access_key_id=store.access_key.get_secret_value(),
        aws_secret_access_key=store.secret_key.get_secret_value(),
        region_name="us-east-1",
        config=Config(
            connect_timeout=3,
            read_timeout=10,
            retries={"total_max_attempts": 1},
            proxies={},
            s3={"addressing_style": "path"},
        ),
    )

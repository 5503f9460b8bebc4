"""Objects under `s3://` or `file://` URIs: whole reads and writes, nothing else."""

from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from contracts.errors import ObjectStoreError
from contracts.settings import ObjectStoreSettings

_MISSING = ("404", "NoSuchKey", "NotFound")


class Objects(Protocol):
    """Where snapshots and tables are kept; keys are slash-separated and relative."""

    def uri(self, key: str) -> str:
        """The address of `key`, for people and for `key_of`."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Store `data` whole; an earlier object of the same key is replaced."""
        ...

    def get(self, key: str) -> bytes | None:
        """The object, or None when there is none."""
        ...


class S3Objects:
    """Any S3 endpoint; one client, safe to share between threads."""

    def __init__(self, store: ObjectStoreSettings) -> None:
        self._bucket = store.bucket
        self._host = store.host
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=store.host,
            aws_access_key_id=store.access_key.get_secret_value() or None,
            aws_secret_access_key=store.secret_key.get_secret_value() or None,
            region_name="us-east-1",
            config=Config(
                connect_timeout=5,
                read_timeout=60,
                max_pool_connections=16,
                retries={"max_attempts": 4, "mode": "standard"},
                s3={"addressing_style": "path"},
            ),
        )

    def uri(self, key: str) -> str:
        """`s3://bucket/key`."""
        return f"s3://{self._bucket}/{key}"

    def put(self, key: str, data: bytes) -> None:
        """Store `data` whole.

        Raises:
            ObjectStoreError: the endpoint is out of reach or refuses.
        """
        try:
            self._client.put_object(Bucket=self._bucket, Key=key, Body=data)
        except (BotoCoreError, ClientError) as error:
            raise self._problem(key, error) from error

    def get(self, key: str) -> bytes | None:
        """The object, or None when there is none.

        Raises:
            ObjectStoreError: the endpoint is out of reach or refuses.
        """
        try:
            body: bytes = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _MISSING:
                return None
            raise self._problem(key, error) from error
        except BotoCoreError as error:
            raise self._problem(key, error) from error
        return body

    def _problem(self, key: str, error: Exception) -> ObjectStoreError:
        return ObjectStoreError(
            f"the object store at {self._host} failed: {error}",
            value=self.uri(key),
            remedy="Check MINIO_HOST and the MINIO_* keys; locally, run `fraud status`",
        )


class FolderObjects:
    """The same over a local folder: offline evaluation and tests."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def uri(self, key: str) -> str:
        """`file://` address of the file behind `key`."""
        return (self._root / key).absolute().as_uri()

    def put(self, key: str, data: bytes) -> None:
        """Write through a temporary file, so that a crash leaves no half object."""
        path = self._root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        partial.write_bytes(data)
        partial.replace(path)

    def get(self, key: str) -> bytes | None:
        """The file's bytes, or None when there is no such file."""
        path = self._root / key
        return path.read_bytes() if path.exists() else None


def open_objects(store: ObjectStoreSettings) -> Objects:
    """The store that `host` names: a `file://` folder, or an S3 endpoint."""
    if store.host.startswith("file://"):
        return FolderObjects(Path(urlsplit(store.host).path) / store.bucket)
    return S3Objects(store)


def key_of(objects: Objects, uri: str) -> str:
    """The key behind an address of this store.

    Raises:
        ObjectStoreError: the address belongs to another store or bucket.
    """
    prefix = objects.uri("")
    prefix = prefix if prefix.endswith("/") else prefix + "/"
    if not uri.startswith(prefix):
        raise ObjectStoreError(
            "the address is not in the configured store", value=uri, remedy=f"Expected {prefix}…"
        )
    return uri.removeprefix(prefix)


def read_object(objects: Objects, uri: str) -> bytes:
    """The object at an address.

    Raises:
        ObjectStoreError: it does not exist.
    """
    data = objects.get(key_of(objects, uri))
    if data is None:
        raise ObjectStoreError("no such object", value=uri, remedy="Take the snapshot again")
    return data

"""The connection to Redis: commands under way, refusals, and what breaks, on a real Redis."""

import random

import pytest
import redis
from inference_rig import await_true

from contracts.errors import StoreError
from features.redis_wire import RedisWire, Script

pytestmark = pytest.mark.integration


@pytest.fixture(params=["its socket", "its port"])
def wire(redis_url: str, redis_port_url: str, request: pytest.FixtureRequest) -> RedisWire:
    """A connection of its own, by either way to the same Redis."""
    if request.param == "its socket" and not redis_url.startswith("unix:"):
        pytest.skip("pytest's folder is too deep for a socket")
    return RedisWire(redis_url if request.param == "its socket" else redis_port_url, 5.0)


@pytest.fixture
def key() -> str:
    """A key that nobody else uses."""
    return f"wire:{random.random()}"


def broken(wire: RedisWire, redis_url: str) -> None:
    """Have Redis close a wire's connection."""
    own = wire.ask(("CLIENT", "ID"))[0]
    assert redis.Redis.from_url(redis_url).execute_command("CLIENT", "KILL", "ID", own) == 1


def test_whoever_waits_first_has_his_own_answers(wire: RedisWire, key: str) -> None:
    """Commands run in the order in which they are sent, and answers go to who sent them."""
    first = wire.send(("RPUSH", key, "a"), ("RPUSH", key, "b"))
    second = wire.send(("LRANGE", key, 0, -1))
    third = wire.send(("LLEN", key))
    assert (third(), second(), first()) == ([2], [[b"a", b"b"]], [1, 2])
    assert first() == [1, 2]  # and again


def test_a_refusal_takes_no_other_answer_with_it(wire: RedisWire, key: str) -> None:
    """All commands run, all answers are read, and the refusal is raised."""
    with pytest.raises(StoreError, match="WRONGTYPE"):
        wire.ask(("SET", key, "text"), ("LLEN", key), ("SET", key, "later"))
    assert wire.ask(("GET", key)) == [b"later"]


def test_a_connection_that_breaks_is_opened_again(
    wire: RedisWire, redis_url: str, key: str
) -> None:
    """Between two commands, and while commands are under way: those are sent once more."""
    broken(wire, redis_url)
    assert wire.ask(("SET", key, "text")) == [b"OK"]
    own = wire.ask(("CLIENT", "ID"))[0]
    under_way = wire.send(("GET", key), ("BLPOP", f"{key}:late", 0))
    other = redis.Redis.from_url(redis_url)
    await_true(lambda: "blpop" in [c["cmd"] for c in other.client_list()], "the wait", 10)
    assert other.execute_command("CLIENT", "KILL", "ID", own) == 1
    other.rpush(f"{key}:late", "y")
    assert under_way() == [b"text", [f"{key}:late".encode(), b"y"]]


def test_answers_that_do_not_come_keep_nobody_else_from_his(redis_url: str, key: str) -> None:
    """Who waits for them is told that they are late; the next one has his own."""
    wire = RedisWire(redis_url, 0.2)
    late = wire.send(("ECHO", "a"), ("BLPOP", key, 0))
    assert wire.ask(("ECHO", "b")) == [b"b"]
    with pytest.raises(StoreError, match="Timeout"):
        late()
    assert wire.ask(("ECHO", "c")) == [b"c"]


def test_a_script_that_redis_has_forgotten_is_told_again(
    wire: RedisWire, redis_url: str, key: str
) -> None:
    """As after a restart of Redis; the calls that found it missing are made once more."""
    script = Script("return redis.call('INCR', KEYS[1])")
    redis.Redis.from_url(redis_url).script_flush()
    assert wire.run(script, [((key,), ()), ((key,), ())]) == [1, 2]


def test_a_redis_that_is_away_is_a_store_error(key: str) -> None:
    """At sending nothing is raised yet; whoever wants the answers hears of it."""
    answers = RedisWire("redis://127.0.0.1:1/0", 1.0).send(("GET", key))
    with pytest.raises(StoreError, match="Redis failed"):
        answers()

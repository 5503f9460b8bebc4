"""The direct consumer: answers are delivered before offsets are committed, never after."""

import threading

import pytest
from confluent_kafka import TopicPartition
from consumer_rig import FakeMessage, Rig

from contracts.errors import BrokerError
from inference.consumer import COMMIT_SECONDS, PATIENCE_SECONDS, REFUSED_SECONDS, batch_of


def test_answers_arrive_before_their_offsets_are_committed() -> None:
    """Send, mark the state, then commit the offset after the last record; nobody waits."""
    rig = Rig()
    rig.feed(7, 8)
    assert rig.consumer.step() == 2
    rig.now = COMMIT_SECONDS
    rig.consumer.step()
    kinds = [line.split()[0] for line in rig.journal]
    assert kinds == ["send", "send", "mark", "commit"]
    assert rig.journal[-1] == "commit 0:9"
    assert "b'123'" in rig.journal[0]


def test_nothing_is_committed_while_answers_are_under_way() -> None:
    """A commit comes with the first round that finds all delivered, or waits for them at last."""
    rig = Rig(is_slow=True)
    rig.feed(7)
    rig.consumer.step()
    rig.now = COMMIT_SECONDS
    rig.consumer.step()
    assert not any(line.startswith("commit") for line in rig.journal)
    rig.sender.is_slow = False
    rig.consumer.step()
    assert rig.journal[-1] == "commit 0:8"
    rig.sender.is_slow = True
    rig.feed(8)
    rig.consumer.step()
    rig.now += PATIENCE_SECONDS
    rig.consumer.step()
    assert rig.journal[-2:] == ["flush", "commit 0:9"]


def test_commits_are_spaced_and_state_can_be_replayed_from_the_last() -> None:
    """Between commits the committed offset stays, whatever was delivered."""
    rig = Rig()
    for first, now in ((7, 0.0), (9, COMMIT_SECONDS), (11, COMMIT_SECONDS)):
        rig.now = now
        rig.feed(first, first + 1)
        rig.consumer.step()
    assert rig.scorer.committed == [7, 7, 9]
    assert [line for line in rig.journal if line.startswith("commit")] == ["commit 0:9"]


def test_an_answer_that_does_not_arrive_stops_the_consumer_uncommitted() -> None:
    """A refused record raises, and its offset is not committed."""
    rig = Rig(failure="message too large")
    rig.feed(7)
    rig.consumer.step()
    rig.now = COMMIT_SECONDS
    with pytest.raises(BrokerError, match="too large"):
        rig.consumer.step()
    assert not any(line.startswith("commit") for line in rig.journal)


def test_a_full_queue_is_waited_for() -> None:
    """No answer is dropped when the producer's buffer is full for a moment."""
    rig = Rig(full_times=3)
    rig.feed(7)
    rig.consumer.step()
    assert sum(line.startswith("send") for line in rig.journal) == 1


def test_a_new_group_begins_where_it_is_told_and_an_old_one_where_it_was() -> None:
    """Committed offsets count; without one the given start does."""
    rig = Rig(is_assigned=False)
    rig.client.held = {1: 55}
    places = [TopicPartition("transactions", 0), TopicPartition("transactions", 1)]
    rig.consumer._assigned(rig.client, places)
    assert [(p.partition, p.offset) for p in rig.client.assigned] == [(0, 7), (1, 55)]


@pytest.mark.parametrize("is_transactional", [False, True])
def test_where_a_group_begins_is_committed_though_no_record_comes(is_transactional: bool) -> None:
    """A restart then needs nobody to say where; what the group had committed stays as it was."""
    rig = Rig(is_assigned=False, is_transactional=is_transactional)
    rig.client.held = {1: 55}
    places = [TopicPartition("transactions", 0), TopicPartition("transactions", 1)]
    rig.consumer._assigned(rig.client, places)
    for _ in range(2):
        rig.now += COMMIT_SECONDS
        rig.consumer.step()
    assert [line for line in rig.journal if line.startswith("commit")] == ["commit 0:7"]


def test_partitions_are_given_up_only_after_a_commit() -> None:
    """A rebalance commits what was delivered first, so the next owner repeats nothing."""
    rig = Rig()
    rig.feed(7)
    rig.consumer.step()
    rig.consumer._revoked(rig.client, [TopicPartition("transactions", 0)])
    assert rig.journal[-3:] == ["commit 0:8", "forget 0", "unassign"]


def test_a_record_of_a_partition_that_was_given_up_is_left_to_its_next_owner() -> None:
    """A poll may hand out a record and then take its partition away: it is not decided here."""
    rig = Rig()
    rig.feed(7)
    rig.consumer._lost(rig.client, [TopicPartition("transactions", 0)])
    rig.now = COMMIT_SECONDS
    assert rig.consumer.step() == 0
    assert not any(line.startswith(("send", "commit")) for line in rig.journal)


@pytest.mark.parametrize("is_transactional", [False, True])
def test_a_consumer_that_fails_leaves_its_group(is_transactional: bool) -> None:
    """Answers that do not arrive end the run, uncommitted; the group is left without more ado."""
    rig = Rig(is_transactional=is_transactional, failure="message too large")
    rig.feed(7)

    def pass_time() -> None:
        assert rig.now < 10 * COMMIT_SECONDS
        rig.now += COMMIT_SECONDS

    with pytest.raises(BrokerError, match="too large"):
        rig.consumer.run(threading.Event(), pass_time)
    assert rig.journal[-1] == "close"
    assert rig.journal.count("flush") == int(is_transactional)
    assert not any(line.startswith("commit") for line in rig.journal)


def test_each_round_is_told_with_or_without_records() -> None:
    """An idle consumer lives; one that hangs in a round tells nothing."""
    rig, stop, rounds = Rig(), threading.Event(), list[int]()
    rig.feed(7)

    def each_round() -> None:
        rounds.append(rig.consumer.answered)
        if len(rounds) == 3:
            stop.set()

    rig.consumer.run(stop, each_round)
    assert rounds == [1, 1, 1]


def test_a_refused_commit_is_tried_again_with_the_next() -> None:
    """While its coordinator is away a group goes on, and replays from the last commit that held."""
    rig = Rig()
    rig.client.refused_commits = 2
    for number in range(6):
        rig.now = number + COMMIT_SECONDS
        rig.feed(7 + number)
        rig.consumer.step()
    assert rig.scorer.committed == [7, 7, 7, 9, 10, 11]
    commits = [line for line in rig.journal if line.startswith("commit")]
    assert commits == ["commit 0:9", "commit 0:10", "commit 0:11", "commit 0:12"]


def test_a_late_report_of_a_commit_takes_nothing_back() -> None:
    """What a later commit has brought through stays, whatever is heard of an earlier one."""
    rig = Rig()
    rig.feed(7, 8, 9)
    rig.consumer.step()
    rig.consumer._revoked(rig.client, [])
    rig.client.reports.add(None, [TopicPartition("transactions", 0, 8)])
    rig.feed(10)
    rig.consumer.step()
    assert rig.scorer.committed == [7, 10]


def test_commits_that_are_refused_for_good_end_the_consumer() -> None:
    """A minute of refusals is an error that says what Kafka said."""
    rig = Rig()
    rig.client.refused_commits = 2
    rig.feed(7)
    rig.consumer.step()
    for _ in range(2):
        rig.now += COMMIT_SECONDS
        rig.consumer.step()
    rig.now += REFUSED_SECONDS
    with pytest.raises(BrokerError, match=r"for 60 s.*oordinator"):
        rig.consumer.step()


def test_messages_are_grouped_by_partition_in_order() -> None:
    """A partition's records stand together; offsets, keys and send times side by side."""
    messages = [FakeMessage(3, 1), FakeMessage(8, 0), FakeMessage(4, 1)]
    batch = batch_of(messages)
    first, second = batch.spans
    assert (first.partition, batch.part(first).offsets.tolist()) == (0, [8])
    assert (second.partition, batch.part(second).offsets.tolist()) == (1, [3, 4])
    assert batch.part(second).sent == [b"123", b"123"]
    assert (batch.next_offset(first), batch.next_offset(second)) == (9, 5)


def test_a_transaction_holds_answers_and_offsets_together() -> None:
    """Begin, send, mark, flush, offsets, commit: and no commit of its own afterwards."""
    rig = Rig(is_transactional=True)
    for first in (7, 8):
        rig.feed(first)
        rig.now += COMMIT_SECONDS
        rig.consumer.step()
    kinds = [line.split()[0] for line in rig.journal]
    assert kinds == ["begin", "send", "mark", "flush", "offsets", "commit"] * 2
    assert rig.journal[4] == "offsets 0:8 member"
    assert rig.scorer.committed == [7, 8]


def test_a_transaction_that_fails_is_undone_as_a_whole() -> None:
    """A refused record undoes the transaction; no offset moves."""
    rig = Rig(is_transactional=True, failure="refused")
    rig.feed(7)
    with pytest.raises(BrokerError, match="undone"):
        rig.consumer.step()
    assert rig.journal[-1] == "abort"
    assert not any(line.startswith("offsets") for line in rig.journal)

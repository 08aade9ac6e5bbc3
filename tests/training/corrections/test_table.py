"""What is kept of corrections, in SQLite and in a real PostgreSQL server."""

import datetime
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from tests.support.corrections import SEVEN, WHOLE
from training.corrections import (
    Added,
    KeyReused,
)
from training.corrections.table import CORRECTIONS
from training.errors import DigitsError

NOW = datetime.datetime.now


def test_a_correction_comes_back_as_it_was_given_with_the_time_in_utc(corrections):
    before = NOW(datetime.UTC)
    added = corrections.add(**WHOLE)
    (found,) = corrections.all()
    assert added == Added(found.id, new=True)
    assert {name: getattr(found, name) for name in WHOLE} == WHOLE
    assert before <= found.received <= NOW(datetime.UTC)
    assert found.received.utcoffset() == datetime.timedelta(0)


def test_what_is_not_known_is_none(corrections):
    corrections.add(digit=0, pixels=SEVEN)
    (found,) = corrections.all()
    assert (found.client_key, found.model, found.version, found.predicted) == (None, None, None, None)


def test_the_same_key_and_content_is_the_same_correction(corrections):
    first = corrections.add(**WHOLE)
    assert corrections.add(**WHOLE) == Added(first.id, new=False)
    assert len(corrections.all()) == 1


def test_without_a_key_the_same_content_is_another_correction(corrections):
    unkeyed = WHOLE | {"client_key": None}
    assert corrections.add(**unkeyed).id < corrections.add(**unkeyed).id


@pytest.mark.parametrize(
    ("name", "other"), [("digit", 8), ("pixels", bytes(784)), ("model", None), ("version", 4), ("predicted", None)]
)
def test_the_same_key_with_other_content_is_refused(corrections, name, other):
    number = corrections.add(**WHOLE).id
    with pytest.raises(KeyReused) as caught:
        corrections.add(**WHOLE | {name: other})
    assert str(caught.value) == (
        f"key 'k' came with another correction before, which has the id {number} and differs in {name}; "
        "want a new key for a new correction"
    )
    assert len(corrections.all()) == 1


@pytest.mark.parametrize(("digit", "pixels"), [(10, SEVEN), (-1, SEVEN), (7, SEVEN[1:])])
def test_what_is_no_digit_or_no_picture_is_refused(corrections, digit, pixels):
    with pytest.raises(DigitsError, match="want 0 to 9 and 784"):
        corrections.add(digit=digit, pixels=pixels)
    assert corrections.all() == []


def test_pages_ascend_by_id_and_go_on_where_the_last_one_ended(corrections):
    ids = [corrections.add(digit=n, pixels=SEVEN).id for n in range(5)]
    assert [[c.id for c in corrections.page(after, 2)] for after in (0, ids[1], ids[3], ids[4])] == [
        ids[:2],
        ids[2:4],
        ids[4:],
        [],
    ]


def test_all_of_them_are_more_than_are_read_at_once(corrections, monkeypatch):
    monkeypatch.setattr("training.corrections.table.READ_AT_ONCE", 2)
    ids = [corrections.add(digit=n, pixels=SEVEN).id for n in range(5)]
    assert [c.id for c in corrections.all()] == ids


def test_a_purge_forgets_what_is_older_and_no_id_is_used_again(corrections):
    old = corrections.add(digit=1, pixels=SEVEN)
    between = NOW(datetime.timezone(datetime.timedelta(hours=5)))  # the same moment, by another clock
    new = corrections.add(digit=2, pixels=SEVEN)
    assert corrections.purge(between) == 1
    assert [c.id for c in corrections.all()] == [new.id]
    assert corrections.purge(NOW(datetime.UTC)) == 1
    assert corrections.add(digit=3, pixels=SEVEN).id > new.id > old.id


def test_many_threads_with_few_keys_keep_one_correction_for_each_key(corrections):
    with ThreadPoolExecutor(8) as threads:
        added = list(threads.map(lambda n: corrections.add(**WHOLE | {"client_key": f"{n % 5}"}), range(200)))
    assert sum(one.new for one in added) == len({one.id for one in added}) == len(corrections.all()) == 5


def test_who_reads_on_from_the_last_id_misses_nothing_that_is_being_written(corrections):
    """Ids once were given in one order and committed in another: a reader between the two never saw the later one."""
    seen, done = [], threading.Event()

    def follow():
        while True:
            last = done.is_set()
            seen.extend(c.id for c in corrections.page(seen[-1] if seen else 0, 10))
            if last:
                return

    follower = threading.Thread(target=follow)
    follower.start()
    with ThreadPoolExecutor(4) as threads:
        ids = list(threads.map(lambda n: corrections.add(digit=n % 10, pixels=SEVEN).id, range(100)))
    done.set()
    follower.join(30)
    while len(seen) < 100 and (page := corrections.page(seen[-1], 10)):
        seen.extend(c.id for c in page)
    assert seen == sorted(ids)


def test_the_last_correction_of_a_picture_by_a_client_replaces_the_one_before(corrections):
    """Two corrections of one picture contradict each other, and retraining drops both."""
    other = corrections.add(digit=9, pixels=SEVEN, client="another")
    elsewhere = corrections.add(digit=9, pixels=bytes(784), client="anna")
    unknown = corrections.add(digit=9, pixels=SEVEN)
    first = corrections.add(digit=9, pixels=SEVEN, client="anna")
    last = corrections.add(digit=4, pixels=SEVEN, client="anna")
    assert (last.new, last.id > first.id) == (True, True)
    assert [c.id for c in corrections.all()] == [other.id, elsewhere.id, unknown.id, last.id]
    assert corrections.all()[-1].digit == 4


def test_a_correction_that_is_sent_again_with_its_key_replaces_nothing(corrections):
    first = corrections.add(**WHOLE, client="anna")
    assert corrections.add(**WHOLE, client="anna") == Added(first.id, new=False)
    assert [c.id for c in corrections.all()] == [first.id]


def test_many_threads_of_one_client_leave_one_correction(corrections):
    with ThreadPoolExecutor(8) as threads:
        added = list(threads.map(lambda n: corrections.add(digit=n % 10, pixels=SEVEN, client="anna"), range(50)))
    (left,) = corrections.all()
    assert left.id == max(one.id for one in added)


def test_who_sent_a_correction_may_delete_it_by_its_key_or_as_the_same_client(corrections):
    for by in ({"client_key": "k"}, {"client": "anna"}, {"anyone": True}):
        number = corrections.add(**WHOLE, client="anna").id
        for wrong in ({}, {"client_key": "l"}, {"client_key": ""}, {"client": "berta"}, {"client": ""}):
            assert not corrections.remove(number, **wrong)
        assert not corrections.remove(number + 1, **by)
        assert len(corrections.all()) == 1
        assert corrections.remove(number, **by)
        assert corrections.all() == []
        assert not corrections.remove(number, **by)


def test_a_correction_of_nobody_known_is_deleted_by_nobody_who_says_nothing(corrections):
    number = corrections.add(digit=7, pixels=SEVEN).id
    for by in ({}, {"client": "anna"}, {"client_key": "k"}):
        assert not corrections.remove(number, **by)
    assert corrections.remove(number, anyone=True)


def test_clients_are_not_stored_and_two_pictures_of_one_client_cannot_be_told_by_them(corrections, url):
    for pixels in (SEVEN, bytes(784)):
        corrections.add(digit=1, pixels=pixels, client="192.0.2.77")
    with corrections._database.reading() as connection:
        authors = connection.execute(select(CORRECTIONS.c.author)).scalars().all()
    assert len(set(authors)) == 2
    assert all(len(author) == 32 and "192" not in bytes.fromhex(author).decode("latin-1") for author in authors)

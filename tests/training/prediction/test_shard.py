"""Shards: which rows they have, what their files are called, and how they are asked for."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.prediction.shard import PART, Shard, ShardError


@given(total=st.integers(0, 10**9), of=st.integers(1, 99))
def test_all_shards_in_their_order_are_all_rows_in_their_order(total, of):
    ranges = [Shard(index, of).rows(total) for index in range(of)]
    assert (ranges[0][0], ranges[-1][1]) == (0, total)
    assert all(before[1] == after[0] for before, after in pairwise(ranges))
    sizes = {stop - first for first, stop in ranges}
    assert max(sizes) - min(sizes) <= 1


def test_a_shard_is_asked_for_as_i_of_n_and_has_a_file_of_its_own():
    shard = Shard.parse("3/16")
    assert (shard, str(shard)) == (Shard(3, 16), "3/16")
    assert shard.file(Path("out")) == Path("out/part-00003-of-00016.parquet")
    assert PART.fullmatch(shard.file(Path()).name).groups() == ("00003", "00016")


@pytest.mark.parametrize("text", ["16/16", "3", "-1/4", "a/b", "1/0", "0/100000", "0/1 ", "", "٣/٩"])
def test_a_shard_that_there_is_not_is_refused(text):
    with pytest.raises(ShardError, match="want I/N with 0 <= I < N, such as 0/16, and N below 100,000"):
        Shard.parse(text)

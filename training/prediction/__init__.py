"""Bulk prediction: rows of files of any size, read, answered and written as Parquet a batch at a time, by shards."""
